//! The fields of requests: which there are, what they may hold, and what becomes of others.
//!
//! What is not in an endpoint's table is not read: a field that changes nothing is passed over ([`others::HARMLESS`]), one that would change
//! the answer is refused, and so is one that nobody knows. `/openapi.json` is made of the same tables.

mod nearest;
mod others;
mod tables;

use serde_json::{Map, Value, json};

use crate::failure::Failure;
use nearest::nearest;
pub(crate) use tables::{CHAT, CLASSIFY, COMPLETION, EMBEDDING, PARTS, RESPONSE};

/// A field that is followed.
pub(crate) struct Field {
    /// As requests spell it.
    pub(crate) name: &'static str,
    /// Its type, range and default: a JSON schema.
    schema: &'static str,
    /// What it does.
    summary: &'static str,
    /// The field that it is another name of.
    same_as: Option<&'static str>,
}

/// The fields of an endpoint's requests.
pub(crate) struct Known {
    /// What such a request is called in `/openapi.json`.
    pub(crate) name: &'static str,
    /// Fields that have to be there.
    required: &'static [&'static str],
    /// In groups that several endpoints have.
    groups: &'static [&'static [Field]],
    /// What the answer looks like: a JSON schema.
    pub(crate) answer: &'static str,
}

const fn field(name: &'static str, schema: &'static str, summary: &'static str) -> Field {
    Field { name, schema, summary, same_as: None }
}

const fn other_name(name: &'static str, same_as: &'static str) -> Field {
    Field { name, schema: "{}", summary: "", same_as: Some(same_as) }
}

impl Known {
    fn fields(&self) -> impl Iterator<Item = &'static Field> {
        self.groups.iter().flat_map(|group| group.iter())
    }

    /// The schema of a request. All fields may be null, which is as good as none.
    pub(crate) fn schema(&self) -> Value {
        let property = |field: &'static Field| {
            let first = self.fields().find(|other| field.same_as == Some(other.name)).unwrap_or(field);
            let mut schema = parsed(first.schema);
            schema["description"] = match field.same_as {
                Some(other) => format!("Another name of `{other}`").into(),
                None => field.summary.into(),
            };
            (field.name.to_owned(), schema)
        };
        let properties: Map<String, Value> = self.fields().map(property).collect();
        let passed = others::HARMLESS.join(", ");
        json!({
            "type": "object", "properties": properties, "required": self.required,
            "description": format!("A field that is null counts as none. Passed over: {passed}. Others are refused."),
        })
    }

    /// Gives fields their first names, drops those that change nothing, and refuses those that are not followed.
    ///
    /// # Errors
    /// Names the field, and what to send instead.
    pub(crate) fn check(&self, fields: Map<String, Value>) -> Result<Map<String, Value>, Failure> {
        let mut checked = Map::new();
        for (name, value) in fields {
            let known = self.fields().find(|field| field.name == name);
            let first = known.and_then(|field| field.same_as).unwrap_or(&name);
            if value.is_null() || (known.is_none() && others::HARMLESS.contains(&name.as_str())) {
                continue;
            }
            if known.is_none() {
                if others::is_neutral(&name, &value) {
                    continue;
                }
                return Err(self.refused(&name));
            }
            if first != name && others::is_neutral(&name, &value) {
                continue;
            }
            if checked.insert(first.to_owned(), value).is_some() {
                let message = format!("`{first}` is there under two names");
                return Err(Failure::field(&name, message, format!("send `{first}` only")));
            }
        }
        Ok(checked)
    }

    fn refused(&self, name: &str) -> Failure {
        if let Some(remedy) = others::remedy(name) {
            return Failure::field(name, format!("`{name}` is not supported"), remedy);
        }
        let remedy = match nearest(name, self.fields().map(|field| field.name)) {
            Some(near) => format!("send `{near}` if that is meant, or leave it out"),
            None => "leave it out; GET /openapi.json has the fields that there are".to_owned(),
        };
        Failure::field(name, format!("there is no field `{name}`"), remedy).with_code("unknown_field")
    }
}

/// A schema that stands in this program.
pub(crate) fn parsed(schema: &str) -> Value {
    serde_json::from_str(schema).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [&Known; 5] = [&CHAT, &COMPLETION, &RESPONSE, &EMBEDDING, &CLASSIFY];

    fn checked(known: &Known, value: Value) -> Result<Map<String, Value>, Value> {
        let Value::Object(fields) = value else { panic!("{value} is no object") };
        known.check(fields).map_err(|failure| failure.body()["error"].clone())
    }

    #[test]
    fn tables_are_whole() {
        for known in ALL {
            assert!(parsed(known.answer).is_object(), "{}", known.name);
            let names: Vec<&str> = known.fields().map(|field| field.name).collect();
            for field in known.fields() {
                assert!(parsed(field.schema).is_object(), "{}: {}", field.name, field.schema);
                assert_eq!(names.iter().filter(|name| **name == field.name).count(), 1, "{}", field.name);
                assert!(field.same_as.is_none_or(|first| names.contains(&first)), "{}", field.name);
                assert!(field.same_as.is_some() || !field.summary.is_empty(), "{}", field.name);
            }
            assert!(known.required.iter().all(|name| names.contains(name)));
        }
    }

    #[test]
    fn what_changes_nothing_passes_and_what_would_change_the_answer_is_refused() {
        let passed = json!({
            "user": "ann", "store": true, "n_predict": -1, "use_beam_search": false, "min_tokens": 0, "echo": false,
            "add_generation_prompt": true, "skip_special_tokens": true, "logprobs": null, "stop_token_ids": [],
        });
        assert_eq!(checked(&CHAT, passed), Ok(Map::new()));
        for refused in [
            json!({"use_beam_search": true}),
            json!({"min_tokens": 5}),
            json!({"add_generation_prompt": false}),
            json!({"continue_final_message": true}),
            json!({"skip_special_tokens": false}),
            json!({"stop_token_ids": [1]}),
            json!({"options": {"temperature": 0}}),
            json!({"functions": [{"name": "a"}]}),
        ] {
            let error = checked(&CHAT, refused.clone()).unwrap_err();
            assert_eq!(&error["param"], refused.as_object().unwrap().keys().next().unwrap());
            assert!(error["message"].as_str().unwrap().contains("not supported"), "{error}");
        }
    }

    #[test]
    fn other_names_are_the_first_ones_and_unknown_ones_tell_what_is_near() {
        let found = checked(&COMPLETION, json!({"repeat_penalty": 1.5, "n_predict": 4})).unwrap();
        assert_eq!(Value::Object(found), json!({"repetition_penalty": 1.5, "max_tokens": 4}));
        let twice = checked(&CHAT, json!({"repeat_penalty": 1.5, "repetition_penalty": 2})).unwrap_err();
        assert!(twice["message"].as_str().unwrap().contains("two names"), "{twice}");
        for known in [&CHAT, &COMPLETION, &RESPONSE] {
            let error = checked(known, json!({"temprature": 0})).unwrap_err();
            assert_eq!((&error["param"], &error["code"]), (&json!("temprature"), &json!("unknown_field")));
            assert!(error["remedy"].as_str().unwrap().contains("`temperature`"), "{error}");
        }
        let error = checked(&CHAT, json!({"frobnicate": 0})).unwrap_err();
        assert!(error["remedy"].as_str().unwrap().contains("leave it out;"), "{error}");
    }
}
