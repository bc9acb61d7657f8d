//! Small whole inputs of each kind, from which damaged ones are made. They are kept in `fuzz/corpus/`.

use std::fs;
use std::path::PathBuf;

use bantam_artifact::bundle::Reader;
use bantam_kernels::gemm::Precision;
use bantam_model::Weights;
use bantam_model::architectures::Architecture;
use bantam_model::architectures::llama::{Llama, LlamaConfig};
use bantam_model::arrays::write_safetensors;
use bantam_model::gguf::{TensorFormat, write_llama};
use bantam_runtime::sample;
use bantam_tokens::{Kind, Tokenizer, TrainOptions};

use crate::targets::trained;

/// The kept inputs of a target, by file name.
pub(crate) fn kept(target: &str) -> Vec<Vec<u8>> {
    let folder = folder(target);
    let mut paths: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}; write the seeds with BANTAM_FUZZ_SEEDS=write", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Writes the inputs that are made here.
pub(crate) fn write(target: &str) {
    let folder = folder(target);
    fs::create_dir_all(&folder).unwrap();
    for (index, seed) in made(target).iter().enumerate() {
        fs::write(folder.join(format!("seed-{index}")), seed).unwrap();
    }
}

fn folder(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target)
}

fn made(target: &str) -> Vec<Vec<u8>> {
    match target {
        "gguf" => [TensorFormat::F32, TensorFormat::Q4_0].into_iter().map(gguf).collect(),
        "safetensors" => {
            let llama = llama(16);
            let arrays = Weights::initialise(llama.schema(), 1, Precision::F32).to_arrays();
            vec![write_safetensors(&arrays), write_safetensors(&sample::quantised_parts().arrays)]
        }
        "bundle" => {
            let bytes = sample::quantised_parts().to_bytes();
            vec![sections(&bytes), bytes]
        }
        "tokenizer" => {
            let options = TrainOptions { vocabulary: 330, min_frequency: 1, ..TrainOptions::default() };
            let trained = |kind| Tokenizer::train(kind, sample::TEXTS, &options).unwrap().to_bytes();
            [Kind::Bpe, Kind::Unigram, Kind::WordPiece].into_iter().map(trained).collect()
        }
        "template" => TEMPLATES.iter().map(|text| text.as_bytes().to_vec()).collect(),
        "form" => FORMS.iter().map(|text| text.as_bytes().to_vec()).chain([references(), rules()]).collect(),
        "body" => BODIES.iter().map(|text| text.as_bytes().to_vec()).collect(),
        other => panic!("no target is called {other}"),
    }
}

fn llama(tokens: usize) -> Llama {
    Llama::new(LlamaConfig {
        vocab_size: tokens,
        hidden_size: 32,
        intermediate_size: 32,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        num_key_value_heads: Some(1),
        head_dim: None,
        max_position_embeddings: 64,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        tie_word_embeddings: true,
        variant: Default::default(),
    })
}

fn gguf(format: TensorFormat) -> Vec<u8> {
    let vocabulary = trained().to_gguf().unwrap();
    let llama = llama(vocabulary.tokens.len());
    let config = serde_json::from_value(llama.config()).unwrap();
    let arrays = Weights::initialise(llama.schema(), 1, Precision::F32).to_arrays();
    write_llama(&config, &arrays, Some(&vocabulary), format).unwrap()
}

/// A bundle's metadata, and names and bytes of its sections, each after its length.
fn sections(bytes: &[u8]) -> Vec<u8> {
    let bundle = Reader::new(bytes).unwrap();
    let mut pieces = vec![serde_json::to_vec(bundle.metadata()).unwrap()];
    for name in bundle.names() {
        pieces.extend([name.as_bytes().to_vec(), bundle.section(name).unwrap().to_vec()]);
    }
    pieces.iter().flat_map(|piece| [&(piece.len() as u32).to_le_bytes()[..], piece].concat()).collect()
}

const TEMPLATES: [&str; 3] = [
    "{%- for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message.content | trim }}<|im_end|>\n{% endfor %}\
     {% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
    "{% if tools %}{{ tools | tojson(indent=2) }}{% endif %}{% for m in messages if m.role != 'system' %}{% set last = loop.last %}\
     {{ bos_token if loop.first else '' }}[{{ m.role.upper() }}] {{ m.content[:20].split(' ') | join('_') }}{% if last %}!{% endif %}{% endfor %}",
    "{% macro show(m, depth=1) -%}{{ m.role.strip() }}: {{ m.content.replace('a', 'b') }}{%- endmacro %}{% for m in messages | reverse %}\
     {{ show(m, depth=loop.index0) }}{{ raise_exception('no') if m.role == 'tool' }}{% endfor %}{{ strftime_now('%Y') }}",
];

/// A schema whose parts refer to each other, one after another.
fn references() -> Vec<u8> {
    let each = (0..300).map(|index| format!(r##""d{index}": {{"$ref": "#/$defs/d{}"}}, "##, index + 1));
    let definitions: String = each.collect();
    format!(r##"schema\n{{"$defs": {{{definitions}"d300": {{"type": "null"}}}}, "$ref": "#/$defs/d0"}}"##).into_bytes()
}

/// A grammar whose rules stand for each other, one after another.
fn rules() -> Vec<u8> {
    let each: String = (0..300).map(|index| format!("r{index}: r{}\n", index + 1)).collect();
    format!("grammar\nstart: r0\n{each}r300: \"x\"\n").into_bytes()
}

const FORMS: [&str; 11] = [
    r##"schema
{"type": "object", "properties": {"name": {"type": "string", "maxLength": 8}, "age": {"type": "integer", "minimum": 3, "maximum": 120},
"tags": {"type": "array", "items": {"enum": ["a", "b", null, 7]}, "minItems": 1, "maxItems": 3}}, "required": ["name", "tags"],
"additionalProperties": false}"##,
    r##"schema
{"$defs": {"node": {"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}}}}, "$ref": "#/$defs/node",
"patternProperties": {"^x": {"type": "number", "exclusiveMaximum": 1.5}}}"##,
    r##"schema
{"allOf": [{"type": "string", "pattern": "^[A-Z]{2}-[0-9]{3}$"}, {"type": "string", "format": "date"}], "oneOf": [{"const": "a"}], "prefixItems": [true]}"##,
    r##"tools
[{"type": "function", "function": {"name": "find", "parameters": {"type": "object", "properties": {"city": {"$ref": "#/$defs/city"}},
"$defs": {"city": {"type": "string"}}}}}]"##,
    "regex\n(yes|no|perhaps), [0-9]{2,4} (a/b|é)?.*\\p{L}+(?i:x)[^a-z]{0,9}",
    "choices\nrefund\ndelivery (5)\nnaïve",
    "grammar\nstart: \"sum \" number (\"+\" number)*\nnumber: /[0-9]{1,3}/ | \"(\" start \")\"\n%ignore / +/\n",
    "grammar\nstart: A B? c{2,3}\nA: \"a\"..\"f\" & /[^c]/ | ~/[a-z]+/\nB: (\"x\"i | A)+\nc: %json {\"type\": \"boolean\"} | <|im_end|> | a[max_tokens=3]\na: /.*/\n",
    "grammar\n%llguidance {\"no_forcing\": true}\nstart[stop=\"x\"]: gen | %regex {\"substring_words\": \"a b c\"}\ngen[capture, temperature=0.5]: /[^x]*/\n",
    "grammar\n# a list\nroot ::= \"[\" item (\",\" item){0,3} \"]\" | item-b+\nitem ::= [a-z\\x30-9]+ | \"é\\n\" item?\nitem-b ::= (. | [^a\\]-]){2} |\n  \"\"\n",
    "grammar\nroot ::= ((\"a\"{0,9}){3,} root?)* <|im_end|> | ws\nws ::= ([ \\t\\u00e9] ws)?\n",
];

const BODIES: [&str; 6] = [
    "v1/chat/completions\n{\"model\": \"tiny\", \"messages\": [{\"role\": \"user\", \"content\": \"Hello\"}], \"max_tokens\": 4, \"temperature\": 0.7, \
     \"top_p\": 0.9, \"stop\": [\"x\"], \"seed\": 1, \"logprobs\": true, \"top_logprobs\": 2, \"stream\": true}",
    "v1/chat/completions\n{\"model\": \"tiny\", \"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"text\", \"text\": \"Hi\"}]}], \"n\": 2, \
     \"max_completion_tokens\": 4, \"tools\": [{\"type\": \"function\", \"function\": {\"name\": \"find\", \"parameters\": {\"type\": \"object\"}}}], \
     \"response_format\": {\"type\": \"json_schema\", \"json_schema\": {\"name\": \"a\", \"schema\": {\"type\": \"object\", \"properties\": {\"a\": {\"type\": \"integer\"}}}}}}",
    "v1/completions\n{\"model\": \"tiny\", \"prompt\": [1, 2, 3], \"max_tokens\": 4, \"logit_bias\": {\"3\": -100}, \"presence_penalty\": 0.5}",
    "v1/embeddings\n{\"model\": \"tiny\", \"input\": [\"a\", \"b\"], \"encoding_format\": \"base64\"}",
    "v1/responses\n{\"model\": \"tiny\", \"input\": \"Hello\", \"instructions\": \"Be short\", \"max_output_tokens\": 4, \"store\": false}",
    "v1/classify\n{\"model\": \"sample\", \"text\": \"where is my order?\"}",
];
