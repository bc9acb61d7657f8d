//! A crowd at one server: most wait for their answers, a third leave early, and all of it for as long as it takes to see that nothing
//! fails, grows or leaks, and that everybody hears what they would have heard alone.
//!
//! `cargo test --release -p bantam --test load -- --ignored` is the long run; `BANTAM_LOAD_SECONDS=3600` makes it longer.
#![cfg(unix)]

mod cases;
mod client;
#[path = "../tiny/models.rs"]
mod models;
mod server;
mod visitor;

use std::io::Write;
use std::thread::sleep;
use std::time::{Duration, Instant};

use bantam_model::Past;
use serde_json::json;

use cases::{Case, cases};
use client::Connection;
use server::Server;
use visitor::{Counts, Heard, ask, visit};

/// Memory for pasts: less than the crowd's texts would fill, so that what was read is also forgotten.
const PAST_MEBIBYTES: usize = 1;
/// How much more memory the server may have in the last quarter of the time than in the second.
const MOST_GROWTH_KIBIBYTES: u64 = 4 << 10;

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

/// The memory of one block of past, and the cases with what each is answered alone.
fn alone(server: &Server) -> (u64, Vec<Case>) {
    let mut connection = Connection::open(server.address).unwrap();
    // One token takes one block.
    connection.post("/v1/completions", &json!({"prompt": [4], "max_tokens": 1})).unwrap();
    let head = connection.head().unwrap();
    connection.body(&head).unwrap();
    let block = server.metric("bantam_past_bytes");
    let mut cases = cases();
    for case in &mut cases {
        let Heard::All(answer, _) = ask(&mut connection, case, false, None).unwrap() else {
            panic!("a client alone is answered")
        };
        assert!(!answer.is_empty());
        case.answer = answer;
    }
    (block, cases)
}

fn crowd(clients: usize, time: Duration, most_waiting: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny");
    models::write_language_model(&path);
    let past = PAST_MEBIBYTES.to_string();
    let server = Server::start(&path, &["--past-mebibytes", &past, "--most-waiting", most_waiting]);
    let (block, cases) = alone(&server);
    let (begin, mut memory) = (Instant::now(), Vec::new());
    let end = begin + time;
    let all = std::thread::scope(|scope| {
        let (server, cases) = (&server, &cases);
        let one = |number| scope.spawn(move || visit(server, cases, number as u64, end));
        let clients: Vec<_> = (0..clients).map(one).collect();
        while Instant::now() < end {
            memory.extend(server.memory());
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
    let highest: Vec<u64> =
        memory.chunks(memory.len().div_ceil(4).max(1)).filter_map(|part| part.iter().copied().max()).collect();
    let total = |name: &str| server.metric(&format!("bantam_{name}_total"));
    let (cancelled, reused) = (total("cancelled_answers"), total("reused_tokens"));
    let speed = total("answer_tokens") as f64 / seconds;
    let filled = server.metric("bantam_past_bytes");
    let kept = forget_others(&server, block);
    let figures = format!(
        "{clients} clients, {seconds:.1} s: {whole} answers, {left} left early ({cancelled} cancelled), {refused} refused with 429, \
         {} errors\n{speed:.0} answer tokens/s, {reused} prompt tokens reused; first piece p50 {:.1?}, p99 {:.1?}\n\
         memory in KiB, the most in each quarter of the time: {highest:?}; pasts {filled} bytes, {kept} once all is forgotten",
        wrong.len(),
        at(0.5),
        at(0.99)
    );
    let mut screen = std::io::stdout().lock();
    writeln!(screen, "{figures}").unwrap();
    drop(screen);
    assert!(wrong.is_empty(), "{figures}\nsuch as {:#?}", &wrong[..wrong.len().min(5)]);
    assert!(
        whole > clients && left > clients / 2 && cancelled > 0 && refused > 0,
        "a crowd that hardly asked: {figures}"
    );
    if let [_, early, .., late] = highest[..] {
        assert!(late <= early + MOST_GROWTH_KIBIBYTES, "memory grows: {memory:?} KiB");
    }
    assert!(filled <= (PAST_MEBIBYTES as u64) << 20, "more past than allowed: {figures}");
    // Its own block, and one that just fitted beside it.
    assert!(kept <= 2 * block, "past that is nobody's, {block} bytes a block: {figures}");
    server.end();
}

#[test]
fn forty_clients_for_ten_seconds() {
    crowd(40, Duration::from_secs(10), "4");
}

#[test]
#[ignore = "takes two minutes"]
fn two_hundred_clients_for_two_minutes() {
    let asked = std::env::var("BANTAM_LOAD_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    crowd(200, Duration::from_secs(asked.unwrap_or(120)), "100");
}
