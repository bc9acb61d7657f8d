//! Whatever breaks in one request costs that request only.

use std::sync::Arc;

use bantam_kernels::gemm::Precision;
use bantam_model::architectures::llama::Llama;
use bantam_model::architectures::{Architecture, TokenPredictor};
use bantam_model::schema::{Entry, Schema};
use bantam_model::{Batch, Pass, Weights};
use bantam_tensor::{Matrix, Tensor};

use super::tests::{VOCABULARY, ask, collect, ids, llama, model, options, prompt, request};
use super::*;
use crate::generation::{Finish, WeightFormat, generate};
use crate::sampling::{Constraint, SamplingOptions, TokenMask};

/// Allows everything, until the question that breaks it.
struct Breaking {
    mask: TokenMask,
    question: &'static str,
    left: usize,
}

impl Breaking {
    fn asked(&mut self, question: &str) {
        if question == self.question {
            self.left = self.left.checked_sub(1).unwrap_or_else(|| panic!("{question} broke"));
        }
    }
}

impl Constraint for Breaking {
    fn mask(&mut self) -> &TokenMask {
        self.asked("mask");
        &self.mask
    }

    fn accept(&mut self, _: u32) {
        self.asked("accept");
    }

    fn is_done(&self) -> bool {
        assert!(self.question != "is_done", "is_done broke");
        false
    }

    fn fault(&self) -> Option<&str> {
        panic!("fault broke")
    }
}

#[test]
fn a_form_that_panics_fails_its_answer_and_no_other() {
    let model = model(WeightFormat::Int4, 1000);
    let engine = Engine::start(Arc::clone(&model), EngineOptions::default());
    let free = options(12, SamplingOptions::greedy());
    let alone = generate(&model, &[7, 8], &free, None, &mut |_| true).unwrap();
    for (question, answered) in [("mask", 3), ("accept", 4), ("is_done", 1)] {
        let asked: Vec<_> = (0..4)
            .map(|index| {
                let (mut request, events) = request(&[7, 8], free.clone(), usize::MAX);
                if index == 1 {
                    let mut mask = TokenMask::none(VOCABULARY);
                    (0..VOCABULARY as u32).for_each(|token| mask.allow(token));
                    request.constraint = Some(Box::new(Breaking { mask, question, left: 3 }));
                }
                engine.submit(request).unwrap();
                events
            })
            .collect();
        for (index, events) in asked.iter().enumerate() {
            let (tokens, finished) = collect(events);
            let finished = finished.unwrap();
            if index == 1 {
                assert_eq!((finished.finish, tokens.len()), (Finish::Failed, answered), "{question}");
                let told = finished.fault.unwrap();
                assert!(told.contains("form") && told.contains(&format!("{question} broke")), "{told}");
            } else {
                assert_eq!((finished.finish, ids(&tokens)), (Finish::Length, alone.tokens.clone()), "{question}");
            }
        }
    }
    let mut none = TokenMask::none(VOCABULARY);
    none.allow(3);
    let constraint = Box::new(Breaking { mask: none, question: "mask", left: 1 });
    let failed = generate(&model, &[7, 8], &free, Some(constraint), &mut |_| true).unwrap_err().to_string();
    assert!(failed.contains("mask broke"), "{failed}");
}

#[test]
fn a_sink_that_panics_is_a_caller_that_left() {
    let engine = Engine::start(model(WeightFormat::Int4, 3000), EngineOptions::default());
    let greedy = options(30, SamplingOptions::greedy());
    let whole = ids(&ask(&engine, &[4, 5], greedy.clone()).0);
    let (first, events) = request(&[4, 5], greedy.clone(), usize::MAX);
    engine.submit(first).unwrap();
    let (mut answered, _) = request(&[4, 5], greedy.clone(), usize::MAX);
    answered.sink = Box::new(|event| !matches!(event, Event::Token(_)) || panic!("a sink broke"));
    engine.submit(answered).unwrap();
    let (mut read, _) = request(&prompt(&mut bantam_model::Random::new(3, 0), 2000), greedy.clone(), usize::MAX);
    read.sink = Box::new(|_| panic!("a sink broke"));
    engine.submit(read).unwrap();
    assert_eq!(ids(&collect(&events).0), whole);
    assert_eq!(ids(&ask(&engine, &[4, 5], greedy).0), whole);
    engine.drain();
    let status = engine.status();
    assert_eq!((status.running, status.past_bytes, status.cancelled_requests), (0, 0, 2));
}

/// A Llama that cannot read its last token.
struct Fragile(Llama);

impl Architecture for Fragile {
    fn schema(&self) -> &Arc<Schema> {
        self.0.schema()
    }

    fn config(&self) -> serde_json::Value {
        self.0.config()
    }

    fn max_tokens(&self) -> usize {
        self.0.max_tokens()
    }

    fn vocabulary(&self) -> usize {
        self.0.vocabulary()
    }

    fn hidden(&self, weights: &Weights, batch: &Batch, pass: &mut Pass) -> Vec<Tensor> {
        assert!(!batch.tokens().contains(&(VOCABULARY as u32 - 1)), "it cannot be read");
        self.0.hidden(weights, batch, pass)
    }
}

impl TokenPredictor for Fragile {
    fn before_head(&self, weights: &Weights, hidden: &Tensor, pass: &mut Pass) -> Tensor {
        self.0.before_head(weights, hidden, pass)
    }

    fn head(&self, weights: &Weights) -> Matrix {
        self.0.head(weights)
    }

    fn head_entry(&self) -> &Entry {
        self.0.head_entry()
    }
}

#[test]
fn a_step_that_panics_fails_what_was_in_it_and_the_engine_goes_on() {
    let fragile = Fragile(llama(1000));
    let weights = Weights::initialise(fragile.schema(), 3, Precision::F32);
    let model = Arc::new(LanguageModel::new(Box::new(fragile), &weights, None, WeightFormat::F32));
    let engine = Engine::start(Arc::clone(&model), EngineOptions::default());
    let greedy = options(5, SamplingOptions::greedy());
    let before = ids(&ask(&engine, &[4; 40], greedy.clone()).0);
    for _ in 0..2 {
        let (tokens, finished) = ask(&engine, &[4, VOCABULARY as u32 - 1], greedy.clone());
        assert!(tokens.is_empty() && finished.finish == Finish::Failed);
        let told = finished.fault.unwrap();
        assert!(told.contains("it cannot be read") && told.contains("fault of the program"), "{told}");
        assert_eq!(ids(&ask(&engine, &[4; 40], greedy.clone()).0), before);
    }
    engine.drain();
    assert_eq!((engine.status().running, engine.status().past_bytes), (0, 0));
}
