//! `GET /`: one page to talk to the model, with nothing fetched from anywhere else.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderName, header};
use axum::response::{Html, IntoResponse};

use crate::failure::Failure;
use crate::service::Service;

const BUNDLE_PAGE: &str = include_str!("page.html");

/// The page's own script and style only, and requests to this server only.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The chat page of what is being served: there is one for bundles.
pub(crate) async fn page(State(service): State<Arc<Service>>) -> Result<impl IntoResponse, Failure> {
    service.bundle(None)?;
    let headers: [(HeaderName, &str); 3] = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    Ok((headers, Html(BUNDLE_PAGE)))
}
