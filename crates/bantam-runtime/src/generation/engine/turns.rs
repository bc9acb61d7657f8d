//! The answers that wait, in turns: whoever asks for many at once does not keep out whoever asks for one.
//!
//! Callers take turns, an answer each; so do the requests of one caller, and the answers to one request keep their order. A caller who comes
//! is last, so everyone's wait is bounded by how many callers there are, and not by how much they ask for.

use std::collections::VecDeque;
use std::time::Instant;

use super::Request;
use super::request::Owner;

/// An answer that waits, and since when.
pub(super) struct Waiting {
    pub(super) request: Request,
    pub(super) since: Instant,
    pub(super) owner: Option<Owner>,
}

/// See above.
#[derive(Default)]
pub(super) struct Turns {
    /// Whose turn it is, where there was no room for it yet.
    next: Option<Waiting>,
    /// The callers, who waited longest first.
    callers: VecDeque<Caller>,
}

/// What one caller waits for; a request without an owner is a caller of its own.
struct Caller {
    owner: Option<Owner>,
    /// Answers of each request, none of them empty.
    requests: VecDeque<VecDeque<Waiting>>,
}

impl Turns {
    /// All that wait.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Waiting> {
        self.next.iter().chain(self.callers.iter().flat_map(|caller| caller.requests.iter().flatten()))
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether none waits.
    pub(super) fn is_empty(&self) -> bool {
        self.next.is_none() && self.callers.is_empty()
    }

    /// Adds the answers to one request.
    pub(super) fn push(&mut self, owner: Option<Owner>, answers: VecDeque<Waiting>) {
        if answers.is_empty() {
            return;
        }
        match self.callers.iter_mut().find(|caller| owner.is_some() && caller.owner == owner) {
            Some(caller) => caller.requests.push_back(answers),
            None => self.callers.push_back(Caller { owner, requests: VecDeque::from([answers]) }),
        }
    }

    /// Takes the one whose turn it is; the next turn is another's, if another waits.
    pub(super) fn take(&mut self) -> Option<Waiting> {
        if let Some(next) = self.next.take() {
            return Some(next);
        }
        let mut caller = self.callers.pop_front()?;
        let mut answers = caller.requests.pop_front()?;
        let taken = answers.pop_front();
        if !answers.is_empty() {
            caller.requests.push_back(answers);
        }
        if !caller.requests.is_empty() {
            self.callers.push_back(caller);
        }
        taken
    }

    /// Gives back what was taken last: its turn is still to come.
    pub(super) fn put_back(&mut self, waiting: Waiting) {
        self.next = Some(waiting);
    }

    /// Takes all of which something is true.
    pub(super) fn take_where(&mut self, mut is_taken: impl FnMut(&Waiting) -> bool) -> Vec<Waiting> {
        if !self.iter().any(&mut is_taken) {
            return Vec::new();
        }
        let mut taken: Vec<Waiting> = self.next.take_if(|next| is_taken(next)).into_iter().collect();
        for caller in &mut self.callers {
            for answers in &mut caller.requests {
                let (out, rest): (VecDeque<_>, _) = std::mem::take(answers).into_iter().partition(&mut is_taken);
                *answers = rest;
                taken.extend(out);
            }
            caller.requests.retain(|answers| !answers.is_empty());
        }
        self.callers.retain(|caller| !caller.requests.is_empty());
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generation::engine::tests::{options, request};
    use crate::sampling::SamplingOptions;

    /// Answers `numbers` to one request, which their prompts tell.
    fn answers(owner: Option<Owner>, numbers: std::ops::Range<u32>) -> VecDeque<Waiting> {
        let request = |number| request(&[number], options(1, SamplingOptions::greedy()), 1).0;
        numbers.map(|number| Waiting { request: request(number), since: Instant::now(), owner }).collect()
    }

    fn number(waiting: &Waiting) -> u32 {
        waiting.request.prompt[0]
    }

    fn order(turns: &mut Turns) -> Vec<u32> {
        std::iter::from_fn(|| turns.take()).map(|waiting| number(&waiting)).collect()
    }

    #[test]
    fn callers_take_turns_and_so_do_the_requests_of_one() {
        let mut turns = Turns::default();
        turns.push(None, answers(None, 0..4));
        turns.push(None, answers(None, 10..11));
        turns.push(None, answers(None, 20..22));
        assert_eq!(order(&mut turns), [0, 10, 20, 1, 21, 2, 3]);
        // Two requests of one key have one turn between them.
        let key = Some([7; 32]);
        turns.push(key, answers(key, 0..3));
        turns.push(key, answers(key, 10..13));
        turns.push(Some([8; 32]), answers(Some([8; 32]), 20..23));
        assert_eq!(order(&mut turns), [0, 20, 10, 21, 1, 22, 11, 2, 12]);
        assert!(turns.is_empty());
    }

    #[test]
    fn who_has_no_room_keeps_its_turn_and_who_is_taken_out_leaves_nothing() {
        let mut turns = Turns::default();
        turns.push(None, answers(None, 0..3));
        turns.push(None, answers(None, 10..12));
        let first = turns.take().unwrap();
        turns.put_back(first);
        assert_eq!(turns.len(), 5);
        let taken: Vec<u32> = turns.take_where(|waiting| number(waiting) < 2).iter().map(number).collect();
        assert_eq!(taken, [0, 1]);
        let taken: Vec<u32> = turns.take_where(|waiting| number(waiting) >= 10).iter().map(number).collect();
        assert_eq!((taken, turns.callers.len()), (vec![10, 11], 1));
        assert_eq!(order(&mut turns), [2]);
        turns.push(None, VecDeque::new());
        assert!(turns.is_empty() && turns.callers.is_empty());
    }
}
