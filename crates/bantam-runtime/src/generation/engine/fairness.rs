//! Whoever asks for little does not wait for all that another asks for, and nobody fills all places.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;

use bantam_model::Random;

use super::tests::{collect, held, ids, model, options, prompt, request};
use super::*;
use crate::generation::{GenerateOptions, WeightFormat, generate};
use crate::sampling::SamplingOptions;

/// An engine that makes `most_running` answers at once, at work on one until the last of these is dropped.
fn busy(most_running: usize, most_waiting: usize) -> (Engine, Arc<LanguageModel>, Sender<()>) {
    let model = model(WeightFormat::Int4, 1000);
    let options = EngineOptions { most_running, most_waiting, ..EngineOptions::default() };
    let engine = Engine::start(Arc::clone(&model), options);
    let (mut first, _) = request(&[1, 2], greedy(1), usize::MAX);
    first.sink = Box::new(|_| true);
    let (is_running, hold) = held(&mut first);
    engine.submit(first).unwrap();
    is_running.recv().unwrap();
    (engine, model, hold)
}

fn greedy(tokens: usize) -> GenerateOptions {
    options(tokens, SamplingOptions::greedy())
}

/// Requests of which each writes its number as it ends, into one list.
fn numbered(numbers: std::ops::Range<usize>, ended: &Arc<Mutex<Vec<usize>>>) -> Vec<Request> {
    let one = |number| {
        let (mut request, _) = request(&[7, number as u32], greedy(3), usize::MAX);
        let ended = Arc::clone(ended);
        request.sink = Box::new(move |event| {
            if matches!(event, Event::Finished(_)) {
                ended.lock().unwrap().push(number);
            }
            true
        });
        request
    };
    numbers.map(one).collect()
}

#[test]
fn a_small_request_ends_early_beside_a_large_one_whose_order_is_kept() {
    let (engine, _, hold) = busy(1, 100);
    let ended = Arc::<Mutex<Vec<usize>>>::default();
    engine.submit_all(numbered(0..30, &ended), None).unwrap();
    engine.submit_all(numbered(100..101, &ended), None).unwrap();
    drop(hold);
    engine.drain();
    let ended = ended.lock().unwrap();
    let small = ended.iter().position(|&number| number == 100).unwrap();
    assert_eq!((small, ended.len()), (1, 31), "{ended:?}");
    assert!(ended.iter().filter(|&&number| number < 100).is_sorted(), "{ended:?}");
}

#[test]
fn a_key_has_one_turn_however_many_requests_it_sends() {
    let (engine, _, hold) = busy(1, 100);
    let ended = Arc::<Mutex<Vec<usize>>>::default();
    for start in [0, 10, 20] {
        engine.submit_all(numbered(start..start + 3, &ended), Some([1; 32])).unwrap();
    }
    engine.submit_all(numbered(100..103, &ended), Some([2; 32])).unwrap();
    drop(hold);
    engine.drain();
    assert_eq!(*ended.lock().unwrap(), [0, 100, 10, 101, 20, 102, 1, 11, 21, 2, 12, 22]);
}

#[test]
fn nobody_fills_all_places_and_a_request_is_taken_whole_or_not_at_all() {
    let (engine, _, hold) = busy(1, 8);
    let ended = Arc::<Mutex<Vec<usize>>>::default();
    let ask = |count, key: Option<u8>| engine.submit_all(numbered(0..count, &ended), key.map(|key| [key; 32]));
    // What an idle engine would not have places for is told apart from what it has none for now.
    assert!(matches!(ask(6, None), Err(SubmitError::TooMany { asked: 6, most: 5 })));
    assert!(matches!(ask(5, None), Err(SubmitError::Busy { waiting: 0 })));
    ask(3, Some(1)).unwrap();
    assert!(matches!(ask(2, Some(1)), Err(SubmitError::OwnerBusy { waiting: 3 })));
    assert_eq!(engine.status().waiting, 3);
    ask(4, Some(2)).unwrap();
    assert!(matches!(ask(2, None), Err(SubmitError::Busy { waiting: 7 })));
    ask(1, None).unwrap();
    assert_eq!(engine.status().waiting, 8);
    drop(hold);
    engine.drain();
    assert_eq!(ended.lock().unwrap().len(), 8);
    let idle = Engine::start(
        Arc::clone(engine.model()),
        EngineOptions { most_running: 1, most_waiting: 8, ..EngineOptions::default() },
    );
    idle.submit_all(numbered(0..5, &ended), None).unwrap();
    idle.drain();
    assert_eq!(ended.lock().unwrap().len(), 13);
}

#[test]
fn answers_that_nobody_waits_for_leave_their_places() {
    let (engine, _, hold) = busy(1, 8);
    let ended = Arc::<Mutex<Vec<usize>>>::default();
    let has_left = Arc::new(AtomicBool::new(false));
    let mut requests = numbered(0..4, &ended);
    for request in &mut requests {
        let has_left = Arc::clone(&has_left);
        request.has_left = Some(Box::new(move || has_left.load(Ordering::Relaxed)));
    }
    engine.submit_all(requests, None).unwrap();
    engine.submit_all(numbered(100..102, &ended), None).unwrap();
    has_left.store(true, Ordering::Relaxed);
    drop(hold);
    engine.drain();
    // Those who left hear of it as their requests are dropped, and were never begun.
    let (status, ended) = (engine.status(), ended.lock().unwrap());
    assert_eq!(ended.iter().filter(|&&number| number >= 100).count(), 2);
    assert_eq!((status.cancelled_requests, status.waiting, status.past_bytes), (4, 0, 0));
    assert_eq!(status.answer_tokens, 1 + 2 * 3);
}

#[test]
fn answers_in_turns_are_those_made_alone() {
    let (engine, model, hold) = busy(3, 100);
    let mut random = Random::new(11, 0);
    let prompts: Vec<Vec<u32>> = (0..12).map(|index| prompt(&mut random, 5 + 9 * index)).collect();
    let (mut requests, mut events) = (Vec::new(), Vec::new());
    for prompt in &prompts {
        let (request, heard) = request(prompt, greedy(9), usize::MAX);
        requests.push(request);
        events.push(heard);
    }
    let others = requests.split_off(9);
    engine.submit_all(requests, None).unwrap();
    engine.submit_all(others, Some([3; 32])).unwrap();
    drop(hold);
    for (prompt, events) in prompts.iter().zip(&events) {
        let alone = generate(&model, prompt, &greedy(9), None, &mut |_| true).unwrap();
        assert_eq!(ids(&collect(events).0), alone.tokens);
    }
}
