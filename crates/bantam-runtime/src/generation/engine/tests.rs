//! Answers made together against answers made alone, and what becomes of requests that do not come to their end.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bantam_kernels::attention::PastFormat;
use bantam_kernels::gemm::Precision;
use bantam_model::architectures::Architecture;
use bantam_model::architectures::llama::{Llama, LlamaConfig};
use bantam_model::{Random, Weights};

use super::*;
use crate::generation::{Finish, GenerateOptions, WeightFormat, generate};
use crate::sampling::{Constraint, SamplingOptions, TokenMask};

pub(super) const VOCABULARY: usize = 500;

/// Sizes that fill no tile evenly.
pub(super) fn llama(positions: usize) -> Llama {
    Llama::new(LlamaConfig {
        vocab_size: VOCABULARY,
        hidden_size: 96,
        intermediate_size: 200,
        num_hidden_layers: 3,
        num_attention_heads: 6,
        num_key_value_heads: Some(2),
        head_dim: None,
        max_position_embeddings: positions,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        tie_word_embeddings: false,
        variant: Default::default(),
    })
}

/// Random weights, large enough that each token depends on all before it.
pub(super) fn model(format: WeightFormat, positions: usize) -> Arc<LanguageModel> {
    let llama = llama(positions);
    let mut weights = Weights::initialise(llama.schema(), 3, Precision::F32);
    for (_, tensor) in weights.tensors_mut().filter(|(entry, _)| !entry.name().contains("norm")) {
        *tensor = tensor.scale(8.0);
    }
    Arc::new(LanguageModel::new(Box::new(llama), &weights, None, format))
}

pub(super) fn prompt(random: &mut Random, length: usize) -> Vec<u32> {
    (0..length).map(|_| random.below(VOCABULARY) as u32).collect()
}

pub(super) fn options(tokens: usize, sampling: SamplingOptions) -> GenerateOptions {
    GenerateOptions { tokens, sampling, stop: Vec::new(), ignores_end: true, continues: true }
}

/// A request whose events can be received; the sink goes on for so many tokens.
pub(super) fn request(prompt: &[u32], options: GenerateOptions, most: usize) -> (Request, Receiver<Event>) {
    let (sender, events): (Sender<Event>, _) = channel();
    let mut tokens = 0;
    let sink = Box::new(move |event| {
        tokens += usize::from(matches!(event, Event::Token(_)));
        sender.send(event).is_ok() && tokens < most
    });
    let (prompt, constraint) = (prompt.to_vec(), None);
    (Request { prompt, options, top_log_probabilities: 0, constraint, deadline: None, has_left: None, sink }, events)
}

/// Makes a request's sink wait, and with it the engine, at its first event until what is returned is dropped.
pub(super) fn held(request: &mut Request) -> (Receiver<()>, Sender<()>) {
    let ((here, is_here), (hold, gate)) = (channel(), channel::<()>());
    let mut sink = std::mem::replace(&mut request.sink, Box::new(|_| true));
    request.sink = Box::new(move |event| {
        let _ = here.send(());
        let _ = gate.recv();
        sink(event)
    });
    (is_here, hold)
}

/// All tokens, and how the answer ended, if the caller was told.
pub(super) fn collect(events: &Receiver<Event>) -> (Vec<AnswerToken>, Option<Finished>) {
    let mut tokens = Vec::new();
    loop {
        match events.recv_timeout(Duration::from_secs(60)) {
            Ok(Event::Reading(_)) => {}
            Ok(Event::Token(token)) => tokens.push(token),
            Ok(Event::Finished(finished)) => return (tokens, Some(finished)),
            Err(RecvTimeoutError::Disconnected) => return (tokens, None),
            Err(RecvTimeoutError::Timeout) => panic!("no event for a minute"),
        }
    }
}

pub(super) fn ids(tokens: &[AnswerToken]) -> Vec<u32> {
    tokens.iter().map(|token| token.token).collect()
}

pub(super) fn ask(engine: &Engine, prompt: &[u32], options: GenerateOptions) -> (Vec<AnswerToken>, Finished) {
    let (request, events) = request(prompt, options, usize::MAX);
    engine.submit(request).unwrap();
    let (tokens, finished) = collect(&events);
    (tokens, finished.unwrap())
}

#[test]
fn answers_made_together_are_those_made_alone() {
    let formats = [WeightFormat::Int4, WeightFormat::Int8, WeightFormat::Bf16, WeightFormat::F32];
    let in_codes = Arc::into_inner(model(WeightFormat::Int8, 1000)).unwrap().with_past(PastFormat::Int8);
    let half = model(WeightFormat::Int8, 1000).past_block_bytes();
    assert!(in_codes.past_block_bytes() * 10 < half * 7, "a byte and a quarter instead of two");
    let in_codes = [(WeightFormat::Int8, Arc::new(in_codes))];
    for (format, model) in formats.map(|format| (format, model(format, 1000))).into_iter().chain(in_codes) {
        let engine =
            Engine::start(Arc::clone(&model), EngineOptions { most_running: 9, chunk: 40, ..EngineOptions::default() });
        let mut random = Random::new(1, 0);
        let asked: Vec<(Vec<u32>, GenerateOptions)> = (0..16)
            .map(|index| {
                let length = [1, 5, 70, 33, 300, 18, 600][index % 7];
                let seeded =
                    SamplingOptions { seed: Some(index as u64), temperature: 1.3, ..SamplingOptions::default() };
                let sampling = if index % 3 == 0 { seeded } else { SamplingOptions::greedy() };
                (prompt(&mut random, length), options(1 + index * 5 % 41, sampling))
            })
            .collect();
        let events: Vec<_> = asked
            .iter()
            .map(|(prompt, options)| {
                let (mut request, events) = request(prompt, options.clone(), usize::MAX);
                request.top_log_probabilities = 3;
                engine.submit(request).unwrap();
                events
            })
            .collect();
        for ((prompt, options), events) in asked.iter().zip(&events) {
            let alone = generate(&model, prompt, options, None, &mut |_| true).unwrap();
            let (tokens, finished) = collect(events);
            let finished = finished.unwrap();
            assert_eq!(ids(&tokens), alone.tokens, "{format:?}: {} tokens, {options:?}", prompt.len());
            assert!(alone.tokens.len() < 8 || alone.tokens.windows(2).any(|pair| pair[0] != pair[1]), "says something");
            for (token, log_probability) in tokens.iter().zip(&alone.log_probabilities) {
                assert_eq!(token.log_probability.to_bits(), log_probability.to_bits());
                assert!(
                    token.top.len() == 3 && token.top[0].1 >= token.log_probability && token.top[2].1 <= token.top[1].1
                );
            }
            assert_eq!((finished.finish, finished.prompt_tokens), (Finish::Length, prompt.len()));
            assert_eq!(finished.answer_tokens, tokens.len());
        }
        let status = engine.status();
        assert_eq!((status.running, status.waiting, status.finished_requests), (0, 0, 16));
        assert_eq!(status.prompt_tokens, asked.iter().map(|(prompt, _)| prompt.len() as u64).sum::<u64>());
        assert_eq!(status.answer_tokens, asked.iter().map(|(_, options)| options.tokens as u64).sum::<u64>());
    }
}

#[test]
fn guesses_save_passes_and_change_nothing() {
    // Layers that add nothing: each token depends on the last one only, so that greedy answers soon go in circles.
    let llama = llama(1000);
    let mut weights = Weights::initialise(llama.schema(), 3, Precision::F32);
    for (_, tensor) in weights
        .tensors_mut()
        .filter(|(entry, _)| ["o_proj", "down_proj"].iter().any(|part| entry.name().contains(part)))
    {
        *tensor = tensor.scale(0.0);
    }
    let circling = Arc::new(LanguageModel::new(Box::new(llama), &weights, None, WeightFormat::Int8));
    for (model, circles) in [(circling, true), (model(WeightFormat::Int8, 1000), false)] {
        let engine = Engine::start(Arc::clone(&model), EngineOptions::default());
        let prompt = prompt(&mut Random::new(5, 0), 40);
        let seeded = SamplingOptions { seed: Some(1), temperature: 0.7, ..SamplingOptions::default() };
        for sampling in [SamplingOptions::greedy(), seeded] {
            for count in [1, 2, 7, 100] {
                let (mut scores, mut past) = model.read(model.past(), &prompt, &|| false).unwrap();
                let mut sampler = crate::sampling::Sampler::new(sampling.clone(), sampling.seed.unwrap_or(0));
                sampler.see_prompt(&prompt);
                let mut expected = Vec::new();
                for _ in 0..count {
                    let token = sampler.choose(&scores, None).unwrap().token;
                    sampler.accept(token);
                    expected.push(token);
                    let (next, mut pasts) = model.next(vec![past], &[&[token]]);
                    (scores, past) = (next.data().to_vec(), pasts.remove(0));
                }
                let alone = generate(&model, &prompt, &options(count, sampling.clone()), None, &mut |_| true).unwrap();
                assert_eq!(alone.tokens, expected);
                assert!(alone.passes <= count);
                if circles && count == 100 && sampling.seed.is_none() {
                    assert!(alone.passes < 70, "{} passes", alone.passes);
                }
                let (tokens, finished) = ask(&engine, &prompt, options(count, sampling.clone()));
                assert_eq!((ids(&tokens), finished.answer_tokens), (expected, count));
            }
        }
        // A caller that leaves between guesses leaves a past that fits what was told.
        let (leaving, events) = request(&prompt, options(100, SamplingOptions::greedy()), 60);
        engine.submit(leaving).unwrap();
        let told = collect(&events).0.len();
        let longer: Vec<u32> = prompt
            .iter()
            .copied()
            .chain(
                generate(&model, &prompt, &options(100, SamplingOptions::greedy()), None, &mut |_| true)
                    .unwrap()
                    .tokens,
            )
            .collect();
        let after = ask(&engine, &longer, options(20, SamplingOptions::greedy()));
        let alone = generate(&model, &longer, &options(20, SamplingOptions::greedy()), None, &mut |_| true).unwrap();
        assert_eq!((ids(&after.0), told), (alone.tokens, 60));
    }
}

#[test]
fn what_was_read_before_is_not_read_again_and_changes_nothing() {
    for format in [WeightFormat::Int4, WeightFormat::Bf16] {
        let model = model(format, 2000);
        let engine = Engine::start(Arc::clone(&model), EngineOptions::default());
        let mut random = Random::new(2, 0);
        let mut chat = prompt(&mut random, 333);
        let mut known = 0;
        // A chat that grows turn by turn: what was said and answered so far is known, but what was answered where prompts are read in another way.
        for turn in 0..4 {
            let asked = options(30 + turn, SamplingOptions::greedy());
            let alone = generate(&model, &chat, &asked, None, &mut |_| true).unwrap();
            let (tokens, finished) = ask(&engine, &chat, asked);
            assert_eq!(ids(&tokens), alone.tokens, "{format:?}, turn {turn}");
            assert_eq!(finished.reused_tokens, known);
            // The last token of an answer is never read.
            let answered = if model.reads_prompts_apart() { 0 } else { alone.tokens.len() - 1 };
            known = chat.len() + answered;
            chat.extend(alone.tokens);
            chat.extend(prompt(&mut random, 50));
        }
        // The same again: one token is read all the same.
        let again = &chat[..333];
        let asked = options(40, SamplingOptions::greedy());
        let alone = generate(&model, again, &asked, None, &mut |_| true).unwrap();
        let (tokens, finished) = ask(&engine, again, asked);
        assert_eq!((ids(&tokens), finished.reused_tokens), (alone.tokens, 332));
        // Another answer is another text.
        assert_eq!(engine.status().cached_prefixes, if model.reads_prompts_apart() { 1 } else { 2 });
    }
}

#[test]
fn a_beginning_is_shared_with_an_answer_under_way() {
    let model = model(WeightFormat::Int4, 60_000);
    let engine = Engine::start(model, EngineOptions::default());
    let mut random = Random::new(3, 0);
    let system = prompt(&mut random, 200);
    let (first, events) = request(&system, options(50_000, SamplingOptions::greedy()), usize::MAX);
    engine.submit(first).unwrap();
    while !matches!(events.recv_timeout(Duration::from_secs(60)).unwrap(), Event::Token(_)) {}
    let question = [&system[..150], &prompt(&mut random, 20)].concat();
    let (_, finished) = ask(&engine, &question, options(5, SamplingOptions::greedy()));
    assert_eq!(finished.reused_tokens, 150);
    assert_eq!(engine.status().running, 1, "the first is still under way");
}

#[test]
fn memory_stays_within_its_bytes_and_nothing_is_left() {
    let model = model(WeightFormat::Int4, 2000);
    let block = model.past_block_bytes();
    // Room for two of these texts.
    let past_bytes = 9 * block;
    let engine = Engine::start(Arc::clone(&model), EngineOptions { past_bytes, ..EngineOptions::default() });
    let (most, mut random) = (Arc::new(Mutex::new(0)), Random::new(4, 0));
    let watched = Arc::new(engine);
    let events: Vec<_> = (0..10)
        .map(|_| {
            let (mut request, events) =
                request(&prompt(&mut random, 150), options(60, SamplingOptions::greedy()), usize::MAX);
            let (most, engine) = (Arc::clone(&most), Arc::downgrade(&watched));
            let mut inner = request.sink;
            request.sink = Box::new(move |event| {
                if let Some(engine) = engine.upgrade() {
                    let mut most = most.lock().unwrap();
                    *most = engine.status().past_bytes.max(*most);
                }
                inner(event)
            });
            watched.submit(request).unwrap();
            events
        })
        .collect();
    events.iter().for_each(|events| assert_eq!(collect(events).1.unwrap().finish, Finish::Length));
    let most = *most.lock().unwrap();
    assert!((8 * block..=past_bytes).contains(&most), "{most} of {past_bytes} bytes, {block} a block");
    // What can never fit is refused at once.
    let (large, _) = request(&prompt(&mut random, 500), options(200, SamplingOptions::greedy()), usize::MAX);
    let refused = watched.submit(large).unwrap_err().to_string();
    assert!(refused.contains(&past_bytes.to_string()), "{refused}");
    assert!(watched.status().past_bytes > 0 && watched.status().cached_prefixes > 0);
    watched.drain();
    assert_eq!((watched.status().past_bytes, watched.status().cached_prefixes), (0, 0));
}

#[test]
fn a_caller_that_leaves_is_not_asked_again() {
    let engine = Engine::start(model(WeightFormat::Int4, 60_000), EngineOptions::default());
    let long = options(50_000, SamplingOptions::greedy());
    let (first, events) = request(&[1, 2, 3], long.clone(), 4);
    engine.submit(first).unwrap();
    let (tokens, finished) = collect(&events);
    assert!(tokens.len() == 4 && finished.is_none());
    // While a prompt is read, too.
    let (mut second, _) = request(&prompt(&mut Random::new(5, 0), 2000), long, usize::MAX);
    second.sink = Box::new(|event| !matches!(event, Event::Reading(_)));
    engine.submit(second).unwrap();
    engine.drain();
    let status = engine.status();
    assert_eq!((status.running, status.past_bytes, status.cancelled_requests), (0, 0, 2));
    assert!(status.prompt_tokens < 2000, "{status:?}");
}

#[test]
fn a_full_engine_refuses_and_a_draining_one_ends_what_it_has() {
    let engine = Engine::start(
        model(WeightFormat::Int4, 60_000),
        EngineOptions { most_running: 1, most_waiting: 1, ..EngineOptions::default() },
    );
    let asked = |tokens: usize| request(&[4, 5], options(tokens, SamplingOptions::greedy()), usize::MAX);
    let (mut request, first) = asked(30);
    let (is_running, hold) = held(&mut request);
    engine.submit(request).unwrap();
    is_running.recv().unwrap();
    let (request, second) = asked(7);
    engine.submit(request).unwrap();
    assert!(matches!(engine.submit(asked(1).0), Err(SubmitError::Busy { waiting: 1 })));
    assert_eq!((engine.status().running, engine.status().waiting), (1, 1));
    drop(hold);
    engine.drain();
    assert!(matches!(engine.submit(asked(1).0), Err(SubmitError::Ending)));
    assert_eq!(collect(&first).1.unwrap().answer_tokens, 30);
    assert_eq!(collect(&second).1.unwrap().answer_tokens, 7);
}

#[test]
fn what_cannot_be_answered_is_refused() {
    let engine = Engine::start(model(WeightFormat::Int4, 50), EngineOptions::default());
    let refused = |prompt: &[u32], sampling: SamplingOptions| {
        let (request, _) = request(prompt, options(5, sampling), usize::MAX);
        matches!(engine.submit(request), Err(SubmitError::Invalid(_)))
    };
    assert!(refused(&[], SamplingOptions::greedy()) && refused(&[1; 50], SamplingOptions::greedy()));
    assert!(refused(&[VOCABULARY as u32], SamplingOptions::greedy()));
    assert!(refused(&[1], SamplingOptions { temperature: -1.0, ..SamplingOptions::default() }));
    // As far as the model's positions go.
    let (tokens, finished) = ask(&engine, &[1; 40], options(100, SamplingOptions::greedy()));
    assert_eq!((tokens.len(), finished.finish), (10, Finish::Context));
}

#[test]
fn an_answer_ends_at_its_deadline_and_at_the_engine_s_end() {
    let engine = Engine::start(
        model(WeightFormat::Int4, 600_000),
        EngineOptions { most_running: 1, ..EngineOptions::default() },
    );
    let endless = || request(&[4, 5], options(500_000, SamplingOptions::greedy()), usize::MAX);
    let (mut first, events) = endless();
    first.deadline = Some(Instant::now() + Duration::from_millis(500));
    let (mut waiting, waiting_events) = endless();
    waiting.deadline = Some(Instant::now() + Duration::from_millis(20));
    engine.submit(first).unwrap();
    engine.submit(waiting).unwrap();
    let (tokens, finished) = collect(&waiting_events);
    assert!(tokens.is_empty() && finished.unwrap().finish == Finish::Deadline);
    let (tokens, finished) = collect(&events);
    assert!(!tokens.is_empty() && finished.unwrap().finish == Finish::Deadline);
    let (third, events) = endless();
    engine.submit(third).unwrap();
    while !matches!(events.recv().unwrap(), Event::Token(_)) {}
    drop(engine);
    assert_eq!(collect(&events).1.unwrap().finish, Finish::Stopped);
}

/// Allows token 100 and then one more each time, until five.
struct Counting {
    mask: TokenMask,
    next: u32,
}

impl Constraint for Counting {
    fn mask(&mut self) -> &TokenMask {
        self.mask = TokenMask::none(VOCABULARY);
        self.mask.allow(self.next);
        &self.mask
    }

    fn accept(&mut self, token: u32) {
        assert_eq!(token, self.next);
        self.next += 1;
    }

    fn is_done(&self) -> bool {
        self.next == 105
    }
}

#[test]
fn an_answer_has_the_form_that_it_must_have() {
    let model = model(WeightFormat::Int4, 1000);
    let engine = Engine::start(Arc::clone(&model), EngineOptions::default());
    let free = options(20, SamplingOptions::greedy());
    let alone = generate(&model, &[7, 8], &free, None, &mut |_| true).unwrap();
    let counting = || Counting { mask: TokenMask::none(VOCABULARY), next: 100 };
    let asked: Vec<_> = (0..6)
        .map(|index| {
            let (mut request, events) = request(&[7, 8], free.clone(), usize::MAX);
            request.constraint = (index % 2 == 0).then(|| Box::new(counting()) as Box<dyn Constraint>);
            engine.submit(request).unwrap();
            events
        })
        .collect();
    for (index, events) in asked.iter().enumerate() {
        let (tokens, finished) = collect(events);
        if index % 2 == 0 {
            assert_eq!((ids(&tokens), finished.unwrap().finish), ((100..105).collect(), Finish::End));
        } else {
            assert_eq!(ids(&tokens), alone.tokens);
        }
    }
    // A form that nothing fits ends the answer, and the engine goes on.
    let (mut request, events) = request(&[7, 8], free.clone(), usize::MAX);
    request.constraint = Some(Box::new(Counting { mask: TokenMask::none(VOCABULARY), next: VOCABULARY as u32 }));
    engine.submit(request).unwrap();
    let (tokens, finished) = collect(&events);
    assert!(tokens.is_empty() && finished.unwrap().finish == Finish::Failed);
    assert_eq!(ids(&ask(&engine, &[7, 8], free).0), alone.tokens);
}

#[test]
fn a_short_prompt_does_not_wait_for_a_long_one() {
    let engine =
        Engine::start(model(WeightFormat::Int4, 60_000), EngineOptions { chunk: 64, ..EngineOptions::default() });
    let mut random = Random::new(8, 0);
    let greedy = |tokens| options(tokens, SamplingOptions::greedy());
    let (mut long, long_events) = request(&prompt(&mut random, 20_000), greedy(1), usize::MAX);
    let (is_read, hold) = held(&mut long);
    engine.submit(long).unwrap();
    is_read.recv().unwrap();
    let (short, events) = request(&prompt(&mut random, 50), greedy(5), usize::MAX);
    engine.submit(short).unwrap();
    drop(hold);
    assert_eq!(collect(&events).1.unwrap().answer_tokens, 5);
    let told: Vec<Event> = long_events.try_iter().collect();
    assert!(told.iter().all(|event| matches!(event, Event::Reading(_))), "the long one is still read");
}

#[test]
fn scores_that_are_no_numbers_end_a_request_and_not_the_engine() {
    let llama = Llama::new(LlamaConfig {
        vocab_size: 30,
        hidden_size: 32,
        intermediate_size: 32,
        num_hidden_layers: 1,
        num_attention_heads: 1,
        num_key_value_heads: None,
        head_dim: None,
        max_position_embeddings: 100,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        tie_word_embeddings: true,
        variant: Default::default(),
    });
    let mut weights = Weights::initialise(llama.schema(), 3, Precision::F32);
    weights.tensors_mut().for_each(|(_, tensor)| *tensor = tensor.scale(f32::NAN));
    let engine = Engine::start(
        Arc::new(LanguageModel::new(Box::new(llama), &weights, None, WeightFormat::F32)),
        EngineOptions::default(),
    );
    for _ in 0..2 {
        let (tokens, finished) = ask(&engine, &[1, 2], options(5, SamplingOptions::greedy()));
        assert!(tokens.is_empty() && finished.finish == Finish::Failed);
    }
}
