//! The fields of each endpoint's requests, and what its answers look like.

use super::{Field, Known, field, other_name};

const MODEL: Field =
    field("model", r#"{"type": "string"}"#, "The model; without it, the first one that can answer the request");

const STREAM: &[Field] = &[
    field("stream", r#"{"type": "boolean", "default": false}"#, "Whether the answer comes in events as it is made"),
    field(
        "stream_options",
        r#"{"type": "object", "properties": {"include_usage": {"type": "boolean", "default": false}}}"#,
        "Whether a stream ends with how many tokens it took",
    ),
];

/// How tokens are chosen, and when an answer ends.
const SAMPLING: &[Field] = &[
    field("temperature", r#"{"type": "number", "minimum": 0, "maximum": 100, "default": 1}"#, "0 takes the likeliest"),
    field("top_k", r#"{"type": "integer", "minimum": -1, "default": 0}"#, "The likeliest so many; 0 and -1 are all"),
    field(
        "top_p",
        r#"{"type": "number", "minimum": 0, "maximum": 1, "default": 1}"#,
        "The likeliest of so much together",
    ),
    field(
        "min_p",
        r#"{"type": "number", "minimum": 0, "maximum": 1, "default": 0}"#,
        "Tokens at least so likely beside the likeliest",
    ),
    field(
        "typical_p",
        r#"{"type": "number", "exclusiveMinimum": 0, "maximum": 1, "default": 1}"#,
        "Tokens that surprise about as much as can be expected, of so much together",
    ),
    field(
        "repetition_penalty",
        r#"{"type": "number", "exclusiveMinimum": 0, "maximum": 100, "default": 1}"#,
        "Above 1, tokens of prompt and answer become less likely",
    ),
    other_name("repeat_penalty", "repetition_penalty"),
    field(
        "frequency_penalty",
        r#"{"type": "number", "minimum": -2, "maximum": 2, "default": 0}"#,
        "Taken off a token's score for each time the answer has it",
    ),
    field(
        "presence_penalty",
        r#"{"type": "number", "minimum": -2, "maximum": 2, "default": 0}"#,
        "Taken off a token's score once the answer has it",
    ),
    field(
        "logit_bias",
        r#"{"type": "object", "additionalProperties": {"type": "number", "minimum": -100, "maximum": 100}}"#,
        "Added to the scores of tokens, which are named by their ids",
    ),
    field("seed", r#"{"type": "integer"}"#, "The same seed gives the same answer; without it each is another"),
    field(
        "stop",
        r#"{"anyOf": [{"type": "string", "maxLength": 1024}, {"type": "array", "items": {"type": "string"}, "maxItems": 16}]}"#,
        "Texts before which the answer ends",
    ),
    field("ignore_eos", r#"{"type": "boolean", "default": false}"#, "Whether it goes on where the model would end it"),
];

const COUNT: Field = field(
    "n",
    r#"{"type": "integer", "minimum": 1, "maximum": 128, "default": 1}"#,
    "Answers to each prompt; with a seed, each has the seed after the one before",
);

/// The form of an answer.
const FORM: &[Field] = &[
    field(
        "response_format",
        r#"{"type": "object", "properties": {"type": {"enum": ["text", "json_object", "json_schema"]}, "json_schema": {"type": "object"}}}"#,
        "What the answer is: text, a JSON object, or JSON that fits a schema",
    ),
    field(
        "structured_outputs",
        r#"{"type": "object", "properties": {"json": {"type": ["object", "boolean", "string"]}, "json_object": {"type": "boolean"}, "regex": {"type": "string"}, "grammar": {"type": "string"}, "choice": {"type": "array", "items": {"type": "string"}}}, "additionalProperties": false}"#,
        "What the answer is, by one of these; grammars are those of llama.cpp (GBNF) or of Lark",
    ),
    field("guided_json", r#"{"type": ["object", "boolean", "string"]}"#, "As `json` of structured_outputs"),
    field("json_schema", r#"{"type": ["object", "boolean", "string"]}"#, "As `json` of structured_outputs"),
    field("guided_regex", r#"{"type": "string"}"#, "As `regex` of structured_outputs"),
    field("guided_grammar", r#"{"type": "string"}"#, "As `grammar` of structured_outputs"),
    field("grammar", r#"{"type": "string"}"#, "As `grammar` of structured_outputs"),
    field("guided_choice", r#"{"type": "array", "items": {"type": "string"}}"#, "As `choice` of structured_outputs"),
];

const TOOLS: &[Field] = &[
    field("tools", r#"{"type": "array", "items": {"type": "object"}, "maxItems": 128}"#, "Functions that it may call"),
    field(
        "tool_choice",
        r#"{"anyOf": [{"enum": ["none", "auto", "required"]}, {"type": "object"}], "default": "auto"}"#,
        "Whether it calls a function, and which",
    ),
];

const USAGE: &str = r#"{"type": "object", "properties": {"prompt_tokens": {"type": "integer"}, "completion_tokens": {"type": "integer"}, "total_tokens": {"type": "integer"}}}"#;

/// `POST /v1/chat/completions`.
pub(crate) const CHAT: Known = Known {
    name: "ChatCompletionRequest",
    required: &["messages"],
    groups: &[
        &[
            MODEL,
            field(
                "messages",
                r#"{"type": "array", "items": {"type": "object"}, "minItems": 1, "maxItems": 4096}"#,
                "The conversation: `role`, `content` and, of the model's, `tool_calls`",
            ),
            field(
                "max_completion_tokens",
                r#"{"type": "integer", "minimum": 0}"#,
                "The most tokens of an answer; without it, as many as the model has positions for",
            ),
            field(
                "max_tokens",
                r#"{"type": "integer", "minimum": 0}"#,
                "The same, where max_completion_tokens is not there",
            ),
            other_name("n_predict", "max_tokens"),
            other_name("max_new_tokens", "max_tokens"),
            COUNT,
            field(
                "logprobs",
                r#"{"type": "boolean", "default": false}"#,
                "Whether the probability of each token is told",
            ),
            field(
                "top_logprobs",
                r#"{"type": "integer", "minimum": 0, "maximum": 20, "default": 0}"#,
                "How many of the likeliest tokens are told beside each; needs logprobs",
            ),
        ],
        STREAM,
        SAMPLING,
        FORM,
        TOOLS,
    ],
    answer: r##"{"type": "object", "properties": {"id": {"type": "string"}, "object": {"const": "chat.completion"}, "created": {"type": "integer"}, "model": {"type": "string"}, "choices": {"type": "array", "items": {"type": "object", "properties": {"index": {"type": "integer"}, "message": {"type": "object", "properties": {"role": {"const": "assistant"}, "content": {"type": ["string", "null"]}, "tool_calls": {"type": "array", "items": {"type": "object"}}}}, "logprobs": {"type": ["object", "null"]}, "finish_reason": {"enum": ["stop", "length", "tool_calls"]}}}}, "usage": {"$ref": "#/components/schemas/Usage"}}}"##,
};

/// `POST /v1/completions`.
pub(crate) const COMPLETION: Known = Known {
    name: "CompletionRequest",
    required: &["prompt"],
    groups: &[
        &[
            MODEL,
            field(
                "prompt",
                r#"{"anyOf": [{"type": "string"}, {"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "integer"}, {"type": "array", "items": {"type": "integer"}}]}}]}"#,
                "A text, texts, token ids, or lists of these; 128 answers at most, with `n` for each",
            ),
            field("max_tokens", r#"{"type": "integer", "minimum": 0, "default": 16}"#, "The most tokens of an answer"),
            other_name("max_completion_tokens", "max_tokens"),
            other_name("n_predict", "max_tokens"),
            other_name("max_new_tokens", "max_tokens"),
            COUNT,
            field("best_of", r#"{"type": "integer"}"#, "May be what `n` is"),
            field(
                "logprobs",
                r#"{"type": "integer", "minimum": 0, "maximum": 20}"#,
                "Tells the probability of each token, and of so many of the likeliest",
            ),
        ],
        STREAM,
        SAMPLING,
        FORM,
    ],
    answer: r##"{"type": "object", "properties": {"id": {"type": "string"}, "object": {"const": "text_completion"}, "created": {"type": "integer"}, "model": {"type": "string"}, "choices": {"type": "array", "items": {"type": "object", "properties": {"index": {"type": "integer"}, "text": {"type": "string"}, "logprobs": {"type": ["object", "null"]}, "finish_reason": {"enum": ["stop", "length"]}}}}, "usage": {"$ref": "#/components/schemas/Usage"}}}"##,
};

/// `POST /v1/responses`.
pub(crate) const RESPONSE: Known = Known {
    name: "ResponseRequest",
    required: &["input"],
    groups: &[
        &[
            MODEL,
            field(
                "input",
                r#"{"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "object"}, "minItems": 1, "maxItems": 4096}]}"#,
                "A text, or messages, calls of functions and what came of them",
            ),
            field("instructions", r#"{"type": "string"}"#, "What comes before the conversation, for this request only"),
            field("previous_response_id", r#"{"type": "string"}"#, "The response that this one goes on from"),
            field(
                "max_output_tokens",
                r#"{"type": "integer", "minimum": 0}"#,
                "The most tokens of the answer; without it, as many as the model has positions for",
            ),
            other_name("max_tokens", "max_output_tokens"),
            other_name("max_completion_tokens", "max_output_tokens"),
            field(
                "text",
                r#"{"type": "object", "properties": {"format": {"type": "object"}}}"#,
                "What the answer is: `format` of the type text, json_object or json_schema",
            ),
            field("store", r#"{"type": "boolean", "default": true}"#, "Whether later requests can go on from it"),
            field("metadata", r#"{"type": "object"}"#, "Told again with the response"),
            field("include", r#"{"type": "array", "items": {"type": "string"}}"#, "What is told beside the answer"),
            field(
                "top_logprobs",
                r#"{"type": "integer", "minimum": 0, "maximum": 20}"#,
                "How many of the likeliest tokens are told beside each",
            ),
        ],
        STREAM,
        SAMPLING,
        TOOLS,
    ],
    answer: r##"{"type": "object", "properties": {"id": {"type": "string"}, "object": {"const": "response"}, "created_at": {"type": "integer"}, "status": {"enum": ["completed", "incomplete"]}, "incomplete_details": {"type": ["object", "null"]}, "model": {"type": "string"}, "output": {"type": "array", "items": {"type": "object", "properties": {"id": {"type": "string"}, "type": {"enum": ["message", "function_call"]}, "status": {"type": "string"}}}}, "usage": {"type": "object", "properties": {"input_tokens": {"type": "integer"}, "output_tokens": {"type": "integer"}, "total_tokens": {"type": "integer"}}}}}"##,
};

/// `POST /v1/embeddings`.
pub(crate) const EMBEDDING: Known = Known {
    name: "EmbeddingRequest",
    required: &["input"],
    groups: &[&[
        MODEL,
        field(
            "input",
            r#"{"anyOf": [{"type": "string"}, {"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "integer"}, {"type": "array", "items": {"type": "integer"}}]}, "maxItems": 2048}]}"#,
            "A text, texts, or the same as token ids",
        ),
        field("encoding_format", r#"{"enum": ["float", "base64"], "default": "float"}"#, "How numbers are written"),
        field("dimensions", r#"{"type": "integer", "minimum": 1}"#, "The first so many numbers; without it, all"),
    ]],
    answer: r##"{"type": "object", "properties": {"object": {"const": "list"}, "data": {"type": "array", "items": {"type": "object", "properties": {"object": {"const": "embedding"}, "index": {"type": "integer"}, "embedding": {"anyOf": [{"type": "array", "items": {"type": "number"}}, {"type": "string"}]}}}}, "model": {"type": "string"}, "usage": {"$ref": "#/components/schemas/Usage"}}}"##,
};

/// `POST /v1/classify`.
pub(crate) const CLASSIFY: Known = Known {
    name: "ClassifyRequest",
    required: &[],
    groups: &[&[
        MODEL,
        field("text", r#"{"type": "string", "maxLength": 10000}"#, "The text; this or `texts`"),
        field("texts", r#"{"type": "array", "items": {"type": "string"}, "maxItems": 1024}"#, "Texts; this or `text`"),
    ]],
    answer: r##"{"anyOf": [{"$ref": "#/components/schemas/Classified"}, {"type": "object", "properties": {"answers": {"type": "array", "items": {"$ref": "#/components/schemas/Classified"}}}}]}"##,
};

/// Parts that several answers have, by their names.
pub(crate) const PARTS: &[(&str, &str)] = &[
    ("Usage", USAGE),
    (
        "Classified",
        r#"{"type": "object", "properties": {"label": {"type": "string"}, "confidence": {"type": "number"}, "out_of_scope": {"type": "number"}, "in_scope": {"type": "boolean"}, "reply": {"type": "string"}, "entities": {"type": "array", "items": {"type": "object"}}, "alternatives": {"type": "array", "items": {"type": "array"}}}}"#,
    ),
];
