//! The server itself: its address, its connections, and an end that lets started requests finish.

use std::future::Future;
use std::io::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;

use crate::connections::{self, Connections};
use crate::listening::{Listening, certificate};
use crate::options::{Place, ServeOptions, Served};
use crate::routes::routes;
use crate::service::Service;

/// Why the server could not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Another program listens there.
    #[error("port {port} of {host} is in use; end the program that uses it, or choose another with --port (0: any free one)", port = address.port(), host = address.ip())]
    Taken {
        /// The address.
        address: SocketAddr,
    },
    /// The system does not let this program listen there.
    #[error("cannot listen on {address}: {source}; choose another address with --host or another port with --port")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: Error,
    },
    /// A Unix socket cannot be made there.
    #[error("cannot listen at {}: {what}; choose another path with --unix", path.display())]
    Socket {
        /// Where.
        path: PathBuf,
        /// Why.
        what: String,
    },
    /// A certificate or a key cannot be used.
    #[error("{}: {what}; give PEM files with --tls-certificate and --tls-key", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// An origin that no browser sends.
    #[error("--cors {origin} is no origin; write it as https://example.org, or * for all")]
    Origin {
        /// What was given.
        origin: String,
    },
    /// Listening failed later.
    #[error("the server stopped: {0}")]
    Stopped(Error),
}

/// Serves `models` until `shutdown` is done, then lets started requests finish. `on_ready` hears where it listens,
/// which tells the port where 0 was asked for. Names are told apart by the caller; of two that are the same, the first counts.
///
/// # Errors
/// [`ServeError`], when the place is in use or cannot be used, or an option cannot.
pub async fn serve(
    models: Vec<Served>,
    options: ServeOptions,
    shutdown: impl Future<Output = ()> + Send + 'static,
    on_ready: impl FnOnce(&Place),
) -> Result<(), ServeError> {
    let is_origin = |origin: &&String| {
        *origin == "*" || origin.split_once("://").is_some_and(|(_, host)| !host.is_empty() && !host.contains('/'))
    };
    if let Some(origin) = options.origins.iter().find(|origin| !is_origin(origin)) {
        return Err(ServeError::Origin { origin: origin.clone() });
    }
    let tls = options.tls.as_ref().map(certificate).transpose()?;
    let listening = Listening::begin(&options.place).await?;
    let service = Arc::new(Service::new(models, &options));
    let routes = routes(Arc::clone(&service), &options);
    on_ready(listening.place());
    let (asked, ending) = watch::channel(false);
    let connections = Connections::new(routes, tls, ending);
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            (place, accepted) = async { (connections.place().await, listening.accept().await) } => match accepted {
                Ok(stream) => connections.take(stream, place),
                Err(error) => connections::wait_after(&error).await,
            },
            () = &mut shutdown => break,
        }
    }
    tracing::info!("no new connections; started requests go on");
    drop(listening);
    service.end();
    let _ = asked.send(true);
    if tokio::time::timeout(options.drain, connections.finished()).await.is_err() {
        tracing::warn!(seconds = options.drain.as_secs_f64(), "requests that did not finish in time are cut off");
    }
    Ok(())
}
