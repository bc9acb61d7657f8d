//! A client that keeps its connection, reads answers as they come, and can leave in the middle.

use std::io::{BufRead, BufReader, Error, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// Longer than any answer takes, the wait for its turn included.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection to a server.
pub(crate) struct Connection(BufReader<TcpStream>);

/// The beginning of an answer.
pub(crate) struct Head {
    pub(crate) status: u16,
    /// Seconds after which to ask again.
    pub(crate) retry_after: Option<u64>,
    /// Of the body; without it, the body comes in pieces.
    length: Option<usize>,
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    /// The body of an answer that is fine.
    pub(crate) fn get(&mut self, path: &str) -> Result<String> {
        self.0.get_mut().write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes())?;
        let head = self.head()?;
        assert_eq!(head.status, 200, "{path}");
        self.body(&head)
    }

    /// Sends a request.
    pub(crate) fn post(&mut self, path: &str, body: &Value) -> Result<()> {
        let body = body.to_string();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        self.0.get_mut().write_all((head + &body).as_bytes())
    }

    /// Reads the beginning of the answer.
    pub(crate) fn head(&mut self) -> Result<Head> {
        let line = self.line()?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let mut head = Head { status: status.ok_or_else(|| odd(&line))?, retry_after: None, length: None };
        loop {
            let line = self.line()?.to_lowercase();
            match line.split_once(": ") {
                Some(("content-length", length)) => head.length = length.parse().ok(),
                Some(("retry-after", seconds)) => head.retry_after = seconds.parse().ok(),
                None if line.is_empty() => return Ok(head),
                _ => {}
            }
        }
    }

    /// The whole body.
    pub(crate) fn body(&mut self, head: &Head) -> Result<String> {
        let mut bytes = vec![0; head.length.unwrap_or(0)];
        self.0.read_exact(&mut bytes)?;
        if head.length.is_none() {
            while let Some(piece) = self.piece()? {
                bytes.extend(piece);
            }
        }
        String::from_utf8(bytes).map_err(|error| odd(&error.to_string()))
    }

    /// The next piece of a body that comes in pieces; `None` at its end.
    pub(crate) fn piece(&mut self) -> Result<Option<Vec<u8>>> {
        let line = self.line()?;
        let length = usize::from_str_radix(&line, 16).map_err(|_| odd(&line))?;
        let mut piece = vec![0; length + 2];
        self.0.read_exact(&mut piece)?;
        piece.truncate(length);
        Ok((length > 0).then_some(piece))
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        line.strip_suffix("\r\n").map(str::to_owned).ok_or_else(|| odd(&line))
    }
}

fn odd(what: &str) -> Error {
    Error::other(format!("no HTTP: {what:?}"))
}
