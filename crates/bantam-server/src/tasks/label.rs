//! Labels of texts and of tokens, hidden tokens and answers in texts: from the parameters of a request to its answer.

use std::sync::Arc;

use axum::http::StatusCode;
use bantam_runtime::Assistant;
use bantam_runtime::tasks::{
    Aggregation, Cut, Document, HiddenTokens, Hypotheses, LabelScore, Rows, Scoring, SpanOptions, SpanSearch,
    TaskModel, TokenLabelling, TokenOptions, Wanted, filled, similarity_scores,
};
use serde::Serialize;
use serde_json::Value;

use super::embed::Embedding;
use super::inputs::{Text, Texts, bounded, count, cut, few, unreadable};
use crate::body::Fields;
use crate::failure::Failure;
use crate::service::{Encoder, Model, Service};

/// The most proposals, answers or labels that one text is told.
const MOST_TOLD: usize = 1000;
/// The most tokens of the texts that a request is told, one for each proposal.
const MOST_TOLD_TOKENS: usize = 1 << 22;
/// The most bytes of the answers that a request may be told: each can be as long as the text that it stands in.
const MOST_TOLD_BYTES: usize = 1 << 28;

/// Makes a task of each input, has the documents of all read in one go, and makes an answer of each task.
async fn answers<I, P, A>(
    service: &Service,
    encoder: &Encoder,
    inputs: Vec<I>,
    mut prepare: impl FnMut(&TaskModel, &I) -> Result<(P, Vec<Document>), Failure> + Send + 'static,
    finish: impl Fn(P, &TaskModel, &[Rows]) -> A + Send + 'static,
) -> Result<Vec<A>, Failure>
where
    I: Send + 'static,
    P: Send + 'static,
    A: Send + 'static,
{
    let model = Arc::clone(&encoder.model);
    let work = move || {
        let (mut tasks, mut documents) = (Vec::new(), Vec::new());
        for input in &inputs {
            let (task, its) = prepare(&model, input)?;
            tasks.push((task, its.len()));
            documents.extend(its);
            bounded(&model, &documents)?;
        }
        Ok::<_, Failure>((tasks, documents))
    };
    let (tasks, documents) = service.compute(work).await??;
    let rows = encoder.batcher.read(documents).await?;
    let model = Arc::clone(&encoder.model);
    let work = move || {
        let mut rest = &rows[..];
        let answer = |(task, count): (P, usize)| {
            let (its, after) = rest.split_at(count);
            rest = after;
            finish(task, &model, its)
        };
        tasks.into_iter().map(answer).collect()
    };
    service.compute(work).await
}

/// Refuses requests that are told too much: `top_k` multiplies it.
fn tellable(count: usize, most: usize, what: &str) -> Result<(), Failure> {
    if count <= most {
        return Ok(());
    }
    let message = format!("the answer may have more than {most} {what}");
    let remedy = "send fewer or shorter texts, or a smaller top_k";
    Err(Failure::field("top_k", message, remedy).with_status(StatusCode::PAYLOAD_TOO_LARGE))
}

/// One answer where one text was sent, else the list.
fn one_or_many<A: Serialize>(answers: Vec<A>, is_list: bool) -> Value {
    let mut value = serde_json::to_value(answers).unwrap_or_default();
    if is_list { value } else { value[0].take() }
}

/// Labels of texts, for each a list from the likeliest on.
pub(crate) async fn texts(
    service: &Service,
    model: &Model,
    inputs: Value,
    parameters: &mut Fields,
) -> Result<Value, Failure> {
    let texts = Texts::of(inputs)?.texts;
    let most = count(parameters, "top_k", usize::MAX)?;
    let scoring = match parameters.take::<String>("function_to_apply")?.as_deref() {
        None => None,
        Some("softmax") => Some(Scoring::Softmax),
        Some("sigmoid") => Some(Scoring::Sigmoid),
        Some("none") => Some(Scoring::Plain),
        Some(other) => {
            let message = format!("function_to_apply is {other:?}");
            return Err(Failure::field("function_to_apply", message, "take one of: softmax, sigmoid, none"));
        }
    };
    let cut = cut(parameters)?;
    let ranked = ranked(service, model, texts, scoring, most, cut).await?;
    Ok(serde_json::to_value(ranked).unwrap_or_default())
}

/// The labels of each text, from the likeliest on.
pub(crate) async fn ranked(
    service: &Service,
    model: &Model,
    texts: Vec<Text>,
    scoring: Option<Scoring>,
    most: Option<usize>,
    cut: Cut,
) -> Result<Vec<Vec<LabelScore>>, Failure> {
    match model {
        Model::Encoder(encoder) => {
            let prepare = move |model: &TaskModel, text: &Text| {
                let document = model.document(&text.text, text.pair.as_deref(), cut, Wanted::Scores)?;
                Ok(((), vec![document]))
            };
            let finish = move |(), model: &TaskModel, rows: &[Rows]| {
                scoring.unwrap_or(model.scoring()).ranked(rows[0].first(), model.labels(), most)
            };
            answers(service, encoder, texts, prepare, finish).await
        }
        Model::Bundle(bundle) => of_bundle(service, bundle, texts, scoring.unwrap_or(Scoring::Softmax), most).await,
        Model::Language(_) => Err(unreadable("ask a classifier")),
    }
}

async fn of_bundle(
    service: &Service,
    bundle: &Arc<Assistant>,
    texts: Vec<Text>,
    scoring: Scoring,
    most: Option<usize>,
) -> Result<Vec<Vec<LabelScore>>, Failure> {
    if texts.iter().any(|text| text.pair.is_some()) {
        return Err(unreadable("a bundle reads no pairs: send a text, or a list of texts"));
    }
    let bundle = Arc::clone(bundle);
    let work = move || {
        let texts: Vec<&str> = texts.iter().map(|text| text.text.as_str()).collect();
        bundle.rank_all(&texts, scoring, most)
    };
    service.compute(work).await
}

/// Labels of tokens.
pub(crate) async fn tokens(
    service: &Service,
    encoder: &Encoder,
    inputs: Value,
    parameters: &mut Fields,
) -> Result<Value, Failure> {
    let (texts, is_list) = Texts::single(inputs)?;
    let aggregation = match parameters.take::<String>("aggregation_strategy")?.as_deref() {
        Some("none") => Aggregation::None,
        None | Some("simple") => Aggregation::Simple,
        Some("first") => Aggregation::First,
        Some("average") => Aggregation::Average,
        Some("max") => Aggregation::Max,
        Some(other) => {
            let message = format!("aggregation_strategy is {other:?}");
            let remedy = "take one of: none, simple, first, average, max";
            return Err(Failure::field("aggregation_strategy", message, remedy));
        }
    };
    let overlap = parameters.take("stride")?;
    if overlap.is_some() && aggregation == Aggregation::None {
        let message = "`stride` reads a text in windows, whose labels have to be put together";
        return Err(Failure::field("stride", message, "send another aggregation_strategy than none"));
    }
    let ignored = parameters.take("ignore_labels")?.unwrap_or_else(|| vec!["O".to_owned()]);
    let options = TokenOptions { aggregation, ignored, overlap, cut: cut(parameters)? };
    let prepare = move |model: &TaskModel, text: &String| Ok(TokenLabelling::new(model, text, options.clone())?);
    let found = answers(service, encoder, texts, prepare, TokenLabelling::finish).await?;
    Ok(one_or_many(found, is_list))
}

/// What hidden tokens may be.
pub(crate) async fn hidden(
    service: &Service,
    encoder: &Encoder,
    inputs: Value,
    parameters: &mut Fields,
) -> Result<Value, Failure> {
    let (texts, is_list) = Texts::single(inputs)?;
    let most = count(parameters, "top_k", MOST_TOLD)?.unwrap_or(5);
    let targets = parameters.take::<crate::body::OneOrMany>("targets")?.map(crate::body::OneOrMany::into_list);
    let cut = cut(parameters)?;
    let mut told_tokens = 0_usize;
    let prepare = move |model: &TaskModel, text: &String| {
        let (task, document) = HiddenTokens::new(model, text, targets.as_deref(), most, cut)?;
        told_tokens = told_tokens.saturating_add(task.told_tokens(model));
        tellable(told_tokens, MOST_TOLD_TOKENS, "tokens")?;
        Ok((task, vec![document]))
    };
    let finish = |task: HiddenTokens, model: &TaskModel, rows: &[Rows]| {
        // Where one token is hidden, its proposals are not in a list of lists.
        let found = task.finish(model, &rows[0]);
        let is_list = found.len() > 1;
        one_or_many(found, is_list)
    };
    let found = answers(service, encoder, texts, prepare, finish).await?;
    Ok(one_or_many(found, is_list))
}

#[derive(serde::Deserialize)]
struct Question {
    question: String,
    context: String,
}

/// Answers to questions in texts.
pub(crate) async fn spans(
    service: &Service,
    encoder: &Encoder,
    inputs: Value,
    parameters: &mut Fields,
) -> Result<Value, Failure> {
    let is_list = inputs.is_array();
    let list = if let Value::Array(list) = inputs { list } else { vec![inputs] };
    few(list.len())?;
    let read = |value| serde_json::from_value(value);
    let questions: Vec<Question> = list
        .into_iter()
        .map(read)
        .collect::<Result<_, _>>()
        .map_err(|_| unreadable(r#"send {"question": "...", "context": "..."}, or a list of these"#))?;
    let usual = SpanOptions::default();
    let options = SpanOptions {
        most: count(parameters, "top_k", MOST_TOLD)?.unwrap_or(usual.most),
        answer_tokens: count(parameters, "max_answer_len", usize::MAX)?.unwrap_or(usual.answer_tokens),
        may_be_none: parameters.take("handle_impossible_answer")?.unwrap_or(usual.may_be_none),
        whole_words: parameters.take("align_to_words")?.unwrap_or(usual.whole_words),
        window: count(parameters, "max_seq_len", usize::MAX)?,
        overlap: parameters.take("doc_stride")?,
        question_tokens: count(parameters, "max_question_len", usize::MAX)?,
    };
    let is_one = options.most == 1;
    let mut told_bytes = 0_usize;
    let prepare = move |model: &TaskModel, asked: &Question| {
        told_bytes = told_bytes.saturating_add(options.most.saturating_mul(asked.context.len()));
        tellable(told_bytes, MOST_TOLD_BYTES, "bytes")?;
        Ok(SpanSearch::new(model, &asked.question, &asked.context, options.clone())?)
    };
    let finish = move |task: SpanSearch, model: &TaskModel, rows: &[Rows]| {
        let found = task.finish(model, rows);
        let is_list = !is_one || found.is_empty();
        one_or_many(found, is_list)
    };
    let found = answers(service, encoder, questions, prepare, finish).await?;
    Ok(one_or_many(found, is_list))
}

/// Labels that nothing was trained for.
pub(crate) async fn zero_shot(
    service: &Service,
    model: &Model,
    inputs: Value,
    parameters: &mut Fields,
) -> Result<Value, Failure> {
    let (texts, is_list) = Texts::single(inputs)?;
    let labels: Vec<String> = match parameters.require::<Value>("candidate_labels")? {
        Value::String(list) => list.split(',').map(|label| label.trim().to_owned()).collect(),
        list => serde_json::from_value(list).map_err(|_| {
            Failure::field("candidate_labels", "`candidate_labels` cannot be read", "send a list of labels")
        })?,
    };
    let labels: Vec<String> = labels.into_iter().filter(|label| !label.is_empty()).collect();
    if labels.is_empty() {
        return Err(Failure::field("candidate_labels", "there is no label", "send a list of labels"));
    }
    few(labels.len())?;
    let is_multiple = parameters.take("multi_label")?.unwrap_or(false);
    let template = parameters.take::<String>("hypothesis_template")?;
    let Model::Encoder(encoder) = model else { return Err(unreadable("ask an encoder")) };
    let found = if encoder.model.entailment().is_some() {
        let template = template.unwrap_or_else(|| "This example is {}.".to_owned());
        let prepare =
            move |model: &TaskModel, text: &String| Ok(Hypotheses::new(model, text, &labels, &template, is_multiple)?);
        answers(service, encoder, texts, prepare, Hypotheses::finish).await?
    } else {
        let template = template.unwrap_or_else(|| "{}".to_owned());
        let filled = filled(&template, &labels)?;
        let embedding = Embedding { cut: Cut::End, is_unit: true, dimensions: None, prompt: None };
        let count = labels.len();
        let rows = embedding.rows(service, model, filled.into_iter().chain(texts).collect()).await?;
        let states: Vec<&[f32]> = rows[..count].iter().map(Vec::as_slice).collect();
        rows[count..].iter().map(|text| similarity_scores(text, &labels, &states, is_multiple)).collect()
    };
    Ok(one_or_many(found, is_list))
}
