//! What a request may say about the choice of tokens, and what is wrong with it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How tokens are chosen. The default draws from the model's own distribution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SamplingOptions {
    /// Logits are divided by it: 0 takes the likeliest token (greedy), 1 is the model's own distribution; 0 to 100.
    pub temperature: f32,
    /// Only the `top_k` likeliest tokens are drawn from (Fan, Lewis, Dauphin 2018); 0 is all.
    pub top_k: usize,
    /// Only the likeliest tokens that together have this probability (Holtzman et al. 2019); 0 to 1, and 1 is all.
    pub top_p: f32,
    /// Only tokens at least this many times as probable as the likeliest (Nguyen et al. 2024); 0 to 1, and 0 is all.
    pub min_p: f32,
    /// Only the tokens of the most typical surprise that together have this probability (Meister et al. 2022); above 0,
    /// and 1 is all.
    pub typical_p: f32,
    /// Divides the positive and multiplies the negative logits of tokens seen before, prompt included (Keskar et al.
    /// 2019, CTRL); above 0 to 100, and 1 is none.
    pub repetition_penalty: f32,
    /// How many of the last tokens `repetition_penalty` looks at; 0 is all.
    pub penalty_window: usize,
    /// Taken off a token's logit for each time it was generated (OpenAI); -2 to 2.
    pub frequency_penalty: f32,
    /// Taken off a token's logit once if it was generated (OpenAI); -2 to 2.
    pub presence_penalty: f32,
    /// Added to the logits of these tokens; -100 to 100, where the ends all but forbid and force.
    pub logit_bias: BTreeMap<u32, f32>,
    /// The same seed gives the same tokens; without one the caller's seed is used.
    pub seed: Option<u64>,
}

impl Default for SamplingOptions {
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            typical_p: 1.0,
            repetition_penalty: 1.0,
            penalty_window: 0,
            frequency_penalty: 0.0,
            presence_penalty: 0.0,
            logit_bias: BTreeMap::new(),
            seed: None,
        }
    }
}

/// A value that cannot be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{field} is {value}, and must be {allowed}")]
pub struct SamplingError {
    /// The field, with the key inside it where there is one.
    pub field: String,
    /// What it says.
    pub value: String,
    /// What it may say.
    pub allowed: String,
}

impl SamplingOptions {
    /// Takes the likeliest token, always.
    pub fn greedy() -> Self {
        Self { temperature: 0.0, ..Self::default() }
    }

    /// Checks all values for a model of `vocabulary` tokens.
    ///
    /// # Errors
    /// [`SamplingError`] for the first value outside its range.
    pub fn validate(&self, vocabulary: usize) -> Result<(), SamplingError> {
        let closed = |field: &str, value: f32, low: f32, high: f32| {
            let fits = (low..=high).contains(&value);
            if fits { Ok(()) } else { Err(SamplingError::new(field, value, format!("from {low} to {high}"))) }
        };
        let above_zero = |field: &str, value: f32, high: f32| {
            let fits = value > 0.0 && value <= high;
            if fits { Ok(()) } else { Err(SamplingError::new(field, value, format!("above 0, up to {high}"))) }
        };
        closed("temperature", self.temperature, 0.0, 100.0)?;
        closed("top_p", self.top_p, 0.0, 1.0)?;
        closed("min_p", self.min_p, 0.0, 1.0)?;
        above_zero("typical_p", self.typical_p, 1.0)?;
        above_zero("repetition_penalty", self.repetition_penalty, 100.0)?;
        closed("frequency_penalty", self.frequency_penalty, -2.0, 2.0)?;
        closed("presence_penalty", self.presence_penalty, -2.0, 2.0)?;
        for (&token, &bias) in &self.logit_bias {
            if token as usize >= vocabulary {
                let allowed = format!("for token ids below the vocabulary's {vocabulary}");
                return Err(SamplingError::new(&format!("logit_bias[{token}]"), bias, allowed));
            }
            closed(&format!("logit_bias[{token}]"), bias, -100.0, 100.0)?;
        }
        Ok(())
    }
}

impl SamplingError {
    fn new(field: &str, value: f32, allowed: String) -> Self {
        Self { field: field.to_owned(), value: value.to_string(), allowed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(json: &str) -> String {
        let options: SamplingOptions = serde_json::from_str(json).unwrap();
        options.validate(100).unwrap_err().to_string()
    }

    #[test]
    fn defaults_and_round_trips_are_valid() {
        assert_eq!(serde_json::from_str::<SamplingOptions>("{}").unwrap(), SamplingOptions::default());
        let json =
            r#"{"temperature": 0.7, "top_k": 40, "logit_bias": {"7": -100, "99": 5}, "seed": 18446744073709551615}"#;
        let options: SamplingOptions = serde_json::from_str(json).unwrap();
        assert_eq!(options.validate(100), Ok(()));
        assert_eq!(options.logit_bias[&7], -100.0);
        assert_eq!(
            serde_json::from_str::<SamplingOptions>(&serde_json::to_string(&options).unwrap()).unwrap(),
            options
        );
    }

    #[test]
    fn errors_name_the_field_its_value_and_the_range() {
        assert_eq!(message(r#"{"temperature": -0.5}"#), "temperature is -0.5, and must be from 0 to 100");
        assert_eq!(message(r#"{"typical_p": 0}"#), "typical_p is 0, and must be above 0, up to 1");
        assert_eq!(message(r#"{"frequency_penalty": 3}"#), "frequency_penalty is 3, and must be from -2 to 2");
        assert_eq!(message(r#"{"logit_bias": {"5": 101}}"#), "logit_bias[5] is 101, and must be from -100 to 100");
        let outside = "logit_bias[100] is 1, and must be for token ids below the vocabulary's 100";
        assert_eq!(message(r#"{"logit_bias": {"100": 1}}"#), outside);
        assert!(serde_json::from_str::<SamplingOptions>(r#"{"topk": 3}"#).unwrap_err().to_string().contains("topk"));
    }

    #[test]
    fn what_is_no_number_is_refused_everywhere() {
        let spoil: [fn(&mut SamplingOptions) -> &mut f32; 7] = [
            |options| &mut options.temperature,
            |options| &mut options.top_p,
            |options| &mut options.min_p,
            |options| &mut options.typical_p,
            |options| &mut options.repetition_penalty,
            |options| &mut options.frequency_penalty,
            |options| &mut options.presence_penalty,
        ];
        for field in spoil {
            for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let mut options = SamplingOptions::default();
                *field(&mut options) = value;
                assert!(options.validate(100).is_err(), "{options:?}");
            }
        }
    }
}
