//! The teacher as it answers: encoders trained from different seeds, and a linear model where the recipe gives it a voice.

use bantam_artifact::Artifact;
use bantam_eval::baselines::TfidfSvm;
use bantam_eval::{Classifier, scores_of, temperature};
use bantam_kernels::gemm::Precision;
use bantam_runtime::TextClassifier;

use super::baseline::FILE;
use super::corpus::Corpus;
use super::model::load;
use crate::Error;

/// The artifacts of a teacher.
pub(crate) struct Taught {
    /// Encoders, one at least.
    pub(crate) members: Vec<Artifact>,
    /// The linear model, where it has a voice.
    pub(crate) linear: Option<Artifact>,
}

impl Taught {
    /// All artifacts.
    pub(crate) fn artifacts(&self) -> impl Iterator<Item = &Artifact> {
        self.members.iter().chain(&self.linear)
    }
}

/// Classifiers that answer together: their scores are the means of the logarithms of their probabilities, where the linear model counts as
/// much as all encoders together (on the validation texts of docs/log.md, a share of 0.4 to 0.5 was best).
pub(crate) struct Ensemble {
    members: Vec<TextClassifier>,
    linear: Option<Linear>,
}

/// The linear model, and the divisor that makes probabilities of its margins.
struct Linear {
    svm: TfidfSvm,
    temperature: f64,
}

impl Ensemble {
    /// Reads all of a teacher. The linear model's temperature is fitted on the validation texts.
    pub(crate) fn load(taught: &Taught, corpus: &Corpus, precision: Precision) -> Result<Self, Error> {
        let members = taught.members.iter().map(|artifact| load(artifact.folder(), precision));
        let members = members.collect::<Result<_, _>>()?;
        let linear = taught.linear.as_ref().map(|artifact| {
            let svm = TfidfSvm::load(&artifact.path(FILE))?;
            let validation = corpus.examples(&corpus.validation);
            let scores = scores_of(&svm, &validation.texts());
            let temperature = temperature::fit(corpus.account.labels.len(), validation.labels(), &scores);
            Ok::<_, Error>(Linear { svm, temperature })
        });
        Ok(Self { members, linear: linear.transpose()? })
    }

    /// Numbers that were learnt, in all of them.
    pub(crate) fn parameters(&self) -> u64 {
        let members: u64 = self.members.iter().map(|member| member.parameters() as u64).sum();
        members + self.linear.as_ref().map_or(0, |linear| linear.svm.parameters())
    }

    /// Scores of each text: a single member's own, or what all agree on.
    pub(crate) fn logits(&self, texts: &[&str]) -> Vec<Vec<f32>> {
        if let ([only], None) = (self.members.as_slice(), &self.linear) {
            return only.logits(texts);
        }
        let answers: Vec<Vec<Vec<f32>>> = self
            .members
            .iter()
            .map(|member| member.logits(texts).iter().map(|scores| log_softmax(scores, 1.0)).collect())
            .collect();
        let mut joint = mean(&answers);
        if let Some(Linear { svm, temperature }) = &self.linear {
            for (row, margins) in joint.iter_mut().zip(svm.scores(texts)) {
                *row = log_softmax(row, 1.0);
                // It cannot say "none of these"; there it follows the encoders.
                let outside: f32 = row[margins.len()..].iter().map(|x| x.exp()).sum();
                let inside = (1.0 - outside).max(f32::MIN_POSITIVE).ln();
                let voice = log_softmax(&margins, *temperature as f32);
                row.iter_mut().zip(voice).for_each(|(x, voice)| *x = 0.5 * (*x + voice + inside));
            }
        }
        joint
    }
}

/// The mean over the members of `[members][texts][columns]`.
fn mean(answers: &[Vec<Vec<f32>>]) -> Vec<Vec<f32>> {
    let mut sum = answers[0].clone();
    for answer in &answers[1..] {
        for (sum, row) in sum.iter_mut().zip(answer) {
            sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
        }
    }
    let share = 1.0 / answers.len() as f32;
    sum.iter_mut().flatten().for_each(|x| *x *= share);
    sum
}

fn log_softmax(scores: &[f32], temperature: f32) -> Vec<f32> {
    let top = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = scores.iter().map(|score| ((score - top) / temperature).exp()).sum();
    scores.iter().map(|score| (score - top) / temperature - sum.ln()).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use bantam_eval::Examples;
    use bantam_model::arrays::Array;
    use bantam_runtime::sample;

    use super::*;

    /// The sample classifier with its last layer's numbers multiplied, so that it is surer, or of another opinion.
    fn classifier(factor: f32) -> TextClassifier {
        let mut parts = sample::parts();
        for (_, array) in parts.arrays.iter_mut().filter(|(name, _)| name.contains("classifier")) {
            let values = array.to_f32().iter().map(|value| value * factor).collect();
            *array = Array::plain(array.shape.clone(), values);
        }
        parts.classifier(Path::new("sample")).unwrap()
    }

    fn probabilities(scores: &[f32]) -> Vec<f64> {
        let powers: Vec<f64> = scores.iter().map(|&score| f64::from(score).exp()).collect();
        let sum: f64 = powers.iter().sum();
        powers.into_iter().map(|power| power / sum).collect()
    }

    #[test]
    fn one_member_keeps_its_scores_and_several_agree() {
        let texts = [sample::TEXTS[0], sample::TEXTS[3]];
        let alone = Ensemble { members: vec![classifier(1.0)], linear: None };
        assert_eq!(alone.logits(&texts), classifier(1.0).logits(&texts));
        let both = Ensemble { members: vec![classifier(1.0), classifier(-2.0)], linear: None };
        for (index, joint) in both.logits(&texts).iter().enumerate() {
            let [a, b] = [1.0, -2.0].map(|factor| probabilities(&classifier(factor).logits(&texts)[index]));
            for (column, score) in joint.iter().enumerate() {
                let expected = (a[column] * b[column]).sqrt().ln();
                assert!((f64::from(*score) - expected).abs() < 1e-4, "{score} is not {expected}");
            }
        }
    }

    #[test]
    fn the_linear_model_has_a_voice_on_labels_and_none_on_what_is_out_of_scope() {
        let labels = [0, 1, 2, 0, 1, 2].map(Some).to_vec();
        let svm = TfidfSvm::train(&Examples::new(sample::TEXTS.map(str::to_owned).to_vec(), labels), 3);
        let texts = [sample::TEXTS[1]];
        let (member, margins) = (probabilities(&classifier(1.0).logits(&texts)[0]), svm.scores(&texts));
        let ensemble = Ensemble { members: vec![classifier(1.0)], linear: Some(Linear { svm, temperature: 0.5 }) };
        let joint = &ensemble.logits(&texts)[0];
        assert_eq!(joint.len(), member.len());
        let linear = probabilities(&margins[0].iter().map(|margin| margin / 0.5).collect::<Vec<_>>());
        for column in 0..3 {
            let expected = (member[column] * linear[column] * (1.0 - member[3])).sqrt().ln();
            assert!((f64::from(joint[column]) - expected).abs() < 1e-4);
        }
        assert!((f64::from(joint[3]) - member[3].ln()).abs() < 1e-4);
    }
}
