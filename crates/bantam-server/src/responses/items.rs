//! `GET /v1/responses/{id}/input_items`: what a kept response was asked with, in pages.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::{Extension, Json};
use serde_json::{Value, json};

use super::unknown;
use crate::failure::Failure;
use crate::keys::Caller;
use crate::service::Service;

/// Items of a page where the request says nothing, and the most that it may say.
const USUAL: usize = 20;
const MOST: usize = 100;

/// The items of a response's own input, the latest first unless `order` is `asc`, after the item `after`, as many as `limit`.
pub(crate) async fn input_items(
    State(service): State<Arc<Service>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>, Failure> {
    let kept = service.store.find(caller, &id).ok_or_else(|| unknown(&id, "id"))?;
    // Ids, numbers and words need no escapes.
    let query = query.unwrap_or_default();
    let asked: HashMap<&str, &str> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
    let mut items: Vec<&Value> = kept.items.iter().collect();
    match asked.get("order").copied().unwrap_or("desc") {
        "asc" => {}
        "desc" => items.reverse(),
        other => return Err(Failure::field("order", format!("order is {other:?}"), "take one of: asc, desc")),
    }
    let limit = match asked.get("limit").map(|limit| limit.parse::<usize>()) {
        None => USUAL,
        Some(Ok(limit)) if (1..=MOST).contains(&limit) => limit,
        Some(_) => {
            return Err(Failure::field("limit", "`limit` cannot be used", format!("send a number from 1 to {MOST}")));
        }
    };
    if let Some(&after) = asked.get("after") {
        let Some(place) = items.iter().position(|item| item["id"] == after) else {
            return Err(Failure::field("after", format!("there is no item {after:?}"), "send the id of an item"));
        };
        items.drain(..=place);
    }
    let has_more = items.len() > limit;
    items.truncate(limit);
    let id_of = |item: Option<&&Value>| item.map(|item| item["id"].clone());
    Ok(Json(json!({
        "object": "list", "data": items, "has_more": has_more,
        "first_id": id_of(items.first()), "last_id": id_of(items.last()),
    })))
}
