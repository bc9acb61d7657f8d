//! A crowd at one server: most wait for their answers, a third leave early, and all of it for as long as it takes to see that nothing
//! fails, grows or leaks, and that everybody hears what they would have heard alone.
//!
//! `cargo test --release -p bantam --test load -- --ignored --nocapture` is the long run, and prints its figures.
#![cfg(unix)]

mod cases;
mod client;
#[path = "../tiny/models.rs"]
mod models;
mod server;

use std::io::{Error, Result};
use std::sync::Mutex;
use std::thread::sleep;
use std::time::{Duration, Instant};

use bantam_model::{Past, Random};
use serde_json::{Value, json};

use cases::{Case, cases, text_of};
use client::Connection;
use server::Server;

/// Memory for pasts: less than the crowd's texts would fill, so that what was read is also forgotten.
const PAST_MEBIBYTES: usize = 1;
/// How much more memory the server may have in the last quarter of the time than in the second.
const MOST_GROWTH_KIBIBYTES: u64 = 4 << 10;

#[derive(Default)]
struct Counts {
    whole: usize,
    left: usize,
    refused: usize,
    /// From each request to its first piece.
    first: Vec<Duration>,
    wrong: Vec<String>,
}

enum Heard {
    /// The whole, and how long it took to its first piece.
    All(String, Duration),
    /// Up to where the client left.
    Some(String),
    Refused(Option<u64>),
}

/// Asks, as a stream or not, and leaves after so many pieces if told to; a client that waits for the whole leaves after as many milliseconds.
fn ask(connection: &mut Connection, case: &Case, is_streamed: bool, leaves_after: Option<usize>) -> Result<Heard> {
    let (path, body) = case.request(is_streamed);
    let asked = Instant::now();
    connection.post(path, &body)?;
    if let Some(milliseconds) = leaves_after.filter(|_| !is_streamed) {
        sleep(Duration::from_millis(milliseconds as u64));
        return Ok(Heard::Some(String::new()));
    }
    let head = connection.head()?;
    if head.status != 200 {
        let body = connection.body(&head)?;
        let refused = Ok(Heard::Refused(head.retry_after));
        return if head.status == 429 { refused } else { Err(Error::other(format!("{}: {body}", head.status))) };
    }
    if !is_streamed {
        let value: Value = serde_json::from_str(&connection.body(&head)?)?;
        return Ok(Heard::All(text_of(&value).to_owned(), asked.elapsed()));
    }
    let (mut text, mut rest, mut pieces, mut first) = (String::new(), String::new(), 0, None);
    while let Some(piece) = connection.piece()? {
        first.get_or_insert_with(|| asked.elapsed());
        pieces += 1;
        rest += &String::from_utf8(piece).map_err(|error| Error::other(error.to_string()))?;
        while let Some(end) = rest.find("\n\n") {
            let event: String = rest.drain(..end + 2).collect();
            let data = event.trim_end().strip_prefix("data: ").unwrap_or_default();
            if data == "[DONE]" || data.is_empty() {
                continue;
            }
            let value: Value = serde_json::from_str(data)?;
            if !value["error"].is_null() {
                return Err(Error::other(value.to_string()));
            }
            text += text_of(&value);
        }
        if leaves_after.is_some_and(|most| pieces > most) {
            return Ok(Heard::Some(text));
        }
    }
    Ok(Heard::All(text, first.unwrap_or_default()))
}

/// One client, until `end`.
fn client(server: &Server, cases: &[Case], number: u64, end: Instant) -> Counts {
    let (mut counts, mut random) = (Counts::default(), Random::new(number, 0));
    let mut connection = None;
    while Instant::now() < end {
        let case = &cases[random.below(cases.len())];
        let is_streamed = random.below(2) == 0;
        let leaves_after = (random.below(3) == 0).then(|| random.below(30));
        let open = connection.take().map_or_else(|| Connection::open(server.address), Ok);
        let heard = open.and_then(|mut open| {
            let heard = ask(&mut open, case, is_streamed, leaves_after)?;
            if !matches!(heard, Heard::Some(_)) {
                connection = Some(open);
            }
            Ok(heard)
        });
        match heard {
            Ok(Heard::All(text, first)) => {
                counts.whole += 1;
                counts.first.push(first);
                if text != case.answer {
                    counts.wrong.push(format!("{text:?} instead of {:?}", case.answer));
                }
            }
            Ok(Heard::Some(text)) => {
                counts.left += 1;
                if !case.answer.starts_with(&text) {
                    counts.wrong.push(format!("{text:?} begins none of {:?}", case.answer));
                }
            }
            Ok(Heard::Refused(retry_after)) => {
                counts.refused += 1;
                if retry_after.is_none() {
                    counts.wrong.push("429 without Retry-After".to_owned());
                }
                // Sooner than it was told to, so that the queue stays full.
                sleep(Duration::from_millis(50));
            }
            Err(error) => counts.wrong.push(format!("{error}; streamed {is_streamed}, leaves {leaves_after:?}")),
        }
    }
    counts
}

/// Asks for something that may take all of the memory, so that everything else that was read is forgotten, and takes one token: what stays
/// is that token's block, and whatever is nobody's.
fn forget_others(server: &Server, block: u64) -> u64 {
    let blocks = ((PAST_MEBIBYTES as u64) << 20) / block - 1;
    let tokens = blocks * Past::BLOCK as u64 - 1;
    let body = json!({"prompt": [4], "max_tokens": tokens, "structured_outputs": {"choice": ["a"]}});
    let mut connection = Connection::open(server.address).unwrap();
    connection.post("/v1/completions", &body).unwrap();
    let head = connection.head().unwrap();
    let answer = connection.body(&head).unwrap();
    assert_eq!(head.status, 200, "{answer}");
    server.metric("bantam_past_bytes")
}

fn idle(server: &Server) {
    let begin = Instant::now();
    while server.metric("bantam_running") + server.metric("bantam_waiting") > 0 {
        assert!(begin.elapsed() < Duration::from_secs(30), "answers whose clients are gone go on");
        sleep(Duration::from_millis(20));
    }
}

fn crowd(clients: usize, time: Duration, most_waiting: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny");
    models::write_language_model(&path);
    let past = PAST_MEBIBYTES.to_string();
    let server = Server::start(&path, &["--past-mebibytes", &past, "--most-waiting", most_waiting]);
    let mut cases = cases();
    let mut connection = Connection::open(server.address).unwrap();
    // One token takes one block.
    let (path, body) = ("/v1/completions", json!({"prompt": [4], "max_tokens": 1}));
    connection.post(path, &body).unwrap();
    let head = connection.head().unwrap();
    connection.body(&head).unwrap();
    let block = server.metric("bantam_past_bytes");
    for case in &mut cases {
        let Heard::All(alone, _) = ask(&mut connection, case, false, None).unwrap() else {
            panic!("a client alone is answered")
        };
        assert!(!alone.is_empty());
        case.answer = alone;
    }
    let (begin, memory) = (Instant::now(), Mutex::new(Vec::new()));
    let end = begin + time;
    let all = std::thread::scope(|scope| {
        let (server, cases) = (&server, &cases);
        let one = |number| {
            let builder = std::thread::Builder::new().stack_size(512 << 10);
            builder.spawn_scoped(scope, move || client(server, cases, number as u64, end)).unwrap()
        };
        let clients: Vec<_> = (0..clients).map(one).collect();
        while Instant::now() < end {
            memory.lock().unwrap().extend(server.memory());
            sleep(time / 100);
        }
        clients.into_iter().map(|client| client.join().unwrap()).collect::<Vec<Counts>>()
    });
    let seconds = begin.elapsed().as_secs_f64();
    idle(&server);
    let sum = |count: fn(&Counts) -> usize| all.iter().map(count).sum::<usize>();
    let (whole, left, refused) = (sum(|one| one.whole), sum(|one| one.left), sum(|one| one.refused));
    let wrong: Vec<&String> = all.iter().flat_map(|one| &one.wrong).collect();
    let mut first: Vec<Duration> = all.iter().flat_map(|one| one.first.clone()).collect();
    first.sort();
    let at = |share: f64| first.get((first.len() as f64 * share) as usize).copied().unwrap_or_default();
    let memory = memory.into_inner().unwrap();
    let quarter = memory.len() / 4;
    let highest = |part: &[u64]| part.iter().copied().max().unwrap_or(0);
    let (early, late) = (highest(&memory[quarter..2 * quarter]), highest(&memory[3 * quarter..]));
    let answer_tokens = server.metric("bantam_answer_tokens_total");
    let (cancelled, reused) =
        (server.metric("bantam_cancelled_answers_total"), server.metric("bantam_reused_tokens_total"));
    let filled = server.metric("bantam_past_bytes");
    let kept = forget_others(&server, block);
    println!(
        "{clients} clients, {seconds:.1} s: {whole} answers, {left} left early ({cancelled} cancelled), {refused} refused with 429, {} errors\n\
         {:.0} answer tokens/s, {reused} prompt tokens reused; first piece p50 {:?}, p99 {:?}\n\
         memory: {early} KiB at most in the second quarter, {late} KiB in the last; pasts {filled} bytes, {kept} once all is forgotten",
        wrong.len(),
        answer_tokens as f64 / seconds,
        at(0.5),
        at(0.99)
    );
    assert!(wrong.is_empty(), "{} wrong, such as {:#?}", wrong.len(), &wrong[..wrong.len().min(5)]);
    assert!(whole > clients && left > clients / 2 && cancelled > 0, "a crowd that hardly asked");
    assert!(late <= early + MOST_GROWTH_KIBIBYTES, "memory grows: {memory:?} KiB");
    assert!(filled <= (PAST_MEBIBYTES as u64) << 20, "more past than allowed");
    // Its own block, and one that just fitted beside it.
    assert!(kept <= 2 * block, "{kept} bytes of past are nobody's");
    server.end();
}

#[test]
fn forty_clients_for_ten_seconds() {
    crowd(40, Duration::from_secs(10), "4");
}

#[test]
#[ignore = "takes two minutes"]
fn two_hundred_clients_for_two_minutes() {
    crowd(200, Duration::from_secs(120), "100");
}
