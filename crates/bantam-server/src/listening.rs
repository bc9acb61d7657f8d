//! Where connections come from: an address or a Unix socket, with TLS or without.

use std::io::{Error, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::options::{Place, TlsFiles};
use crate::serve::ServeError;

/// A connection, whatever it runs over.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

enum Listener {
    Address(TcpListener),
    #[cfg(unix)]
    Socket(tokio::net::UnixListener),
}

/// A place that is listened at. A socket's file goes with it.
pub(crate) struct Listening {
    listener: Listener,
    place: Place,
}

impl Listening {
    /// Begins to listen.
    pub(crate) async fn begin(place: &Place) -> Result<Self, ServeError> {
        match place {
            &Place::Address(address) => {
                let listener = TcpListener::bind(address).await.map_err(|source| match source.kind() {
                    ErrorKind::AddrInUse => ServeError::Taken { address },
                    _ => ServeError::Listen { address, source },
                })?;
                let place = Place::Address(listener.local_addr().map_err(ServeError::Stopped)?);
                Ok(Self { listener: Listener::Address(listener), place })
            }
            Place::Socket(path) => Ok(Self { listener: socket(path)?, place: place.clone() }),
        }
    }

    /// Where, with the port that was taken.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// The next connection.
    pub(crate) async fn accept(&self) -> Result<Box<dyn Stream>, Error> {
        match &self.listener {
            Listener::Address(listener) => {
                let (stream, _) = listener.accept().await?;
                // Tokens are small and should not wait for each other.
                let _ = stream.set_nodelay(true);
                Ok(Box::new(stream))
            }
            #[cfg(unix)]
            Listener::Socket(listener) => Ok(Box::new(listener.accept().await?.0)),
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        if let Place::Socket(path) = &self.place {
            // Whoever took it away was faster.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// A socket that nobody listens at any more is replaced; one in use, or another file, is not.
#[cfg(unix)]
fn socket(path: &Path) -> Result<Listener, ServeError> {
    use std::os::unix::fs::FileTypeExt;
    let failed = |what: String| ServeError::Socket { path: path.to_path_buf(), what };
    if let Ok(metadata) = std::fs::symlink_metadata(path) {
        if !metadata.file_type().is_socket() {
            return Err(failed("there is a file that is no socket".to_owned()));
        }
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(failed("another program listens there".to_owned()));
        }
        std::fs::remove_file(path).map_err(|error| failed(error.to_string()))?;
    }
    let listener = tokio::net::UnixListener::bind(path).map_err(|error| failed(error.to_string()))?;
    Ok(Listener::Socket(listener))
}

#[cfg(not(unix))]
fn socket(path: &Path) -> Result<Listener, ServeError> {
    Err(ServeError::Socket { path: path.to_path_buf(), what: "this system has no Unix sockets".to_owned() })
}

/// Reads a certificate and its key.
pub(crate) fn certificate(files: &TlsFiles) -> Result<TlsAcceptor, ServeError> {
    fn failed(path: &Path, what: &dyn std::fmt::Display) -> ServeError {
        ServeError::Certificate { path: path.to_path_buf(), what: what.to_string() }
    }
    let chain: Result<Vec<_>, pem::Error> =
        CertificateDer::pem_file_iter(&files.certificate).and_then(Iterator::collect);
    let chain = chain.map_err(|error| failed(&files.certificate, &error))?;
    if chain.is_empty() {
        return Err(failed(&files.certificate, &"there is no certificate in it"));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| failed(&files.key, &error))?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| failed(&files.certificate, &error))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
