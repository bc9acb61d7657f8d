//! JSON schemas: what is not supported is found before the engine sees it, so that an error can say where.

use serde_json::{Map, Value};

/// Keywords that say something about values, and cannot be held to while an answer is written.
const UNSUPPORTED: [&str; 18] = [
    "not",
    "if",
    "then",
    "else",
    "contains",
    "minContains",
    "maxContains",
    "uniqueItems",
    "propertyNames",
    "dependencies",
    "dependentRequired",
    "dependentSchemas",
    "unevaluatedItems",
    "unevaluatedProperties",
    "$dynamicRef",
    "$recursiveRef",
    "x-guidance",
    "$vocabulary",
];
/// Keywords with a schema, or a list of schemas.
const INSIDE: [&str; 8] =
    ["items", "prefixItems", "additionalItems", "additionalProperties", "anyOf", "oneOf", "allOf", "contains"];
/// Keywords with schemas by name.
const NAMED: [&str; 4] = ["properties", "patternProperties", "$defs", "definitions"];
/// Nested deeper is an attack.
const DEEPEST: usize = 64;
/// The most objects in a schema, which may all refer to each other: this bounds how deep its reading goes.
pub(super) const MOST_OBJECTS: usize = 10_000;

/// The schema without what changes nothing, or the place of what is not supported, and what it is.
pub(super) fn checked(schema: &Value) -> Result<Value, (String, String)> {
    let count = objects(schema);
    if count > MOST_OBJECTS {
        return Err((String::new(), format!("it has {count} objects, more than {MOST_OBJECTS}")));
    }
    match schema {
        Value::Bool(true) => Ok(Value::Object(Map::new())),
        Value::Object(_) => at(schema, "", 0),
        _ => Err((String::new(), "it is no JSON object; write {\"type\": ...}".to_owned())),
    }
}

/// The objects in a value, with itself.
pub(super) fn objects(value: &Value) -> usize {
    match value {
        Value::Object(fields) => 1 + fields.values().map(objects).sum::<usize>(),
        Value::Array(items) => items.iter().map(objects).sum(),
        _ => 0,
    }
}

fn at(schema: &Value, place: &str, depth: usize) -> Result<Value, (String, String)> {
    if depth > DEEPEST {
        return Err((place.to_owned(), format!("it is nested deeper than {DEEPEST}")));
    }
    let Some(fields) = schema.as_object() else { return Ok(schema.clone()) };
    let mut checked = Map::new();
    for (key, value) in fields {
        let inner = format!("{place}/{}", key.replace('~', "~0").replace('/', "~1"));
        let value = match (key.as_str(), value) {
            ("uniqueItems", Value::Bool(false)) => continue,
            (key, _) if UNSUPPORTED.contains(&key) => {
                return Err((inner, format!("the keyword `{key}` is not supported; leave it out")));
            }
            (key, Value::Array(items)) if INSIDE.contains(&key) => {
                let each =
                    items.iter().enumerate().map(|(index, item)| at(item, &format!("{inner}/{index}"), depth + 1));
                each.collect::<Result<Value, _>>()?
            }
            (key, value) if INSIDE.contains(&key) => at(value, &inner, depth + 1)?,
            (key, Value::Object(named)) if NAMED.contains(&key) => {
                let each = named.iter().map(|(name, schema)| {
                    let place = format!("{inner}/{}", name.replace('~', "~0").replace('/', "~1"));
                    Ok((name.clone(), at(schema, &place, depth + 1)?))
                });
                Value::Object(each.collect::<Result<Map<_, _>, (String, String)>>()?)
            }
            (_, value) => value.clone(),
        };
        checked.insert(key.clone(), value);
    }
    Ok(checked.into())
}
