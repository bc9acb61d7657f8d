//! Fields of other servers that are not followed here: those that change no answer, and those that would.

use serde_json::Value;

/// Passed over, whatever they hold: they say who asks, how a provider bills and keeps, and how other servers go about the same answer.
pub(super) const HARMLESS: &[&str] = &[
    "user",
    "metadata",
    "store",
    "service_tier",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "prediction",
    "parallel_tool_calls",
    "cache_prompt",
    "id_slot",
    "keep_alive",
    "priority",
    "request_id",
    "guided_decoding_backend",
    "timings_per_token",
];

const FORM: &str = "send response_format or structured_outputs";
const HOW_CHOSEN: &str = "leave it out; temperature, top_k, top_p, min_p and typical_p say how tokens are chosen";
const IN_TEMPLATE: &str =
    "leave it out: the model's template makes the prompt; POST /v1/completions takes one as it is";

/// Refused, with what to do instead, unless they hold one of these values (as JSON), with which they change nothing.
/// An empty list, object or text never changes anything.
const REFUSED: &[(&str, &[&str], &str)] = &[
    // Another name is told apart from its first one only by what counts as none.
    ("n_predict", &["-1"], "send max_tokens"),
    ("echo", &["false"], "the answer does not begin with the prompt; join them"),
    ("suffix", &[], "put what comes before and after into the prompt as your model was taught, or leave it out"),
    ("best_of", &["1"], "ask for `n` answers and take the best"),
    ("use_beam_search", &["false"], "leave it out: each answer is drawn token by token"),
    ("length_penalty", &["1", "1.0"], "leave it out: it belongs to beam search"),
    ("early_stopping", &["false"], "leave it out: it belongs to beam search"),
    ("min_tokens", &["0"], "send ignore_eos and max_tokens for an answer of a certain length"),
    ("stop_token_ids", &[], "send texts as `stop`"),
    ("include_stop_str_in_output", &["false"], "add the stop text to the answer yourself"),
    ("bad_words", &[], "send logit_bias of -100 for their tokens; POST /tokenize tells them"),
    ("allowed_token_ids", &[], "send structured_outputs"),
    ("skip_special_tokens", &["true"], "leave it out: special tokens have no text; logprobs tell them"),
    ("spaces_between_special_tokens", &["true"], "leave it out: special tokens have no text"),
    ("continue_final_message", &["false"], "send the conversation as a prompt of POST /v1/completions"),
    ("add_generation_prompt", &["true"], "leave it out: the answer is always the next message"),
    ("add_special_tokens", &[], IN_TEMPLATE),
    ("chat_template", &[], IN_TEMPLATE),
    ("chat_template_kwargs", &[], IN_TEMPLATE),
    ("tool_prompt", &[], IN_TEMPLATE),
    ("documents", &[], "put them into the messages"),
    ("truncate_prompt_tokens", &[], "send a prompt that fits: nothing is cut silently"),
    ("truncation", &["\"disabled\""], "send a prompt that fits: nothing is cut silently"),
    ("prompt_logprobs", &["0", "false"], "leave it out: only tokens of answers are told with their probabilities"),
    ("n_probs", &["0"], "send logprobs"),
    ("return_token_ids", &["false"], "POST /tokenize tells the ids of a text"),
    ("repeat_last_n", &["-1"], "leave it out: repetition_penalty looks at the whole text"),
    ("mirostat", &["0"], HOW_CHOSEN),
    ("tfs_z", &["1", "1.0"], HOW_CHOSEN),
    ("dry_multiplier", &["0", "0.0"], HOW_CHOSEN),
    ("xtc_probability", &["0", "0.0"], HOW_CHOSEN),
    ("dynatemp_range", &["0", "0.0"], HOW_CHOSEN),
    ("samplers", &[], HOW_CHOSEN),
    ("options", &[], "send what is in it as fields of the request: temperature, top_p, max_tokens"),
    ("format", &[], FORM),
    ("guided_whitespace_pattern", &[], FORM),
    ("reasoning_effort", &["\"none\""], "leave it out: models here have no levels of effort"),
    ("reasoning", &[], "leave it out: models here have no levels of effort"),
    ("verbosity", &[], "say in the messages how long the answer should be"),
    ("modalities", &["[\"text\"]"], "this server writes text"),
    ("audio", &[], "this server writes text"),
    ("web_search_options", &[], "send functions as `tools`: this server has no tools of its own"),
    ("functions", &[], "send them as `tools`"),
    ("function_call", &[], "send it as `tool_choice`"),
    ("background", &["false"], "leave it out: this server answers at once"),
    ("conversation", &[], "go on from a response by previous_response_id"),
    ("max_tool_calls", &[], "leave it out: this server has no tools of its own"),
    ("prompt", &[], "send `input` of a response or `messages` of a chat; POST /v1/completions takes a prompt"),
    ("input", &[], "POST /v1/responses takes `input`; send `messages` of a chat, or `prompt` of a completion"),
    ("messages", &[], "POST /v1/chat/completions takes `messages`"),
];

/// What to do instead of sending this field, if it is one that other servers have.
pub(super) fn remedy(name: &str) -> Option<&'static str> {
    REFUSED.iter().find(|(known, ..)| *known == name).map(|&(_, _, remedy)| remedy)
}

/// Whether a known field that is not followed holds what changes nothing.
pub(super) fn is_neutral(name: &str, value: &Value) -> bool {
    let is_empty = match value {
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(fields) => fields.values().all(Value::is_null),
        _ => false,
    };
    let neutral = REFUSED.iter().find(|(known, ..)| *known == name).map(|&(_, neutral, _)| neutral);
    neutral.is_some_and(|neutral| is_empty || neutral.contains(&value.to_string().as_str()))
}
