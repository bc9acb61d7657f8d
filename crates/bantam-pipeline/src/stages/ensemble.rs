//! The teacher as it answers: encoders trained from different seeds, and the linear baseline where the recipe gives it a voice.

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
    /// The baseline, where it has a voice.
    pub(crate) baseline: Option<Artifact>,
}

impl Taught {
    /// All artifacts.
    pub(crate) fn artifacts(&self) -> impl Iterator<Item = &Artifact> {
        self.members.iter().chain(&self.baseline)
    }
}

/// Classifiers that answer together: their scores are the means of the logarithms of their probabilities.
pub(crate) struct Ensemble {
    members: Vec<TextClassifier>,
    linear: Option<Linear>,
}

/// The baseline, and the divisor that makes probabilities of its margins.
struct Linear {
    svm: TfidfSvm,
    temperature: f64,
}

impl Ensemble {
    /// Reads all of a teacher. The baseline's temperature is fitted on the validation texts.
    pub(crate) fn load(taught: &Taught, corpus: &Corpus, precision: Precision) -> Result<Self, Error> {
        let members = taught.members.iter().map(|artifact| load(artifact.folder(), precision));
        let members = members.collect::<Result<_, _>>()?;
        let linear = taught.baseline.as_ref().map(|artifact| {
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
        let mut answers: Vec<Vec<Vec<f32>>> = self
            .members
            .iter()
            .map(|member| member.logits(texts).iter().map(|scores| log_softmax(scores, 1.0)).collect())
            .collect();
        if let Some(Linear { svm, temperature }) = &self.linear {
            let margins = svm.scores(texts);
            let answer = margins.iter().enumerate().map(|(text, margins)| {
                // It cannot say "none of these"; there it follows the others.
                let outside =
                    |answer: &Vec<Vec<f32>>| answer[text][margins.len()..].iter().map(|x| x.exp()).sum::<f32>();
                let outside = answers.iter().map(outside).sum::<f32>() / answers.len() as f32;
                let inside = (1.0 - outside).max(f32::MIN_POSITIVE).ln();
                let mut row: Vec<f32> = log_softmax(margins, *temperature as f32).iter().map(|x| x + inside).collect();
                row.resize(answers[0][text].len(), outside.max(f32::MIN_POSITIVE).ln());
                row
            });
            let answer = answer.collect();
            answers.push(answer);
        }
        let mean = |text: usize, column: usize| {
            answers.iter().map(|answer| answer[text][column]).sum::<f32>() / answers.len() as f32
        };
        let columns = answers[0].first().map_or(0, Vec::len);
        (0..texts.len()).map(|text| (0..columns).map(|column| mean(text, column)).collect()).collect()
    }
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
    fn the_baseline_has_a_voice_on_labels_and_none_on_what_is_out_of_scope() {
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
