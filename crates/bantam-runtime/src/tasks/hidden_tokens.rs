//! Hidden tokens (`[MASK]`): what may stand in their places.

use serde::Serialize;

use super::numbers::{descending, softmax};
use super::{Cut, Document, Rows, TaskError, TaskModel, Wanted};

/// What may stand in the place of a hidden token.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Proposal {
    /// How likely it is.
    pub score: f32,
    /// The token's id.
    pub token: u32,
    /// The token.
    pub token_str: String,
    /// The text with it.
    pub sequence: String,
}

/// A text with hidden tokens.
pub struct HiddenTokens {
    ids: Vec<u32>,
    places: Vec<u32>,
    targets: Option<Vec<u32>>,
    most: usize,
}

impl HiddenTokens {
    /// Asks what is hidden in a text: `most` proposals for each place, only of `targets` where there are any.
    ///
    /// # Errors
    /// When the text is too long and may not be cut, nothing in it is hidden, or no target is a token.
    pub fn new(
        model: &TaskModel,
        text: &str,
        targets: Option<&[String]>,
        most: usize,
        cut: Cut,
    ) -> Result<(Self, Document), TaskError> {
        let tokenizer = model.tokenizer();
        let mask = tokenizer.special().mask.ok_or(TaskError::MaskUnknown)?;
        let ids = model.document(text, None, cut, Wanted::Scores)?.into_ids();
        let places: Vec<u32> = (0..ids.len() as u32).filter(|&place| ids[place as usize] == mask).collect();
        if places.is_empty() {
            return Err(TaskError::NoMask { mask: tokenizer.token(mask).unwrap_or_default() });
        }
        // A target that is no token stands for the first of its tokens.
        let id = |target: &String| tokenizer.id(target).or_else(|| tokenizer.encode_content(target).first().copied());
        let targets: Option<Vec<u32>> = targets.map(|targets| {
            let mut ids: Vec<u32> = targets.iter().filter_map(id).collect();
            ids.sort_unstable();
            ids.dedup();
            ids
        });
        if targets.as_ref().is_some_and(Vec::is_empty) {
            return Err(TaskError::NoTarget);
        }
        let document = Document::plain(ids.clone(), Wanted::ScoresAt(places.clone()));
        Ok((Self { ids, places, targets, most }, document))
    }

    /// Tokens of the texts of all its proposals together.
    pub fn told_tokens(&self, model: &TaskModel) -> usize {
        let choices = self.targets.as_ref().map_or(model.vocabulary(), Vec::len);
        let proposals = self.places.len().saturating_mul(self.most.min(choices));
        proposals.saturating_mul(self.ids.len())
    }

    /// The proposals for each hidden token, the likeliest first.
    pub fn finish(self, model: &TaskModel, rows: &Rows) -> Vec<Vec<Proposal>> {
        let is_single = self.places.len() == 1;
        let (tokenizer, padding) = (model.tokenizer(), model.tokenizer().special().pad);
        let proposals = |place: u32, scores: &[f32]| {
            let probabilities = softmax(scores);
            let order = match &self.targets {
                None => descending(&probabilities, self.most),
                Some(targets) => {
                    let targets: Vec<usize> = targets.iter().map(|&target| target as usize).collect();
                    let found: Vec<f32> = targets.iter().map(|&target| probabilities[target]).collect();
                    descending(&found, self.most).into_iter().map(|index| targets[index]).collect()
                }
            };
            let proposal = |token: usize| {
                let mut ids = self.ids.clone();
                ids[place as usize] = token as u32;
                ids.retain(|&id| Some(id) != padding);
                Proposal {
                    score: probabilities[token],
                    token: token as u32,
                    token_str: tokenizer.decode_all(&[token as u32]),
                    // Where other tokens stay hidden, they are told.
                    sequence: if is_single { tokenizer.decode(&ids) } else { tokenizer.decode_all(&ids) },
                }
            };
            order.into_iter().map(proposal).collect()
        };
        self.places.iter().zip(rows.iter()).map(|(&place, scores)| proposals(place, scores)).collect()
    }
}
