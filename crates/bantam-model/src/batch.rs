//! What a model reads in one go: documents one after another, never padded.

/// The tokens of several documents, laid end to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    tokens: Vec<u32>,
    starts: Vec<usize>,
    positions: Vec<u32>,
    features: Option<Features>,
    kinds: Vec<u32>,
}

/// Hashed text features of each document of a batch: a bag of table rows per document.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Features {
    /// Rows, document after document.
    pub ids: Vec<u32>,
    /// Where each document's rows begin; one more than documents.
    pub offsets: Vec<usize>,
}

impl Batch {
    /// Lays documents end to end. Every document needs at least one token.
    ///
    /// # Panics
    /// When a document is empty: callers reject or mark empty text before it comes here.
    pub fn new<'a>(documents: impl IntoIterator<Item = &'a [u32]>) -> Self {
        Self::continuing(documents.into_iter().map(|document| (0, document)))
    }

    /// Lays the next tokens of documents end to end, each with the number of its tokens that were read before.
    ///
    /// # Panics
    /// As [`Batch::new`].
    pub fn continuing<'a>(documents: impl IntoIterator<Item = (usize, &'a [u32])>) -> Self {
        let mut batch =
            Self { tokens: Vec::new(), starts: vec![0], positions: Vec::new(), features: None, kinds: Vec::new() };
        for (past, document) in documents {
            assert!(!document.is_empty(), "document {} of the batch has no token", batch.starts.len() - 1);
            batch.tokens.extend_from_slice(document);
            batch.positions.extend(past as u32..(past + document.len()) as u32);
            batch.starts.push(batch.tokens.len());
        }
        batch
    }

    /// Adds each document's bag of hashed features.
    ///
    /// # Panics
    /// When there are not as many bags as documents.
    #[must_use]
    pub fn with_features(mut self, features: Features) -> Self {
        assert_eq!(features.offsets.len(), self.starts.len(), "one bag of features per document");
        self.features = Some(features);
        self
    }

    /// Adds the kind of segment of each token, where a document is a pair of texts.
    ///
    /// # Panics
    /// When there are not as many as tokens.
    #[must_use]
    pub fn with_kinds(mut self, kinds: Vec<u32>) -> Self {
        assert_eq!(kinds.len(), self.tokens.len(), "one kind per token");
        self.kinds = kinds;
        self
    }

    /// The kind of segment of each token; empty where all are of kind 0.
    pub fn kinds(&self) -> &[u32] {
        &self.kinds
    }

    /// Token ids of all documents.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// Where each document begins, and the end: one more than documents.
    pub fn starts(&self) -> &[usize] {
        &self.starts
    }

    /// The place of each token inside its document.
    pub fn positions(&self) -> &[u32] {
        &self.positions
    }

    /// The bags of hashed features, where the model has a table for them.
    pub fn features(&self) -> Option<&Features> {
        self.features.as_ref()
    }

    /// How many documents there are.
    pub fn documents(&self) -> usize {
        self.starts.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_restart_with_every_document() {
        let batch = Batch::new([&[5, 6, 7][..], &[8], &[9, 10]]);
        assert_eq!(batch.tokens(), [5, 6, 7, 8, 9, 10]);
        assert_eq!(batch.starts(), [0, 3, 4, 6]);
        assert_eq!(batch.positions(), [0, 1, 2, 0, 0, 1]);
    }
}
