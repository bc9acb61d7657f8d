//! Texts whose class is known.

/// Texts with their classes; `None` marks a text that belongs to no class (out of scope).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Examples {
    texts: Vec<String>,
    labels: Vec<Option<usize>>,
}

impl Examples {
    /// Texts and their classes, counted from 0.
    ///
    /// # Panics
    /// When the two differ in length.
    pub fn new(texts: Vec<String>, labels: Vec<Option<usize>>) -> Self {
        assert_eq!(texts.len(), labels.len(), "{} texts and {} labels", texts.len(), labels.len());
        Self { texts, labels }
    }

    /// The texts.
    pub fn texts(&self) -> Vec<&str> {
        self.texts.iter().map(String::as_str).collect()
    }

    /// The class of each text.
    pub fn labels(&self) -> &[Option<usize>] {
        &self.labels
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }
}
