//! The connections that are open: not too many, none that says nothing for long, and all told when the end has come.

use std::io::{Error, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use crate::listening::Stream;

/// Connections that are open at once; the next one waits.
pub(crate) const MOST: usize = 1024;
/// How long a client may take for the head of a request, and for the beginning of TLS.
const LONGEST_HEAD: Duration = Duration::from_secs(30);
/// How long to wait where the system has no room for another connection.
const PAUSE: Duration = Duration::from_millis(100);

/// The open connections.
pub(crate) struct Connections {
    routes: Router,
    tls: Option<TlsAcceptor>,
    ending: watch::Receiver<bool>,
    open: Arc<Semaphore>,
}

impl Connections {
    /// None yet. They end after their request when `ending` says so.
    pub(crate) fn new(routes: Router, tls: Option<TlsAcceptor>, ending: watch::Receiver<bool>) -> Self {
        Self { routes, tls, ending, open: Arc::new(Semaphore::new(MOST)) }
    }

    /// Waits until there is room for one more.
    pub(crate) async fn place(&self) -> Option<OwnedSemaphorePermit> {
        // Nobody closes it, so there is always a place in the end.
        Arc::clone(&self.open).acquire_owned().await.ok()
    }

    /// Serves a connection at its place.
    pub(crate) fn take(&self, stream: Box<dyn Stream>, place: Option<OwnedSemaphorePermit>) {
        let (routes, tls, ending) = (self.routes.clone(), self.tls.clone(), self.ending.clone());
        tokio::spawn(async move {
            let _place = place;
            match tls {
                None => serve(stream, routes, ending).await,
                Some(tls) => match tokio::time::timeout(LONGEST_HEAD, tls.accept(stream)).await {
                    Ok(Ok(stream)) => serve(stream, routes, ending).await,
                    Ok(Err(error)) => tracing::debug!(%error, "no TLS"),
                    Err(_) => tracing::debug!("no TLS in time"),
                },
            }
        });
    }

    /// Done when all have ended.
    pub(crate) async fn finished(&self) {
        let _ = self.open.acquire_many(MOST as u32).await;
    }
}

async fn serve(stream: impl Stream + 'static, routes: Router, mut ending: watch::Receiver<bool>) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(LONGEST_HEAD)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    tokio::pin!(connection);
    let asked = async { drop(ending.wait_for(|ending| *ending).await) };
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = asked => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // A client that leaves is no fault of the server.
        tracing::debug!(%error, "a connection ended");
    }
}

/// Connections that failed before they began are none of the server's business; a system without room gets a pause.
pub(crate) async fn wait_after(error: &Error) {
    use ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted) {
        tracing::warn!(%error, "cannot take a connection");
        tokio::time::sleep(PAUSE).await;
    }
}
