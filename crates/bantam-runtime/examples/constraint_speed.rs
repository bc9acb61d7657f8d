//! What holding an answer to a JSON schema costs: `cargo run --release -p bantam-runtime --example constraint_speed
//! [VOCABULARY]`.

use std::io::Write;
use std::time::{Duration, Instant};

use bantam_model::Random;
use bantam_runtime::constraints::Constraints;
use bantam_runtime::sampling::{Sampler, SamplingOptions};
use bantam_tokens::Tokenizer;
use serde_json::json;

/// Tokens of all answers together.
const TOKENS: usize = 4_000;

/// A byte-level tokenizer of random words.
fn tokenizer(vocabulary: usize) -> Tokenizer {
    let mut random = Random::new(7, 0);
    let mut ids = serde_json::Map::new();
    ids.insert("</s>".to_owned(), 0.into());
    let printable = ('!'..='~').map(String::from).chain(["Ġ".to_owned(), "Ċ".to_owned()]);
    let mut words: Vec<String> = printable.collect();
    while words.len() < vocabulary {
        let space = if random.below(2) == 0 { "Ġ" } else { "" };
        let letters = (0..2 + random.below(8)).map(|_| char::from(b'a' + random.below(26) as u8));
        words.push(letters.fold(space.to_owned(), |word, letter| word + &letter.to_string()));
    }
    for word in words {
        let id = ids.len();
        ids.entry(word).or_insert(id.into());
    }
    let end = json!({
        "id": 0, "content": "</s>", "special": true,
        "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
    });
    let value = json!({
        "version": "1.0", "added_tokens": [end], "normalizer": null,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "vocab": ids, "merges": []},
    });
    Tokenizer::from_bytes(value.to_string().as_bytes()).expect("it is a tokenizer")
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let vocabulary = std::env::args().nth(1).and_then(|argument| argument.parse().ok()).unwrap_or(49_152);
    let tokenizer = tokenizer(vocabulary);
    let began = Instant::now();
    let constraints = Constraints::new(&tokenizer, &[0], vocabulary)?;
    let made = began.elapsed();
    let schema = json!({
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 80}, "age": {"type": "integer", "minimum": 0, "maximum": 150},
            "notes": {"type": "array", "items": {"type": "string"}, "maxItems": 8},
            "kind": {"enum": ["refund", "delivery", "password"]},
        },
        "required": ["name", "age", "notes", "kind"], "additionalProperties": false,
    });
    let mut out = std::io::stdout().lock();
    let (mut times, mut starts): (Vec<Duration>, Vec<Duration>) = (Vec::new(), Vec::new());
    let mut logits = vec![0.0f32; vocabulary];
    let mut seed = 0;
    while times.len() < TOKENS {
        seed += 1;
        let began = Instant::now();
        let mut constraint = constraints.json_schema(&schema)?;
        starts.push(began.elapsed());
        let mut sampler = Sampler::new(SamplingOptions::default(), seed);
        for place in 0..300 {
            let mut random = Random::new(seed, place);
            logits.fill_with(|| random.normal());
            // What closes a text, or answers would be long.
            for (spelling, more) in [("\"", 9.0), ("}", 9.0), ("]", 9.0)] {
                logits[tokenizer.id(spelling).expect("it is printable") as usize] += more;
            }
            let began = Instant::now();
            let mask = constraint.mask();
            let time = began.elapsed();
            let Some(choice) = sampler.choose(&logits, Some(mask)).filter(|choice| choice.token != 0) else { break };
            let began = Instant::now();
            constraint.accept(choice.token);
            times.push(time + began.elapsed());
            if constraint.is_done() {
                break;
            }
        }
    }
    times.sort_unstable();
    starts.sort_unstable();
    let at = |times: &[Duration], share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e6;
    writeln!(out, "{vocabulary} tokens; made once: {:.0} ms", made.as_secs_f64() * 1e3)?;
    writeln!(out, "a schema: {:.0} us at the middle, {:.0} at most", at(&starts, 0.5), at(&starts, 1.0))?;
    writeln!(
        out,
        "a token: {:.1} us at the middle, {:.1} in 99 of 100, {:.1} at most",
        at(&times, 0.5),
        at(&times, 0.99),
        at(&times, 1.0)
    )?;
    Ok(())
}
