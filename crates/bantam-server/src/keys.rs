//! Keys of which a request has to show one, and origins whose pages may ask.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bantam_runtime::generation::engine::Owner;
use blake3::Hash;
use tower_http::cors::{AllowHeaders, AllowOrigin, Any, CorsLayer};

use crate::failure::Failure;

/// Where no key is needed: whoever looks after the server asks here, and pages hold no secrets.
const OPEN: [&str; 3] = ["/", "/health", "/ready"];

/// Who asks, as far as keys tell: nobody in particular where none is needed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Caller(Option<Hash>);

/// The keys, as hashes: these are compared in a time that tells nothing.
pub(crate) struct Keys(Vec<Hash>);

impl Caller {
    /// Whose turn its answers share, where keys tell callers apart.
    pub(crate) fn owner(self) -> Option<Owner> {
        self.0.map(Hash::into)
    }

    /// Whoever has this key.
    pub(crate) fn of(key: &str) -> Self {
        Self(Some(blake3::hash(key.as_bytes())))
    }
}

impl Keys {
    /// Takes note of the keys.
    pub(crate) fn new(keys: &[String]) -> Self {
        Self(keys.iter().map(|key| blake3::hash(key.as_bytes())).collect())
    }

    fn check(&self, headers: &HeaderMap) -> Result<Caller, Failure> {
        if self.0.is_empty() {
            return Ok(Caller::default());
        }
        let remedy = "send the header Authorization: Bearer KEY, or x-api-key: KEY";
        let refused = |message: &str, code| Failure::new(StatusCode::UNAUTHORIZED, message, remedy).with_code(code);
        let key = shown(headers).ok_or_else(|| refused("the request shows no key", "missing_api_key"))?;
        let caller = Caller::of(key);
        // All are compared, so that the time does not tell which one it was.
        let known = self.0.iter().filter(|&&hash| caller.0 == Some(hash)).count();
        if known > 0 { Ok(caller) } else { Err(refused("the key is not one of this server's", "invalid_api_key")) }
    }
}

fn shown(headers: &HeaderMap) -> Option<&str> {
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = text(header::AUTHORIZATION).and_then(|value| {
        let (scheme, key) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
    });
    bearer.or_else(|| text(header::HeaderName::from_static("x-api-key")))
}

/// Lets requests pass that show a key, and takes note of whose they are.
pub(crate) async fn guard(State(keys): State<Arc<Keys>>, mut request: Request, next: Next) -> Response {
    let caller = match keys.check(request.headers()) {
        Ok(caller) => caller,
        Err(_) if request.method().is_safe() && OPEN.contains(&request.uri().path()) => Caller::default(),
        Err(failure) => return failure.into_response(),
    };
    request.extensions_mut().insert(caller);
    next.run(request).await
}

/// Lets pages of these origins ask and read the answers; none where no origin is named, or one of them is no origin.
pub(crate) fn origins(origins: &[String]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let allowed = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()))
    };
    // Clients send headers of their own, such as what they run on; a key is in a header, which no browser adds by itself.
    let headers = AllowHeaders::mirror_request();
    let layer = CorsLayer::new().allow_origin(allowed).allow_methods(Any).allow_headers(headers);
    Some(layer.expose_headers([header::RETRY_AFTER]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(name: &'static str, value: &str) -> bool {
        let keys = Keys::new(&["one".to_owned(), "two".to_owned()]);
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        keys.check(&headers).is_ok()
    }

    #[test]
    fn a_key_is_one_of_them_as_a_whole() {
        assert!(checked("authorization", "Bearer one") && checked("authorization", "bearer two"));
        assert!(checked("x-api-key", "two"));
        for wrong in ["Bearer on", "Bearer onee", "Bearer ", "Basic one", "one", ""] {
            assert!(!checked("authorization", wrong), "{wrong:?}");
        }
        assert!(Keys::new(&[]).check(&HeaderMap::new()).is_ok());
    }
}
