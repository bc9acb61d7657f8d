//! What every request passes: it is counted, and a line of the log tells of it, never of what it says.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;

use crate::service::Service;

/// Counts and logs a request.
pub(crate) async fn observe(State(service): State<Arc<Service>>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    // Paths that are no endpoint are anybody's invention, and are counted as one.
    let route = request.extensions().get::<MatchedPath>().map_or("none".to_owned(), |path| path.as_str().to_owned());
    let response = next.run(request).await;
    let (status, time) = (response.status().as_u16(), began.elapsed());
    service.metrics.requested(&route, status, time);
    tracing::info!(%method, route, status, seconds = time.as_secs_f64(), "request");
    response
}
