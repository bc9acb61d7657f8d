//! Responses that later requests may go on from: the latest, in bounded memory.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use bantam_runtime::chat::Message;
use serde_json::Value;

use crate::keys::Caller;

/// The most responses, and the most bytes of them.
const MOST: usize = 4096;
const MOST_BYTES: usize = 64 << 20;

/// A response that was made.
pub(crate) struct Kept {
    /// As it was told.
    pub(crate) response: Value,
    /// The items of its own input, oldest first.
    pub(crate) items: Vec<Value>,
    /// The conversation with it at the end.
    pub(crate) messages: Vec<Message>,
    /// Whose it is: others cannot see it.
    pub(crate) caller: Caller,
}

/// The latest responses.
#[derive(Default)]
pub(crate) struct Store(Mutex<Inside>);

#[derive(Default)]
struct Inside {
    kept: HashMap<String, (Arc<Kept>, usize)>,
    order: VecDeque<String>,
    bytes: usize,
}

impl Store {
    /// Keeps a response, and forgets the oldest where there are too many.
    pub(crate) fn keep(&self, id: String, kept: Kept) {
        let items: usize = kept.items.iter().map(|item| item.to_string().len()).sum();
        let bytes = kept.response.to_string().len() + items + kept.messages.iter().map(bytes_of).sum::<usize>();
        let mut inside = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inside.bytes += bytes;
        inside.order.push_back(id.clone());
        inside.kept.insert(id, (Arc::new(kept), bytes));
        while inside.bytes > MOST_BYTES || inside.order.len() > MOST {
            let Some(oldest) = inside.order.pop_front() else { break };
            inside.forget(&oldest);
        }
    }

    /// The caller's response of that id.
    pub(crate) fn find(&self, caller: Caller, id: &str) -> Option<Arc<Kept>> {
        let inside = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inside.kept.get(id).map(|(kept, _)| Arc::clone(kept)).filter(|kept| kept.caller == caller)
    }

    /// Forgets it; false where there is none.
    pub(crate) fn remove(&self, caller: Caller, id: &str) -> bool {
        let found = self.find(caller, id).is_some();
        if found {
            let mut inside = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            inside.forget(id);
            inside.order.retain(|other| other != id);
        }
        found
    }
}

impl Inside {
    fn forget(&mut self, id: &str) {
        if let Some((_, bytes)) = self.kept.remove(id) {
            self.bytes -= bytes;
        }
    }
}

fn bytes_of(message: &Message) -> usize {
    let calls: usize = message.tool_calls.iter().map(|call| call.name.len() + call.arguments.to_string().len()).sum();
    message.content.as_ref().map_or(0, String::len) + calls + size_of::<Message>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(bytes: usize, caller: Caller) -> Kept {
        Kept { response: Value::String("a".repeat(bytes)), items: Vec::new(), messages: Vec::new(), caller }
    }

    #[test]
    fn the_oldest_go_first_and_nobody_sees_those_of_others() {
        let store = Store::default();
        let (anyone, other) = (Caller::default(), Caller::of("key"));
        (0..MOST + 1).for_each(|index| store.keep(index.to_string(), kept(1, anyone)));
        assert!(store.find(anyone, "0").is_none() && store.find(anyone, "1").is_some());
        assert!(store.find(other, "1").is_none() && !store.remove(other, "1"));
        assert!(store.remove(anyone, "1") && !store.remove(anyone, "1"));
        store.keep("large".into(), kept(MOST_BYTES - 100, anyone));
        assert!(store.find(anyone, "large").is_some() && store.find(anyone, "2").is_none());
        store.keep("larger".into(), kept(MOST_BYTES + 1, anyone));
        assert!(store.find(anyone, "larger").is_none());
    }
}
