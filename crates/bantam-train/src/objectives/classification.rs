//! Learning classes from labelled texts.

use bantam_model::architectures::Classifier;
use bantam_model::{Batch, Pass, TextEncoder, Weights};
use bantam_tensor::{Noise, Tensor, one_hot};
use serde::{Deserialize, Serialize};

use super::Order;
use super::lesson::{Lesson, batch, mean_tokens};
use crate::trainer::{Objective, StepContext};

/// Texts that are scored at one time in validation.
const VALIDATION_BATCH: usize = 64;

/// How classes are learnt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClassificationOptions {
    /// Texts per micro-batch.
    pub batch: usize,
    /// Share of numbers dropped between layers.
    pub dropout: f32,
    /// Share of words dropped from each text.
    pub word_dropout: f32,
    /// Share of each target that all classes get.
    pub smoothing: f32,
    /// Weight of the divergence between two passes with different dropout (R-Drop, Wu et al. 2021); 0 makes one pass.
    pub consistency: f32,
    /// Weight of the supervised contrastive loss (Khosla et al. 2020) on what the last layer reads.
    pub contrastive: f32,
    /// Whether rare classes weigh as much as frequent ones.
    pub balance: bool,
}

impl Default for ClassificationOptions {
    fn default() -> Self {
        Self {
            batch: 32,
            dropout: 0.1,
            word_dropout: 0.1,
            smoothing: 0.1,
            consistency: 0.0,
            contrastive: 0.0,
            balance: false,
        }
    }
}

/// Cross-entropy on labels, with what makes few examples go further.
pub struct Classification<'a> {
    model: &'a dyn Classifier,
    encoder: &'a TextEncoder,
    lessons: &'a [Lesson],
    validation: &'a [Lesson],
    options: ClassificationOptions,
    order: Order,
    /// How much an example of each class counts.
    importance: Vec<f32>,
    tokens_per_step: usize,
}

impl<'a> Classification<'a> {
    /// Learns from `lessons`, all of them labelled; `validation` may be empty.
    ///
    /// # Panics
    /// When there is no lesson, or one has no label or a label that the model lacks.
    pub fn new(
        model: &'a dyn Classifier,
        encoder: &'a TextEncoder,
        lessons: &'a [Lesson],
        validation: &'a [Lesson],
        options: ClassificationOptions,
        seed: u64,
    ) -> Self {
        let order = Order::new(lessons.len(), options.batch, seed);
        let mut counts = vec![0usize; model.labels()];
        lessons.iter().for_each(|lesson| counts[label(lesson) as usize] += 1);
        let classes = counts.iter().filter(|&&count| count > 0).count().max(1);
        let importance = counts
            .iter()
            .map(|&count| if options.balance { lessons.len() as f32 / (classes * count.max(1)) as f32 } else { 1.0 })
            .collect();
        let tokens_per_step = (mean_tokens(encoder, lessons) * options.batch as f64) as usize;
        Self { model, encoder, lessons, validation, options, order, importance, tokens_per_step }
    }

    fn pass(&self, weights: &Weights, batch: &Batch, seed: u64, targets: &Tensor, labels: &[u32]) -> (Tensor, Tensor) {
        let noise = if self.options.dropout > 0.0 { Noise::new(self.options.dropout, seed) } else { Noise::none() };
        let answer = self.model.classify(weights, batch, &mut Pass::noisy(noise).answering());
        let importance: Vec<f32> = labels.iter().map(|&label| self.importance[label as usize]).collect();
        let mut loss = answer.logits.cross_entropy(targets, Some(&importance));
        if self.options.contrastive > 0.0 {
            let apart = answer.pooled.normalize_rows().contrastive(labels, 0.1);
            loss = loss.add(&apart.scale(self.options.contrastive));
        }
        (loss, answer.logits)
    }
}

impl Objective for Classification<'_> {
    fn loss(&self, weights: &Weights, context: &mut StepContext) -> Tensor {
        let chosen = self.order.batch(context.micro_batch);
        let texts = batch(self.encoder, self.lessons, &chosen, self.options.word_dropout, &mut context.random);
        let labels: Vec<u32> = chosen.iter().map(|&index| label(&self.lessons[index])).collect();
        let targets = one_hot(&labels, self.model.labels(), self.options.smoothing);
        let (loss, logits) = self.pass(weights, &texts, context.random.next(), &targets, &labels);
        if self.options.consistency <= 0.0 {
            return loss;
        }
        let (again, other) = self.pass(weights, &texts, context.random.next(), &targets, &labels);
        loss.add(&again).scale(0.5).add(&logits.consistency(&other).scale(self.options.consistency))
    }

    fn tokens_per_step(&self) -> usize {
        self.tokens_per_step
    }

    fn validate(&self, weights: &Weights) -> Option<f64> {
        accuracy(self.model, self.encoder, weights, self.validation)
    }
}

/// The share of labelled lessons whose class gets the highest score; `None` of none.
pub(super) fn accuracy(
    model: &dyn Classifier,
    encoder: &TextEncoder,
    weights: &Weights,
    lessons: &[Lesson],
) -> Option<f64> {
    let labelled: Vec<&Lesson> = lessons.iter().filter(|lesson| lesson.label.is_some()).collect();
    let right = labelled.chunks(VALIDATION_BATCH).map(|lessons| {
        let texts = encoder.batch(lessons.iter().map(|lesson| lesson.text.as_str()));
        let logits = model.classify(weights, &texts, &mut Pass::answer()).logits;
        let rows = logits.data().chunks(logits.width()).zip(lessons);
        rows.filter(|(row, lesson)| lesson.label == Some(best(row))).count()
    });
    let right: usize = right.sum();
    (!labelled.is_empty()).then(|| right as f64 / labelled.len() as f64)
}

/// The class with the highest score, the first of equals.
fn best(row: &[f32]) -> u32 {
    (1..row.len()).fold(0, |best, class| if row[class] > row[best] { class } else { best }) as u32
}

fn label(lesson: &Lesson) -> u32 {
    lesson.label.expect("classification learns from labelled lessons only")
}
