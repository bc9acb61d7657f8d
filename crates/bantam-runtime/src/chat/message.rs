//! Messages, tools and calls of tools, in JSON as the OpenAI interface has them.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Message {
    /// Who says it: `system`, `developer`, `user`, `assistant` or `tool`.
    pub role: String,
    /// What is said. JSON may have a text, null, or a list of parts of the type `text`.
    #[serde(default, deserialize_with = "content")]
    pub content: Option<String>,
    /// The name of who says it, or of the tool that answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Calls that an assistant makes.
    #[serde(default, deserialize_with = "null_as_none", skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// The call that a tool answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
}

impl Message {
    /// A message that is a text.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self { role: role.into(), content: Some(content.into()), ..Self::default() }
    }
}

/// A call of a tool, as an assistant makes it.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolCall {
    /// Names the call, so that an answer can refer to it.
    pub id: String,
    /// The tool.
    pub name: String,
    /// What it is called with: an object, or the text of what is none, such as a call that a limit cut.
    pub arguments: Value,
}

/// A tool that a model may call.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    /// What calls name it by.
    pub name: String,
    /// What it does, for the model.
    pub description: Option<String>,
    /// The JSON schema of its arguments.
    pub parameters: Value,
}

/// What an answer must call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolChoice {
    /// One tool or several, whichever.
    Required,
    /// This tool, once.
    Named(String),
}

#[derive(Deserialize)]
struct CallForm {
    #[serde(default)]
    id: String,
    function: CalledFunction,
}

#[derive(Deserialize)]
struct CalledFunction {
    name: String,
    #[serde(default)]
    arguments: Value,
}

impl<'de> Deserialize<'de> for ToolCall {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let CallForm { id, function } = CallForm::deserialize(deserializer)?;
        let arguments = match function.arguments {
            Value::Null => json!({}),
            Value::String(text) if text.trim().is_empty() => json!({}),
            Value::String(text) => match serde_json::from_str(&text) {
                Ok(object @ Value::Object(_)) => object,
                _ => Value::String(text),
            },
            object @ Value::Object(_) => object,
            _ => {
                let fault = format!("arguments of the call of {:?} are neither text nor object", function.name);
                return Err(D::Error::custom(fault));
            }
        };
        Ok(Self { id, name: function.name, arguments })
    }
}

impl Serialize for ToolCall {
    /// The arguments become a text of JSON.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.arguments.as_str().map_or_else(|| self.arguments.to_string(), str::to_owned);
        let function = json!({"name": self.name, "arguments": text});
        json!({"id": self.id, "type": "function", "function": function}).serialize(serializer)
    }
}

#[derive(Deserialize)]
struct ToolForm {
    function: DescribedFunction,
}

#[derive(Deserialize)]
struct DescribedFunction {
    name: String,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    parameters: Option<Value>,
}

impl<'de> Deserialize<'de> for Tool {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let DescribedFunction { name, description, parameters } = ToolForm::deserialize(deserializer)?.function;
        let parameters = parameters.unwrap_or_else(|| json!({"type": "object", "properties": {}}));
        if !parameters.is_object() {
            return Err(D::Error::custom(format!("parameters of the tool {name:?} are no JSON schema")));
        }
        Ok(Self { name, description, parameters })
    }
}

impl Serialize for Tool {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut function = json!({"name": self.name});
        if let Some(description) = &self.description {
            function["description"] = description.as_str().into();
        }
        function["parameters"] = self.parameters.clone();
        json!({"type": "function", "function": function}).serialize(serializer)
    }
}

fn null_as_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<ToolCall>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A text, null, or parts of which all are texts.
fn content<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        Value::Array(parts) => {
            let texts: Option<Vec<&str>> = parts.iter().map(|part| part["text"].as_str()).collect();
            let only = "content may have parts of the type text only";
            texts.map(|texts| Some(texts.concat())).ok_or_else(|| D::Error::custom(only))
        }
        _ => Err(D::Error::custom("content must be a text, null, or a list of parts")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_and_written_as_the_openai_interface_has_them() {
        let json = json!({"role": "assistant", "content": null, "tool_calls": [
            {"id": "call_a", "type": "function", "function": {"name": "weather", "arguments": "{\"city\":\"Rome\"}"}},
        ]});
        let message: Message = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(message.tool_calls[0].arguments, json!({"city": "Rome"}));
        assert_eq!(serde_json::to_value(&message).unwrap(), json);
        let parts = json!({"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]});
        assert_eq!(serde_json::from_value::<Message>(parts).unwrap(), Message::new("user", "ab"));
        let tool = json!({"type": "function", "function": {"name": "now", "parameters": {"type": "object"}}});
        assert_eq!(serde_json::to_value(serde_json::from_value::<Tool>(tool.clone()).unwrap()).unwrap(), tool);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let fault = |json: Value| serde_json::from_value::<Message>(json).unwrap_err().to_string();
        let image = json!({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]});
        assert!(fault(image).contains("parts of the type text"));
        let call = |arguments: Value| {
            let function = json!({"name": "f", "arguments": arguments});
            json!({"role": "assistant", "content": null, "tool_calls": [{"id": "a", "type": "function", "function": function}]})
        };
        assert!(fault(call(json!([1]))).contains("call of \"f\" are neither"));
        // A call that a limit cut comes back as it was told.
        for cut in ["{", "{\"city\": \"Ro", "[1]"] {
            let json = call(cut.into());
            assert_eq!(serde_json::to_value(serde_json::from_value::<Message>(json.clone()).unwrap()).unwrap(), json);
        }
    }
}
