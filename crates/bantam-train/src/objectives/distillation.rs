//! Learning what a teacher thinks: its scores for every class (Hinton et al. 2015), and if wanted how its tokens relate
//! (MiniLMv2, Wang et al. 2021) and the states that it ends in.

use bantam_model::architectures::{Classification as Answer, Classifier};
use bantam_model::{Batch, Pass, TextEncoder, Weights};
use bantam_tensor::{Noise, Tensor, one_hot};
use serde::{Deserialize, Serialize};

use super::Order;
use super::classification::accuracy;
use super::lesson::{Lesson, mean_tokens};
use crate::trainer::{Objective, StepContext};

/// How a student learns from a teacher.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DistillationOptions {
    /// Texts per micro-batch.
    pub batch: usize,
    /// Share of numbers dropped between layers.
    pub dropout: f32,
    /// Divides both sides' scores before they are compared.
    pub temperature: f32,
    /// Weight of the labels beside the teacher's scores, where there are labels.
    pub labels: f32,
    /// Weight of the relations between the last layer's tokens, across widths; both must read the same tokens. 0 switches them off, and
    /// with states the teacher's passes.
    pub relations: f32,
    /// Weight of the distance between the last layer's states; both must read the same tokens and be of one width. 0 switches it off.
    pub states: f32,
}

impl Default for DistillationOptions {
    fn default() -> Self {
        Self { batch: 64, dropout: 0.05, temperature: 2.0, labels: 0.2, relations: 0.0, states: 0.0 }
    }
}

/// A teacher that is asked while the student learns. It reads the same tokens as the student.
#[derive(Clone, Copy)]
pub struct Teacher<'a> {
    /// What is computed.
    pub model: &'a dyn Classifier,
    /// With which numbers.
    pub weights: &'a Weights,
    /// Text to what it reads.
    pub encoder: &'a TextEncoder,
}

/// Distillation from scores that the lessons carry.
pub struct Distillation<'a> {
    student: &'a dyn Classifier,
    encoder: &'a TextEncoder,
    teacher: Option<Teacher<'a>>,
    lessons: &'a [Lesson],
    validation: &'a [Lesson],
    options: DistillationOptions,
    order: Order,
    tokens_per_step: usize,
}

impl<'a> Distillation<'a> {
    /// Learns from `lessons`, all of them with scores; `validation` has labels, and may be empty. The teacher is needed
    /// for relations and states only.
    ///
    /// # Panics
    /// When there is no lesson, or one has not one score per class. Its `loss` panics where relations or states are asked for and the
    /// teacher reads other tokens, or states and its width is another.
    pub fn new(
        student: &'a dyn Classifier,
        encoder: &'a TextEncoder,
        teacher: Option<Teacher<'a>>,
        lessons: &'a [Lesson],
        validation: &'a [Lesson],
        options: DistillationOptions,
        seed: u64,
    ) -> Self {
        let classes = student.labels();
        assert!(lessons.iter().all(|lesson| lesson.scores.len() == classes), "every lesson has {classes} scores");
        let order = Order::new(lessons.len(), options.batch, seed);
        let tokens_per_step = (mean_tokens(encoder, lessons) * options.batch as f64) as usize;
        Self { student, encoder, teacher, lessons, validation, options, order, tokens_per_step }
    }

    fn compares_states(&self) -> bool {
        self.options.relations > 0.0 || self.options.states > 0.0
    }

    /// How far the student's last tokens are from the teacher's.
    fn inner_loss(&self, answer: &Answer, batch: &Batch, texts: &[&str]) -> Option<Tensor> {
        let teacher = self.teacher.filter(|_| self.compares_states())?;
        let read = teacher.encoder.batch(texts.iter().copied());
        let taught = teacher.model.classify(teacher.weights, &read, &mut Pass::plain());
        let (own, target) = (answer.hidden.last()?, taught.hidden.last()?);
        let relations = (self.options.relations > 0.0)
            .then(|| own.relation(target, 1, batch.starts()).scale(self.options.relations));
        let states = (self.options.states > 0.0).then(|| own.cosine_distance(target).scale(self.options.states));
        [relations, states].into_iter().flatten().reduce(|a, b| a.add(&b))
    }
}

impl Objective for Distillation<'_> {
    fn loss(&self, weights: &Weights, context: &mut StepContext) -> Tensor {
        let chosen = self.order.batch(context.micro_batch);
        let texts: Vec<&str> = chosen.iter().map(|&index| self.lessons[index].text.as_str()).collect();
        let batch = self.encoder.batch(texts.iter().copied());
        let dropout = self.options.dropout;
        let noise = if dropout > 0.0 { Noise::new(dropout, context.random.next()) } else { Noise::none() };
        let pass = Pass::noisy(noise);
        let mut pass = if self.compares_states() { pass } else { pass.answering() };
        let answer = self.student.classify(weights, &batch, &mut pass);
        let scores: Vec<&[f32]> = chosen.iter().map(|&index| self.lessons[index].scores.as_slice()).collect();
        let scores = Tensor::from_vec([chosen.len(), self.student.labels()], &scores.concat());
        let mut loss = answer.logits.distillation(&scores, self.options.temperature, None);
        if self.options.labels > 0.0 {
            let labels: Vec<Option<u32>> = chosen.iter().map(|&index| self.lessons[index].label).collect();
            let known: Vec<f32> = labels.iter().map(|label| f32::from(u8::from(label.is_some()))).collect();
            let named: Vec<u32> = labels.iter().map(|label| label.unwrap_or(0)).collect();
            let targets = one_hot(&named, self.student.labels(), 0.0);
            loss = loss.add(&answer.logits.cross_entropy(&targets, Some(&known)).scale(self.options.labels));
        }
        match self.inner_loss(&answer, &batch, &texts) {
            Some(inner) => loss.add(&inner),
            None => loss,
        }
    }

    fn tokens_per_step(&self) -> usize {
        self.tokens_per_step
    }

    fn validate(&self, weights: &Weights) -> Option<f64> {
        accuracy(self.student, self.encoder, weights, self.validation)
    }
}
