//! Puts documents of many requests into batches, so that a model reads all that wait at once. Requests take turns, a document each.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use axum::http::StatusCode;
use bantam_runtime::tasks::{Document, Rows, TaskModel};
use tokio::sync::oneshot;

use crate::failure::Failure;

/// Documents and tokens of a batch at most; one document of any length is always read.
pub(crate) const MOST_DOCUMENTS: usize = 64;
pub(crate) const MOST_TOKENS: usize = 2048;
/// Documents that may wait. Requests beyond are turned away.
const MOST_WAITING: u64 = 8192;
/// How long a client should wait where too much is waiting.
const RETRY_SECONDS: u32 = 1;

/// A thread that reads what requests want to know.
pub(crate) struct Batcher {
    requests: Sender<Request>,
    counts: Arc<Counts>,
    thread: JoinHandle<()>,
}

/// What it has read.
#[derive(Default)]
pub(crate) struct Counts {
    /// Documents.
    pub(crate) documents: AtomicU64,
    /// Tokens.
    pub(crate) tokens: AtomicU64,
    /// Batches.
    pub(crate) batches: AtomicU64,
    /// Documents of requests without an answer.
    pub(crate) waiting: AtomicU64,
}

struct Request {
    documents: Vec<Document>,
    found: Vec<Rows>,
    /// None once the answer is sent.
    reply: Option<oneshot::Sender<Vec<Rows>>>,
    counts: Arc<Counts>,
}

impl Batcher {
    /// Starts the thread. It ends once the batcher is dropped.
    pub(crate) fn start(model: Arc<TaskModel>) -> Self {
        let (requests, arriving) = channel();
        let counts = Arc::<Counts>::default();
        let shared = Arc::clone(&counts);
        let thread = std::thread::spawn(move || work(&model, &arriving, &shared));
        Self { requests, counts, thread }
    }

    /// Whether its thread goes on.
    pub(crate) fn is_open(&self) -> bool {
        !self.thread.is_finished()
    }

    /// What it has read.
    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Reads documents. Where the caller is gone before their turn, they are not read.
    pub(crate) async fn read(&self, documents: Vec<Document>) -> Result<Vec<Rows>, Failure> {
        if documents.is_empty() {
            return Ok(Vec::new());
        }
        let count = documents.len() as u64;
        let before = self.counts.waiting.fetch_add(count, Ordering::Relaxed);
        let (reply, answer) = oneshot::channel();
        let counts = Arc::clone(&self.counts);
        let request = Request { documents, found: Vec::new(), reply: Some(reply), counts };
        if before + count > MOST_WAITING {
            let remedy = "send fewer texts, or send them again a little later";
            let failure = Failure::new(StatusCode::TOO_MANY_REQUESTS, "too many texts are waiting", remedy);
            return Err(failure.retry_after(RETRY_SECONDS));
        }
        let failed = || {
            let remedy = "send it again; if it happens again, please report the text";
            Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "the model could not answer", remedy)
        };
        self.requests.send(request).map_err(|_| failed())?;
        answer.await.map_err(|_| failed())
    }
}

impl Request {
    /// The documents that are not read yet.
    fn rest(&self) -> &[Document] {
        &self.documents[self.found.len()..]
    }

    fn is_wanted(&self) -> bool {
        self.reply.as_ref().is_some_and(|reply| !reply.is_closed())
    }

    /// Answers where all is read.
    fn answer(&mut self) {
        if self.found.len() == self.documents.len()
            && let Some(reply) = self.reply.take()
        {
            // Whoever asked may be gone by now.
            let _ = reply.send(std::mem::take(&mut self.found));
        }
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.counts.waiting.fetch_sub(self.documents.len() as u64, Ordering::Relaxed);
    }
}

fn work(model: &TaskModel, arriving: &Receiver<Request>, counts: &Counts) {
    let mut active: VecDeque<Request> = VecDeque::new();
    loop {
        if active.is_empty() {
            match arriving.recv() {
                Ok(request) => active.push_back(request),
                Err(_) => return,
            }
        }
        active.extend(arriving.try_iter());
        active.retain(Request::is_wanted);
        if active.is_empty() {
            continue;
        }
        let rest: Vec<&[Document]> = active.iter().map(Request::rest).collect();
        let shares = shares(&rest);
        let batch: Vec<&Document> = rest.iter().zip(&shares).flat_map(|(rest, &share)| &rest[..share]).collect();
        let tokens: usize = batch.iter().map(|document| document.tokens()).sum();
        counts.documents.fetch_add(batch.len() as u64, Ordering::Relaxed);
        counts.tokens.fetch_add(tokens as u64, Ordering::Relaxed);
        counts.batches.fetch_add(1, Ordering::Relaxed);
        // A text that the model stumbles over must not end the thread, on which all others wait.
        let read = catch_unwind(AssertUnwindSafe(|| model.read(&batch)));
        let mut found = read.map(Vec::into_iter);
        for (request, &share) in active.iter_mut().zip(&shares) {
            match &mut found {
                Ok(rows) => request.found.extend(rows.by_ref().take(share)),
                Err(_) if share > 0 => request.reply = None,
                Err(_) => {}
            }
            request.answer();
        }
        // Those that had no share come first the next time.
        active.rotate_left(shares.iter().filter(|&&share| share > 0).count());
        active.retain(Request::is_wanted);
    }
}

/// How many of its next documents each request has in a batch.
fn shares(requests: &[&[Document]]) -> Vec<usize> {
    let mut shares = vec![0; requests.len()];
    let (mut documents, mut tokens) = (0, 0);
    loop {
        let before = documents;
        for (rest, share) in requests.iter().zip(&mut shares) {
            let Some(document) = rest.get(*share) else { continue };
            let is_full = documents == MOST_DOCUMENTS || tokens + document.tokens() > MOST_TOKENS;
            if documents > 0 && is_full {
                return shares;
            }
            *share += 1;
            documents += 1;
            tokens += document.tokens();
        }
        if documents == before {
            return shares;
        }
    }
}
