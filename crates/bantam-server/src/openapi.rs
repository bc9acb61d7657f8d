//! `GET /openapi.json`: the endpoints, for programs; the fields of requests are those of [`known`](crate::known).

use axum::Json;
use serde_json::{Map, Value, json};

use crate::answers::DEADLINE_HEADER;
use crate::known::{PARTS, parsed};
use crate::routes::{ENDPOINTS, Endpoint};

/// What may go wrong with a request that has a body.
const FAILURES: &[(&str, &str)] = &[
    ("400", "A field is missing, unknown, not supported or has a wrong value: `param` names it"),
    ("401", "The request shows no key of this server"),
    ("404", "There is no model of that name"),
    ("413", "The body, or a text in it, is too large"),
    ("415", "The body is not sent as application/json"),
    ("429", "Too many wait: send it again after the seconds that Retry-After says"),
    ("500", "The answer could not be made; a fault of the program or the model"),
    ("503", "The server is ending"),
];
const LATE: (&str, &str) = ("504", "There was no answer before the deadline");

/// Describes all endpoints.
pub(crate) async fn openapi() -> Json<Value> {
    let (mut paths, mut schemas) = (Map::new(), Map::new());
    for endpoint in ENDPOINTS {
        let path = paths.entry(endpoint.path).or_insert_with(|| json!({}));
        path[endpoint.method.to_ascii_lowercase()] = operation(endpoint);
        schemas.extend(endpoint.known.map(|known| (known.name.to_owned(), known.schema())));
    }
    let text = json!({"type": "string"});
    let maybe = json!({"type": ["string", "null"]});
    let error = json!({"type": "object", "properties": {"error": {"type": "object", "properties": {
        "message": text, "type": text, "param": maybe, "code": maybe, "remedy": text,
    }}}});
    let plain = json!({"type": "object", "properties": {
        "error": text, "error_type": text, "param": maybe, "code": maybe, "remedy": text,
    }});
    schemas.extend([("Error".to_owned(), error), ("PlainError".to_owned(), plain)]);
    schemas.extend(PARTS.iter().map(|(name, schema)| ((*name).to_owned(), parsed(schema))));
    Json(json!({
        "openapi": "3.1.0",
        "info": {"title": "Bantam", "version": env!("CARGO_PKG_VERSION")},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"key": []}, {}],
    }))
}

fn operation(endpoint: &Endpoint) -> Value {
    let varying = endpoint.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut parameters: Vec<Value> = varying
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}))
        .collect();
    if endpoint.has_deadline() {
        parameters.push(json!({
            "name": DEADLINE_HEADER, "in": "header", "schema": {"type": "number", "exclusiveMinimum": 0},
            "description": "The seconds that the answer may take, where that is less than the server allows",
        }));
    }
    let mut operation =
        json!({"summary": endpoint.summary, "parameters": parameters, "responses": responses(endpoint)});
    if let Some(example) = endpoint.example.map(parsed) {
        let schema = match endpoint.known {
            Some(known) => json!({"$ref": format!("#/components/schemas/{}", known.name)}),
            None => json!({"type": "object"}),
        };
        let content = json!({"application/json": {"schema": schema, "example": example}});
        operation["requestBody"] = json!({"required": true, "content": content});
    }
    operation
}

/// What may come back, by its status.
fn responses(endpoint: &Endpoint) -> Value {
    let error = json!({"$ref": "#/components/schemas/Error"});
    // What every request passes, as the check of its key, has the one form for all.
    let errors = match endpoint.is_plain {
        true => json!({"anyOf": [{"$ref": "#/components/schemas/PlainError"}, error]}),
        false => error,
    };
    let content = json!({"application/json": {"schema": errors}});
    let mut fine = json!({"description": endpoint.summary});
    if let Some(known) = endpoint.known {
        fine["content"] = json!({"application/json": {"schema": parsed(known.answer)}});
    }
    let mut responses =
        json!({"200": fine, "default": {"description": "What is wrong, and what to do about it", "content": content}});
    let late = endpoint.has_deadline().then_some(&LATE);
    for (status, description) in FAILURES.iter().filter(|_| endpoint.example.is_some()).chain(late) {
        responses[*status] = json!({"description": description, "content": content});
    }
    if endpoint.example.is_some() {
        let header = json!({"description": "Seconds until it may be sent again", "schema": {"type": "integer"}});
        responses["429"]["headers"] = json!({"Retry-After": header});
    }
    responses
}
