//! One of the crowd: asks, listens, sometimes leaves, and knows what it should have heard.

use std::io::{Error, Result};
use std::thread::sleep;
use std::time::{Duration, Instant};

use bantam_model::Random;
use serde_json::Value;

use crate::cases::{Case, text_of};
use crate::client::Connection;
use crate::server::Server;

/// What happened to a client.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) whole: usize,
    pub(crate) left: usize,
    pub(crate) refused: usize,
    /// From each request to its first piece.
    pub(crate) first: Vec<Duration>,
    /// Whatever should not have happened.
    pub(crate) wrong: Vec<String>,
}

/// What came of a request.
pub(crate) enum Heard {
    /// The whole, and how long it took to its first piece.
    All(String, Duration),
    /// Up to where the client left.
    Some(String),
    /// With status 429, and the seconds to wait if it said so.
    Refused(Option<u64>),
}

/// Asks, as a stream or not, and leaves after so many pieces if told to; a client that waits for the whole leaves after as many milliseconds.
pub(crate) fn ask(
    connection: &mut Connection,
    case: &Case,
    is_streamed: bool,
    leaves_after: Option<usize>,
) -> Result<Heard> {
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

/// One client's requests, until `end`.
pub(crate) fn visit(server: &Server, cases: &[Case], number: u64, end: Instant) -> Counts {
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
