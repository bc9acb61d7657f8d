//! What is done with bytes from outside, a function for each kind: whatever they are, it ends without a panic. `fuzz/` calls these, too.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::{LazyLock, mpsc};
use std::time::Duration;

use bantam_artifact::bundle::Writer;
use bantam_kernels::gemm::Precision;
use bantam_model::Weights;
use bantam_model::architectures::Architecture;
use bantam_model::architectures::llama::{Llama, LlamaConfig};
use bantam_model::arrays::read_safetensors;
use bantam_model::gguf::{Gguf, llama_of, vocabulary_of};
use bantam_runtime::chat::{ChatFormat, Message, Tool, ToolChoice};
use bantam_runtime::constraints::Constraints;
use bantam_runtime::generation::{LanguageModel, WeightFormat};
use bantam_runtime::{Assistant, BundleParts, sample};
use bantam_server::{Place, ServeOptions, Served, ServedModel, serve};
use bantam_tokens::{Kind, SpecialTokens, Tokenizer, TrainOptions};

const TEXT: &str = "Where is my order 4711? <|im_end|> \u{1f414} naïve\t\u{0}";

/// What is done with an input.
pub(crate) type Target = fn(&[u8]);

/// All targets by name, as their folders of seeds are called.
pub(crate) const TARGETS: [(&str, Target); 7] = [
    ("gguf", gguf),
    ("safetensors", safetensors),
    ("bundle", bundle),
    ("tokenizer", tokenizer),
    ("template", template),
    ("form", form),
    ("body", body),
];

/// A GGUF file: its model, and its vocabulary, which reads a text.
pub(crate) fn gguf(bytes: &[u8]) {
    let Ok(file) = Gguf::parse(bytes) else { return };
    if let Ok((config, arrays)) = llama_of(&file) {
        let llama = Llama::new(config);
        let _ = Weights::from_arrays(llama.schema(), &arrays, Precision::F32);
    }
    if let Ok(vocabulary) = vocabulary_of(file.into_metadata())
        && let Ok(tokenizer) = Tokenizer::from_gguf(vocabulary)
    {
        use_tokenizer(&tokenizer);
    }
}

/// A safetensors file.
pub(crate) fn safetensors(bytes: &[u8]) {
    if let Ok(arrays) = read_safetensors(bytes) {
        arrays.values().for_each(|array| drop(array.to_f32()));
    }
}

/// A bundle; bytes that are sections, each a length (u32) and its bytes, are sealed as a bundle before, since the hashes of a bundle refuse all
/// that was changed.
pub(crate) fn bundle(bytes: &[u8]) {
    let path = Path::new("bundle");
    let sealed = sealed(bytes);
    for bytes in [Some(bytes), sealed.as_deref()].into_iter().flatten() {
        if let Ok(parts) = BundleParts::from_bytes(bytes, path)
            && let Ok(assistant) = Assistant::from_parts(parts)
        {
            assistant.answer(TEXT);
        }
    }
}

/// Metadata, then name and bytes of each section.
fn sealed(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut next = || {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let (piece, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        bytes = rest;
        Some(piece)
    };
    let metadata = serde_json::from_slice(next()?).ok()?;
    let mut writer = Writer::new();
    while let (Some(name), Some(section)) = (next(), next()) {
        writer.add(std::str::from_utf8(name).ok()?, section.to_vec());
    }
    Some(writer.to_bytes(&metadata))
}

/// A `tokenizer.json`.
pub(crate) fn tokenizer(bytes: &[u8]) {
    if let Ok(tokenizer) = Tokenizer::from_bytes(bytes) {
        use_tokenizer(&tokenizer);
    }
}

fn use_tokenizer(tokenizer: &Tokenizer) {
    let ids = tokenizer.encode(TEXT, 64);
    tokenizer.decode(&ids);
    drop(tokenizer.token_bytes());
    drop(ChatFormat::plain().render(tokenizer, &conversation(), &[], true));
}

/// A chat template.
pub(crate) fn template(bytes: &[u8]) {
    static TOKENIZER: LazyLock<Tokenizer> = LazyLock::new(trained);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(format) = ChatFormat::new(text, &TOKENIZER) {
        let tool = serde_json::json!({"name": "find", "description": TEXT, "parameters": {"type": "object"}});
        let tools: Vec<Tool> = serde_json::from_value(serde_json::json!([tool])).unwrap_or_default();
        drop(format.render(&TOKENIZER, &conversation(), &tools, true));
    }
}

/// Tokens of an answer that must have a form.
const FORMED: usize = 64;

/// The form of an answer: what it is called, a line break, and how it is spelled. An answer is followed as far as it goes, its tokens chosen by
/// the bytes.
pub(crate) fn form(bytes: &[u8]) {
    static MODEL: LazyLock<(Tokenizer, Constraints)> = LazyLock::new(|| {
        let tokenizer = trained();
        let ends: Vec<u32> = tokenizer.special().end.into_iter().collect();
        let constraints = Constraints::new(&tokenizer, &ends, tokenizer.vocabulary_size());
        (tokenizer, constraints.expect("its tokens have bytes"))
    });
    let (tokenizer, constraints) = &*MODEL;
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Some((kind, spelled)) = text.split_once('\n') else { return };
    let json = || serde_json::from_str::<serde_json::Value>(spelled).ok();
    let made = match kind {
        "schema" => json().map(|schema| constraints.json_schema(&schema)),
        "tools" => json().and_then(|tools| serde_json::from_value::<Vec<Tool>>(tools).ok()).map(|tools| {
            let format = ChatFormat::new("<tool_call>", tokenizer).unwrap_or_else(|_| ChatFormat::plain());
            constraints.tool_call(&format, &tools, &ToolChoice::Required)
        }),
        "regex" => Some(constraints.regex(spelled)),
        "choices" => Some(constraints.choices(&spelled.lines().map(str::to_owned).collect::<Vec<_>>())),
        "grammar" => Some(constraints.grammar(spelled)),
        _ => None,
    };
    let Some(Ok(mut constraint)) = made else { return };
    for byte in bytes.iter().cycle().take(FORMED) {
        let mask = constraint.mask();
        let allowed: Vec<u32> = (0..tokenizer.vocabulary_size() as u32).filter(|&token| mask.allows(token)).collect();
        let Some(&token) = allowed.get(usize::from(*byte) % allowed.len().max(1)) else { break };
        constraint.accept(token);
        if constraint.is_done() || constraint.fault().is_some() {
            break;
        }
    }
}

fn conversation() -> Vec<Message> {
    vec![Message::new("system", "Be short."), Message::new("user", TEXT), Message::new("assistant", "Here.")]
}

pub(crate) fn trained() -> Tokenizer {
    let extra = ["<|im_start|>", "<|im_end|>"].map(str::to_owned).to_vec();
    let special = SpecialTokens { extra, ..SpecialTokens::decoder() };
    let options = TrainOptions { vocabulary: 330, min_frequency: 1, special, ..TrainOptions::default() };
    Tokenizer::train(Kind::Bpe, sample::TEXTS, &options).expect("the texts are fixed")
}

/// A path of the server, a line break, and the body of a request to it; the answer is a reply of HTTP, and no failure of the server's own.
pub(crate) fn body(bytes: &[u8]) {
    static SERVER: LazyLock<SocketAddr> = LazyLock::new(started);
    let Some(at) = bytes.iter().position(|&byte| byte == b'\n') else { return };
    let (path, body) = (&bytes[..at], &bytes[at + 1..]);
    // Other letters would make another request of it.
    let path: String = path.iter().map(|&byte| char::from(byte)).filter(char::is_ascii_graphic).collect();
    let head = format!(
        "POST /{} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        path.trim_start_matches('/'),
        body.len()
    );
    let mut reply = Vec::new();
    let mut stream = TcpStream::connect(*SERVER).expect("the server listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time from 0");
    // The server may answer before it has read all.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
    if let Err(fault) = stream.read_to_end(&mut reply) {
        assert!(fault.kind() == std::io::ErrorKind::ConnectionReset, "no answer: {fault}");
    }
    assert!(!reply.starts_with(b"HTTP/1.1 500"), "{}", String::from_utf8_lossy(&reply));
}

/// A server that goes on until the program ends.
fn started() -> SocketAddr {
    let tokenizer = trained();
    let llama = Llama::new(LlamaConfig {
        vocab_size: tokenizer.vocabulary_size(),
        hidden_size: 32,
        intermediate_size: 32,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        num_key_value_heads: None,
        head_dim: None,
        max_position_embeddings: 256,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        tie_word_embeddings: true,
        variant: Default::default(),
    });
    let weights = Weights::initialise(llama.schema(), 1, Precision::F32);
    let (tell, hear) = mpsc::channel();
    std::thread::spawn(move || {
        let model = LanguageModel::new(Box::new(llama), &weights, Some(tokenizer), WeightFormat::F32);
        let assistant = Assistant::from_parts(sample::quantised_parts()).expect("the sample is whole");
        let models = vec![
            Served { name: "tiny".to_owned(), model: ServedModel::Language(Box::new(model)) },
            Served { name: "sample".to_owned(), model: ServedModel::Bundle(Box::new(assistant)) },
        ];
        let place = Place::Address(([127, 0, 0, 1], 0).into());
        let options = ServeOptions { answer_tokens: Some(8), ..ServeOptions::at(place) };
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads");
        let ready = move |place: &Place| {
            if let Place::Address(address) = place {
                let _ = tell.send(*address);
            }
        };
        runtime.block_on(serve(models, options, std::future::pending(), ready))
    });
    hear.recv().expect("the server starts")
}
