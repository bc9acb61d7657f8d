//! `GET /openapi.json`: the endpoints, for programs.

use axum::Json;
use serde_json::{Map, Value, json};

use crate::routes::ENDPOINTS;

/// Describes all endpoints.
pub(crate) async fn openapi() -> Json<Value> {
    let mut paths = Map::new();
    for endpoint in ENDPOINTS {
        let parameters: Vec<Value> = endpoint
            .path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
            .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}))
            .collect();
        let error = json!({"$ref": "#/components/schemas/Error"});
        // What every request passes, as the check of its key, has the one form for all.
        let errors = match endpoint.is_plain {
            true => json!({"anyOf": [{"$ref": "#/components/schemas/PlainError"}, error]}),
            false => error,
        };
        let mut operation = json!({
            "summary": endpoint.summary,
            "parameters": parameters,
            "responses": {
                "200": {"description": endpoint.summary},
                "default": {"description": "What is wrong, and what to do about it",
                    "content": {"application/json": {"schema": errors}}},
            },
        });
        if let Some(example) = endpoint.example.and_then(|example| serde_json::from_str::<Value>(example).ok()) {
            let content = json!({"application/json": {"schema": {"type": "object"}, "example": example}});
            operation["requestBody"] = json!({"required": true, "content": content});
        }
        let path = paths.entry(endpoint.path).or_insert_with(|| json!({}));
        path[endpoint.method.to_ascii_lowercase()] = operation;
    }
    let text = json!({"type": "string"});
    let maybe = json!({"type": ["string", "null"]});
    let error = json!({"type": "object", "properties": {"error": {"type": "object", "properties": {
        "message": text, "type": text, "param": maybe, "code": maybe, "remedy": text,
    }}}});
    let plain = json!({"type": "object", "properties": {
        "error": text, "error_type": text, "param": maybe, "code": maybe, "remedy": text,
    }});
    Json(json!({
        "openapi": "3.1.0",
        "info": {"title": "Bantam", "version": env!("CARGO_PKG_VERSION")},
        "paths": paths,
        "components": {
            "schemas": {"Error": error, "PlainError": plain},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"key": []}, {}],
    }))
}
