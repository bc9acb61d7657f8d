//! The server itself: its address, its routes, and an end that lets started requests finish.

use std::future::Future;
use std::io::{Error, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::{get, post};
use bantam_runtime::Assistant;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tower_http::timeout::TimeoutLayer;

use crate::failure::{self, Failure};
use crate::{classify, model, page};

/// How long a request may take, its body included: a client that sends nothing must not be kept for ever.
const LONGEST_REQUEST: Duration = Duration::from_secs(30);
/// How long started requests may go on once the end was asked for.
const LONGEST_DRAIN: Duration = Duration::from_secs(10);

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
    /// Listening failed later.
    #[error("the server stopped: {0}")]
    Stopped(Error),
}

/// The loaded model, and how many requests may compute at once.
pub(crate) struct Service {
    assistant: Arc<Assistant>,
    computing: Semaphore,
}

impl Service {
    fn new(assistant: Arc<Assistant>) -> Self {
        // More computing at once than there are cores makes every request slower and none faster.
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { assistant, computing: Semaphore::new(cores) }
    }

    /// The model.
    pub(crate) fn assistant(&self) -> &Assistant {
        &self.assistant
    }

    /// Runs `work` on a thread of its own, so that other connections go on meanwhile.
    pub(crate) async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Assistant) -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let failed = |_| {
            let remedy = "send it again; if it happens again, please report the text";
            Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "the model could not answer", remedy)
        };
        let closed = |_| Failure::new(StatusCode::SERVICE_UNAVAILABLE, "the server is ending", "send it again later");
        let _permit = self.computing.acquire().await.map_err(closed)?;
        let assistant = Arc::clone(&self.assistant);
        tokio::task::spawn_blocking(move || work(&assistant)).await.map_err(failed)
    }
}

/// Serves `assistant` on `address` until `shutdown` is done, then lets started requests finish. `on_ready` hears the
/// address that is listened on, which tells the port where 0 was asked for.
///
/// # Errors
/// [`ServeError`], when the address is in use or cannot be used.
pub async fn serve(
    assistant: Arc<Assistant>,
    address: SocketAddr,
    shutdown: impl Future<Output = ()> + Send + 'static,
    on_ready: impl FnOnce(SocketAddr),
) -> Result<(), ServeError> {
    let listener = TcpListener::bind(address).await.map_err(|source| match source.kind() {
        ErrorKind::AddrInUse => ServeError::Taken { address },
        _ => ServeError::Listen { address, source },
    })?;
    on_ready(listener.local_addr().map_err(ServeError::Stopped)?);
    let (asked, mut ending) = watch::channel(false);
    let shutdown = async move {
        shutdown.await;
        tracing::info!("no new connections; started requests go on");
        // Nobody listens any more where the server has stopped by itself.
        let _ = asked.send(true);
    };
    let drained = async move {
        // Where the sender is gone without a word, serving ends by itself.
        if ending.wait_for(|asked| *asked).await.is_err() {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(LONGEST_DRAIN).await;
    };
    let routes = routes(Arc::new(Service::new(assistant)));
    tokio::select! {
        done = axum::serve(listener, routes).with_graceful_shutdown(shutdown) => done.map_err(ServeError::Stopped),
        () = drained => Ok(()),
    }
}

fn routes(service: Arc<Service>) -> Router {
    Router::new()
        .route("/", get(page::page))
        .route("/health", get(model::health))
        .route("/v1/model", get(model::model))
        .route("/v1/classify", post(classify::classify))
        .fallback(failure::not_found)
        .method_not_allowed_fallback(failure::wrong_method)
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, LONGEST_REQUEST))
        .with_state(service)
}
