//! Whatever breaks in one request costs that request only.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use bantam_kernels::gemm::Precision;
use bantam_model::architectures::llama::Llama;
use bantam_model::architectures::{Architecture, TokenPredictor};
use bantam_model::schema::{Entry, Schema};
use bantam_model::{Batch, Pass, Weights};
use bantam_tensor::{Matrix, Tensor};

use super::tests::{VOCABULARY, ask, collect, held, ids, llama, model, options, prompt, request};
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
        if self.question == "work" {
            self.left -= 1;
        }
    }

    fn is_done(&self) -> bool {
        assert!(self.question != "is_done", "is_done broke");
        false
    }

    fn fault(&self) -> Option<&str> {
        assert!(self.question != "fault", "fault broke");
        (self.question == "work" && self.left == 0).then_some("work broke")
    }
}

#[test]
fn a_form_that_panics_fails_its_answer_and_no_other() {
    let model = model(WeightFormat::Int4, 1000);
    let engine = Engine::start(Arc::clone(&model), EngineOptions::default());
    let free = options(12, SamplingOptions::greedy());
    let alone = generate(&model, &[7, 8], &free, None, &mut |_| true).unwrap();
    for (question, answered) in [("mask", 3), ("accept", 4), ("is_done", 1), ("fault", 1), ("work", 3)] {
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

/// A Llama that cannot read its last token, and whose engine cannot ask for its positions once there are no questions left.
struct Fragile(Llama, Arc<AtomicUsize>);

fn fragile() -> (Engine, Arc<AtomicUsize>) {
    let questions = Arc::new(AtomicUsize::new(usize::MAX));
    let fragile = Fragile(llama(1000), Arc::clone(&questions));
    let weights = Weights::initialise(fragile.schema(), 3, Precision::F32);
    let model = LanguageModel::new(Box::new(fragile), &weights, None, WeightFormat::F32);
    (Engine::start(Arc::new(model), EngineOptions::default()), questions)
}

impl Architecture for Fragile {
    fn schema(&self) -> &Arc<Schema> {
        self.0.schema()
    }

    fn config(&self) -> serde_json::Value {
        self.0.config()
    }

    fn max_tokens(&self) -> usize {
        if std::thread::current().name() == Some("bantam-engine") {
            assert!(self.1.fetch_sub(1, Ordering::Relaxed) > 0, "its positions cannot be told");
        }
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
    let (engine, _) = fragile();
    let greedy = options(5, SamplingOptions::greedy());
    let before = ids(&ask(&engine, &[4; 40], greedy.clone()).0);
    for _ in 0..2 {
        let (tokens, finished) = ask(&engine, &[4, VOCABULARY as u32 - 1], greedy.clone());
        assert!(tokens.is_empty() && finished.finish == Finish::Failed);
        let told = finished.fault.unwrap();
        assert!(told.contains("fault of the program") && !told.contains("cannot be read"), "{told}");
        assert_eq!(ids(&ask(&engine, &[4; 40], greedy.clone()).0), before);
    }
    assert!(engine.is_open());
    engine.drain();
    let status = engine.status();
    assert_eq!((status.running, status.past_bytes, status.finished_requests), (0, 0, 5));
}

#[test]
fn a_request_that_breaks_as_it_is_begun_fails_alone() {
    let greedy = || options(60, SamplingOptions::greedy());
    // First it is asked whether there is room for it beside the other, about both; then it is begun.
    for left in 0..3 {
        let (engine, questions) = fragile();
        let (mut first, first_events) = request(&[4; 40], greedy(), usize::MAX);
        let (is_running, hold) = held(&mut first);
        engine.submit(first).unwrap();
        is_running.recv().unwrap();
        let (second, events) = request(&[4, 9, 9], greedy(), usize::MAX);
        engine.submit(second).unwrap();
        questions.store(left, Ordering::Relaxed);
        drop(hold);
        let (tokens, finished) = collect(&events);
        let finished = finished.unwrap();
        assert!(tokens.is_empty() && finished.finish == Finish::Failed && finished.prompt_tokens == 3);
        assert!(finished.fault.unwrap().contains("fault of the program"));
        let (tokens, finished) = collect(&first_events);
        assert_eq!((tokens.len(), finished.unwrap().finish), (60, Finish::Length));
        assert_eq!(ids(&ask(&engine, &[4; 40], greedy()).0), ids(&tokens));
        assert!(engine.is_open());
        engine.drain();
        let status = engine.status();
        assert_eq!((status.running, status.past_bytes, status.finished_requests), (0, 0, 3));
        assert!(!engine.is_open());
    }
}

/// Breaks where it is forgotten.
struct Clinging(TokenMask);

impl Constraint for Clinging {
    fn mask(&mut self) -> &TokenMask {
        &self.0
    }

    fn accept(&mut self, _: u32) {}

    fn is_done(&self) -> bool {
        false
    }
}

impl Drop for Clinging {
    fn drop(&mut self) {
        panic!("it cannot be forgotten");
    }
}

#[test]
fn whatever_breaks_where_requests_end_the_engine_goes_on() {
    let engine = Engine::start(model(WeightFormat::Int4, 1000), EngineOptions::default());
    let greedy = || options(5, SamplingOptions::greedy());
    for deadline in [None, Some(Instant::now())] {
        let (mut clinging, events) = request(&[4, 5], greedy(), usize::MAX);
        clinging.constraint = Some(Box::new(Clinging(TokenMask::none(VOCABULARY))));
        clinging.deadline = deadline;
        engine.submit(clinging).unwrap();
        let expected = if deadline.is_none() { Finish::Failed } else { Finish::Deadline };
        assert_eq!(collect(&events).1.unwrap().finish, expected);
        assert_eq!(ask(&engine, &[4, 5], greedy()).1.finish, Finish::Length);
    }
    engine.drain();
    assert_eq!((engine.status().running, engine.status().past_bytes), (0, 0));
}
