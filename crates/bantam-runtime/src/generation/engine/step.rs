//! One step: every answer gets a token, and prompts are read a piece further.

use std::time::Instant;

use bantam_kernels::pool;

use super::Event;
use super::plan::shares;
use super::text::Text;
use super::worker::Worker;
use crate::generation::Finish;
use crate::generation::answer::{Answer, DRAFT};
use crate::generation::model::CHUNK;

impl Worker {
    /// See above.
    pub(super) fn step(&mut self) {
        let now = Instant::now();
        for index in (0..self.texts.len()).rev() {
            if self.texts[index].is_late(now) {
                self.end(index, Finish::Deadline, true);
            }
        }
        let shares = self.plan();
        self.advance(&shares);
        self.tell(&shares);
    }

    /// Tokens that each text reads.
    fn plan(&mut self) -> Vec<usize> {
        let is_alone = !self.texts.iter().any(Text::is_answered);
        let chunk = self.shared.options.chunk;
        let most = if is_alone { chunk.max(CHUNK) } else { chunk };
        let wanted = |worker: &Self| {
            let texts = worker.texts.iter().map(|text| (text.unread().len(), text.is_answered()));
            shares(&texts.collect::<Vec<_>>(), most)
        };
        for (index, share) in wanted(self).into_iter().enumerate() {
            if share > 0 {
                self.catch_up(index);
            }
        }
        wanted(self)
    }

    /// Reads, and chooses a token for each text that is read to its end.
    fn advance(&mut self, shares: &[usize]) {
        let (mut pasts, mut pieces, mut scored, mut constrained) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (mut prompts, mut prompt_tokens, mut reused_tokens) = (0, 0, 0);
        // Beside many others a guess costs more than it saves.
        let guessed = DRAFT / self.texts.len().max(1);
        let mut read: Vec<_> =
            self.texts.iter_mut().zip(shares.iter().copied()).filter(|&(_, share)| share > 0).collect();
        // Those whose prompts are read come last.
        read.sort_by_key(|(text, _)| !text.is_answered());
        for (text, share) in &mut read {
            let share = *share;
            if text.is_fresh() {
                prompt_tokens += text.reused;
                reused_tokens += text.reused;
            }
            if !text.is_answered() {
                prompts += 1;
                prompt_tokens += share;
            }
            let start = text.past.tokens();
            let is_scored = start + share == text.tokens.len();
            if is_scored {
                text.guess(guessed);
            }
            pasts.push(std::mem::take(&mut text.past));
            pieces.push(&text.tokens[start..start + share + text.draft.len()]);
            scored.push(if is_scored { 1 + text.draft.len() } else { 0 });
            if is_scored && text.answer.is_constrained() {
                constrained.push(&mut text.answer);
            }
        }
        if pieces.is_empty() {
            return;
        }
        let model = &*self.model;
        let (scores, pasts) = beside(constrained, || model.advance(pasts, &pieces, &scored, prompts));
        let mut rest = scores.data();
        let mut chosen = Vec::new();
        for (((text, _), past), scored) in read.into_iter().zip(pasts).zip(scored) {
            text.past = past;
            let (rows, others) = rest.split_at(scored * model.vocabulary());
            rest = others;
            if scored > 0 {
                chosen.push((text, rows));
            }
        }
        pool::for_each_chunk(&mut chosen, 1, |_, chosen| {
            chosen.iter_mut().for_each(|(text, rows)| text.choose(model, rows));
        });
        let answer_tokens: usize = chosen.iter().map(|(text, _)| text.chosen()).sum();
        let cached_prefixes = self.prefixes.len();
        self.shared.update(|status| {
            status.cached_prefixes = cached_prefixes;
            status.prompt_tokens += prompt_tokens as u64;
            status.reused_tokens += reused_tokens as u64;
            status.answer_tokens += answer_tokens as u64;
        });
    }

    /// Tells the callers, and ends what is over.
    fn tell(&mut self, shares: &[usize]) {
        let mut ended = Vec::new();
        for (index, (text, &share)) in self.texts.iter_mut().zip(shares).enumerate() {
            if !text.next.is_empty() {
                ended.extend(text.take_next().map(|(finish, is_told)| (index, finish, is_told)));
            } else if share > 0 && !text.tell(Event::Reading(text.past.tokens())) {
                ended.push((index, Finish::Stopped, false));
            }
        }
        ended.into_iter().rev().for_each(|(index, finish, is_told)| self.end(index, finish, is_told));
    }
}

/// Runs the model while another thread finds out which tokens the answers' forms allow.
fn beside<R>(constrained: Vec<&mut Answer>, run: impl FnOnce() -> R) -> R {
    if constrained.is_empty() {
        return run();
    }
    pool::beside("bantam-constraints", || constrained.into_iter().for_each(Answer::prepare), run).1
}
