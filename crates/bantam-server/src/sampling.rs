//! The fields of a request that say how its answer is made: those of OpenAI, and those of other servers.

use std::collections::BTreeMap;

use bantam_runtime::generation::GenerateOptions;
use bantam_runtime::sampling::SamplingOptions;

use crate::body::{Fields, OneOrMany};
use crate::failure::Failure;
use crate::identifier::seed;
use crate::service::{Language, Limits};

/// The most answers to one prompt.
const MOST_ANSWERS: usize = 128;
/// The most stop strings, and the most bytes in each.
const MOST_STOPS: usize = 16;
const MOST_STOP_BYTES: usize = 1024;

/// Reads the settings of an answer that has `tokens` tokens where the request says nothing. `limits_named` are the
/// names of the field that limits it, the latest first.
pub(crate) fn options(
    fields: &mut Fields,
    limits_named: &[&str],
    tokens: usize,
    language: &Language,
    limits: &Limits,
) -> Result<GenerateOptions, Failure> {
    let mut asked = None;
    for name in limits_named {
        let found = fields.take::<usize>(name)?;
        if let Some(found) = found.filter(|&found| found > limits.answer_tokens) {
            let remedy = format!("ask for {} at most", limits.answer_tokens);
            return Err(Failure::field(name, format!("{name} is {found}, more than this server answers with"), remedy));
        }
        asked = asked.or(found);
    }
    let plain = SamplingOptions::default();
    // Seeds below zero are as good as others.
    let asked_seed = fields.take::<i128>("seed")?.map(|number| number as u64);
    let sampling = SamplingOptions {
        temperature: fields.take("temperature")?.unwrap_or(plain.temperature),
        top_k: top_k(fields)?,
        top_p: fields.take("top_p")?.unwrap_or(plain.top_p),
        min_p: fields.take("min_p")?.unwrap_or(plain.min_p),
        typical_p: fields.take("typical_p")?.unwrap_or(plain.typical_p),
        repetition_penalty: fields.take("repetition_penalty")?.unwrap_or(plain.repetition_penalty),
        penalty_window: 0,
        frequency_penalty: fields.take("frequency_penalty")?.unwrap_or(plain.frequency_penalty),
        presence_penalty: fields.take("presence_penalty")?.unwrap_or(plain.presence_penalty),
        logit_bias: logit_bias(fields)?,
        seed: Some(asked_seed.unwrap_or_else(seed)),
    };
    sampling.validate(language.model().vocabulary()).map_err(|error| {
        let field = error.field.split('[').next().unwrap_or_default().to_owned();
        Failure::field(&field, format!("{} is {}", error.field, error.value), format!("it must be {}", error.allowed))
    })?;
    Ok(GenerateOptions {
        tokens: asked.unwrap_or(tokens).min(limits.answer_tokens),
        sampling,
        stop: stops(fields)?,
        ignores_end: fields.take("ignore_eos")?.unwrap_or(false),
        continues: false,
    })
}

/// How many answers are asked for.
pub(crate) fn answers(fields: &mut Fields) -> Result<usize, Failure> {
    let count = fields.take("n")?.unwrap_or(1);
    if (1..=MOST_ANSWERS).contains(&count) {
        return Ok(count);
    }
    Err(Failure::field("n", format!("n is {count}"), format!("ask for 1 to {MOST_ANSWERS} answers")))
}

/// The settings of the `index`th of several answers to one prompt: its own random numbers.
pub(crate) fn of_answer(options: &GenerateOptions, index: usize) -> GenerateOptions {
    let mut options = options.clone();
    options.sampling.seed = options.sampling.seed.map(|seed| seed.wrapping_add(index as u64));
    options
}

/// Other servers write -1 for all.
fn top_k(fields: &mut Fields) -> Result<usize, Failure> {
    let found = fields.take::<i64>("top_k")?.unwrap_or(0);
    match usize::try_from(found) {
        Ok(count) => Ok(count),
        Err(_) if found == -1 => Ok(0),
        Err(_) => Err(Failure::field("top_k", format!("top_k is {found}"), "send a number from 0, which is all")),
    }
}

fn logit_bias(fields: &mut Fields) -> Result<BTreeMap<u32, f32>, Failure> {
    let found: BTreeMap<String, f32> = fields.take("logit_bias")?.unwrap_or_default();
    let entry = |(token, bias): (String, f32)| match token.parse() {
        Ok(token) => Ok((token, bias)),
        Err(_) => {
            let message = format!("logit_bias has the key {token:?}, which is no token id");
            Err(Failure::field("logit_bias", message, "POST /tokenize tells the ids of a text"))
        }
    };
    found.into_iter().map(entry).collect()
}

fn stops(fields: &mut Fields) -> Result<Vec<String>, Failure> {
    let stops = fields.take::<OneOrMany>("stop")?.map(OneOrMany::into_list).unwrap_or_default();
    if stops.len() > MOST_STOPS || stops.iter().any(|stop| stop.len() > MOST_STOP_BYTES) {
        let remedy = format!("send {MOST_STOPS} strings of {MOST_STOP_BYTES} bytes at most");
        return Err(Failure::field("stop", format!("{} stop strings, or too long a one", stops.len()), remedy));
    }
    Ok(stops)
}
