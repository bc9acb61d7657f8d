//! Tasks by name, which model can do which, and which is asked.

use axum::http::StatusCode;
use bantam_runtime::tasks::Head;
use serde_json::Value;

use super::text_generation::is_meant;
use crate::failure::Failure;
use crate::service::{Model, Service, none_served};

/// A task by the name that Hugging Face gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    FeatureExtraction,
    FillMask,
    QuestionAnswering,
    SentenceSimilarity,
    TextClassification,
    TextGeneration,
    TokenClassification,
    ZeroShot,
}

const NAMES: [(&str, Task); 10] = [
    ("feature-extraction", Task::FeatureExtraction),
    ("fill-mask", Task::FillMask),
    ("question-answering", Task::QuestionAnswering),
    ("sentence-similarity", Task::SentenceSimilarity),
    ("text-classification", Task::TextClassification),
    ("text-generation", Task::TextGeneration),
    ("token-classification", Task::TokenClassification),
    ("zero-shot-classification", Task::ZeroShot),
    ("sentiment-analysis", Task::TextClassification),
    ("ner", Task::TokenClassification),
];

impl Task {
    /// The task of that name.
    pub(crate) fn named(name: &str) -> Result<Self, Failure> {
        NAMES.iter().find(|(known, _)| *known == name).map(|&(_, task)| task).ok_or_else(|| {
            let names: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
            let remedy = format!("take one of: {}", names.join(", "));
            Failure::new(StatusCode::NOT_FOUND, format!("there is no task {name:?}"), remedy)
        })
    }

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        NAMES.iter().find(|(_, task)| *task == self).map_or("", |(name, _)| name)
    }

    /// The task that only these inputs or parameters belong to, if any.
    fn told_by(inputs: &Value, parameters: &Value) -> Option<Self> {
        if inputs.get("source_sentence").is_some() {
            Some(Self::SentenceSimilarity)
        } else if inputs.get("context").is_some() || inputs[0].get("context").is_some() {
            Some(Self::QuestionAnswering)
        } else if parameters.get("candidate_labels").is_some() {
            Some(Self::ZeroShot)
        } else if is_meant(parameters) {
            Some(Self::TextGeneration)
        } else {
            None
        }
    }
}

/// What a model can do, first what it is for.
pub(crate) fn abilities(model: &Model) -> Vec<Task> {
    let states = [Task::FeatureExtraction, Task::SentenceSimilarity];
    let main: &[Task] = match model {
        Model::Language(_) => &[Task::TextGeneration],
        Model::Bundle(_) => &[Task::TextClassification],
        Model::Encoder(encoder) => match encoder.model.head() {
            Head::Labels(_) if encoder.model.entailment().is_some() => &[Task::TextClassification, Task::ZeroShot],
            Head::Labels(_) => &[Task::TextClassification],
            Head::TokenLabels(_) => &[Task::TokenClassification],
            Head::Span => &[Task::QuestionAnswering],
            Head::Vocabulary => &[Task::FillMask],
            Head::Nothing => return [&states[..], &[Task::ZeroShot]].concat(),
        },
    };
    [main, &states].concat()
}

/// The model of that name, or the first that is for the task, or the first that can do it at all.
pub(crate) fn able<'a>(service: &'a Service, name: Option<&str>, task: Task) -> Result<&'a Model, Failure> {
    if let Some(name) = name {
        let (name, model) = service.model(name)?;
        return match abilities(model) {
            able if able.contains(&task) => Ok(model),
            able => {
                let message = format!("{name} has no head for {}", task.name());
                Err(Failure::new(StatusCode::BAD_REQUEST, message, listed(&able)).with_code("task_not_supported"))
            }
        };
    }
    let models = || service.models().iter();
    let is_for = |model: &Model| abilities(model).first() == Some(&task);
    let found = models().find(|(_, model)| is_for(model));
    let found = found.or_else(|| models().find(|(_, model)| abilities(model).contains(&task)));
    found.map(|(_, model)| model).ok_or_else(|| {
        let all: Vec<String> = models().map(|(name, model)| format!("{name}: {}", names(&abilities(model)))).collect();
        let message = format!("no model that is served has a head for {}", task.name());
        let remedy = format!("serve one, or ask for what there is: {}", all.join("; "));
        Failure::new(StatusCode::NOT_FOUND, message, remedy).with_code("task_not_supported")
    })
}

/// The task that a request without a name for it is about, by what it sends, or else by what the model is for.
pub(crate) fn meant(
    service: &Service,
    name: Option<&str>,
    inputs: &Value,
    parameters: &Value,
) -> Result<Task, Failure> {
    if let Some(task) = Task::told_by(inputs, parameters) {
        return Ok(task);
    }
    let is_other = |(_, model): &&(String, Model)| !matches!(model, Model::Language(_));
    let model = match name {
        Some(name) => service.model(name)?,
        None => service.models().iter().find(is_other).or(service.models().first()).ok_or_else(none_served)?,
    };
    Ok(abilities(&model.1)[0])
}

fn names(tasks: &[Task]) -> String {
    tasks.iter().map(|task| task.name()).collect::<Vec<_>>().join(", ")
}

fn listed(tasks: &[Task]) -> String {
    format!("ask it for one of: {}", names(tasks))
}
