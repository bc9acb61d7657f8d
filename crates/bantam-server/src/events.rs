//! Server-sent events: a task writes them, and ends when its client is gone.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Events that wait for a slow client, at most.
const MOST_HELD: usize = 16;

/// Where events are written.
pub(crate) struct Writer(Sender<Event>);

/// The client is gone.
pub(crate) struct Gone;

impl Writer {
    /// Writes a JSON value as an event without name.
    pub(crate) async fn data(&self, value: &Value) -> Result<(), Gone> {
        self.write(Event::default().data(value.to_string())).await
    }

    /// Writes a JSON value as an event called `name`.
    pub(crate) async fn named(&self, name: &str, value: &Value) -> Result<(), Gone> {
        self.write(Event::default().event(name).data(value.to_string())).await
    }

    /// Writes the last event of a stream, as OpenAI has it.
    pub(crate) async fn done(&self) -> Result<(), Gone> {
        self.write(Event::default().data("[DONE]")).await
    }

    async fn write(&self, event: Event) -> Result<(), Gone> {
        self.0.send(event).await.map_err(|_| Gone)
    }
}

struct Events(Receiver<Event>);

impl futures_core::Stream for Events {
    type Item = Result<Event, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context).map(|event| event.map(Ok))
    }
}

/// Answers with the events that `write` writes. It is dropped as soon as the client is gone.
pub(crate) fn respond<F>(write: impl FnOnce(Writer) -> F) -> Response
where
    F: Future<Output = Result<(), Gone>> + Send + 'static,
{
    let (sender, receiver) = channel(MOST_HELD);
    let client = sender.clone();
    let writing = write(Writer(sender));
    tokio::spawn(async move {
        tokio::select! {
            () = client.closed() => {}
            _ = writing => {}
        }
    });
    Sse::new(Events(receiver)).keep_alive(KeepAlive::default()).into_response()
}
