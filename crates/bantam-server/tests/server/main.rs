//! The server as its clients meet it: requests over real connections.

mod bundles;
mod chats;
mod client;
mod completions;
mod embeddings;
mod guards;
mod operation;
mod responses;
mod tasks;
mod text_generation;
mod tokens;
