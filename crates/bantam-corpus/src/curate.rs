//! Curation: filters, conflicts, duplicates, leakage, in this order, with every document accounted for.

use std::collections::{BTreeMap, HashMap};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::duplicates::{Fingerprint, NearIndex, NearOptions, comparable};
use crate::filters::{Filter, Limits, Verdict, chosen};
use crate::{Conflict, ConflictRule, Document, Error};

/// How a corpus is curated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CurateOptions {
    /// Names of the filters to run; `None`: those that are on by default.
    pub filters: Option<Vec<String>>,
    /// Thresholds of the filters.
    pub limits: Limits,
    /// What becomes of one text with different labels.
    pub conflicts: ConflictRule,
    /// Whether texts that are the same but for case and punctuation are kept once.
    pub exact: bool,
    /// What counts as nearly the same; `None` switches that search off.
    pub near: Option<NearOptions>,
}

impl Default for CurateOptions {
    fn default() -> Self {
        CurateOptions {
            filters: None,
            limits: Limits::default(),
            conflicts: ConflictRule::default(),
            exact: true,
            near: Some(NearOptions::default()),
        }
    }
}

/// A document that was dropped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reject {
    /// The document as it was when it was dropped.
    pub document: Document,
    /// The step that dropped it: a filter, `conflicts`, `exact-duplicates`, `near-duplicates` or `leakage`.
    pub step: String,
    /// Why.
    pub reason: String,
    /// The document that it repeats, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
}

/// What one step did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Its name.
    pub name: String,
    /// Documents that came in.
    pub documents: usize,
    /// Documents that it dropped.
    pub dropped: usize,
    /// Documents that it changed.
    pub rewritten: usize,
    /// Dropped documents by reason.
    pub reasons: BTreeMap<String, usize>,
}

/// The steps in their order; what one leaves, the next gets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Funnel {
    /// The steps.
    pub steps: Vec<Step>,
}

/// A curated corpus, with the account of what went.
#[derive(Clone, Debug)]
pub struct Curated {
    /// What stayed, in its order.
    pub kept: Vec<Document>,
    /// What went, in the order of the steps.
    pub rejects: Vec<Reject>,
    /// Texts with different labels.
    pub conflicts: Vec<Conflict>,
    /// Pairs of ids that are nearly the same under different labels: kept, but worth a look.
    pub near_conflicts: Vec<(String, String)>,
    /// The counts.
    pub funnel: Funnel,
}

/// Curates `documents`. Whatever repeats a document of `held_out` (the test data), exactly or nearly, is dropped from
/// `documents`: `held_out` itself is never changed, since figures on it must stay comparable.
///
/// # Errors
/// [`Error::UnknownFilter`], [`Error::BadOption`].
pub fn curate(documents: Vec<Document>, held_out: &[Document], options: &CurateOptions) -> Result<Curated, Error> {
    let filters = chosen(options.filters.as_deref())?;
    if let Some(near) = &options.near {
        near.check()?;
    }
    let mut run = Run { kept: documents, rejects: Vec::new(), funnel: Funnel::default() };
    for filter in filters {
        run.filter(filter, &options.limits);
    }
    let (conflicts, stays) = crate::conflicts::resolve(&run.kept, options.conflicts);
    run.step("conflicts", stays.into_iter().map(|stays| (!stays).then(|| Dropping::new("label-conflict"))).collect());
    if options.exact {
        let droppings = exact_duplicates(&run.kept);
        run.step("exact-duplicates", droppings);
    }
    let mut near_conflicts = Vec::new();
    if let Some(near) = &options.near {
        let (droppings, pairs) = near_duplicates(&run.kept, near);
        near_conflicts = pairs;
        run.step("near-duplicates", droppings);
    }
    if !held_out.is_empty() {
        let droppings = leaks(&run.kept, held_out, options.near.as_ref());
        run.step("leakage", droppings);
    }
    Ok(Curated { kept: run.kept, rejects: run.rejects, conflicts, near_conflicts, funnel: run.funnel })
}

/// Why a document goes.
struct Dropping {
    reason: &'static str,
    of: Option<String>,
}

impl Dropping {
    fn new(reason: &'static str) -> Self {
        Dropping { reason, of: None }
    }

    fn of(reason: &'static str, document: &Document) -> Self {
        Dropping { reason, of: Some(document.id.clone()) }
    }
}

struct Run {
    kept: Vec<Document>,
    rejects: Vec<Reject>,
    funnel: Funnel,
}

impl Run {
    fn filter(&mut self, filter: &dyn Filter, limits: &Limits) {
        let verdicts: Vec<Verdict> = self.kept.par_iter().map(|document| filter.judge(document, limits)).collect();
        let mut rewritten = 0;
        let mut droppings = Vec::with_capacity(verdicts.len());
        for (document, verdict) in self.kept.iter_mut().zip(verdicts) {
            droppings.push(match verdict {
                Verdict::Keep => None,
                Verdict::Drop(reason) => Some(Dropping::new(reason)),
                Verdict::Rewrite(text) => {
                    document.text = text;
                    rewritten += 1;
                    None
                }
            });
        }
        self.step(filter.name(), droppings);
        if let Some(step) = self.funnel.steps.last_mut() {
            step.rewritten = rewritten;
        }
    }

    /// Drops the documents with a dropping and writes the step down.
    fn step(&mut self, name: &str, droppings: Vec<Option<Dropping>>) {
        let documents = self.kept.len();
        let mut reasons = BTreeMap::new();
        let mut kept = Vec::with_capacity(documents);
        for (document, dropping) in std::mem::take(&mut self.kept).into_iter().zip(droppings) {
            match dropping {
                None => kept.push(document),
                Some(Dropping { reason, of }) => {
                    *reasons.entry(reason.to_owned()).or_default() += 1;
                    self.rejects.push(Reject { document, step: name.into(), reason: reason.into(), of });
                }
            }
        }
        let dropped = documents - kept.len();
        self.kept = kept;
        self.funnel.steps.push(Step { name: name.into(), documents, dropped, rewritten: 0, reasons });
    }
}

/// All but the first of equal texts. Different labels make different documents: conflicts were settled before.
fn exact_duplicates(documents: &[Document]) -> Vec<Option<Dropping>> {
    let texts: Vec<String> = documents.par_iter().map(|document| comparable(&document.text)).collect();
    let mut first: HashMap<(&str, Option<&str>), usize> = HashMap::new();
    let keys = texts.iter().zip(documents).map(|(text, document)| (text.as_str(), document.label.as_deref()));
    keys.enumerate()
        .map(|(index, key)| {
            let first = *first.entry(key).or_insert(index);
            (first != index).then(|| Dropping::of("exact-duplicate", &documents[first]))
        })
        .collect()
}

/// Documents that nearly repeat an earlier kept one of the same label, and pairs near each other across labels.
fn near_duplicates(documents: &[Document], options: &NearOptions) -> (Vec<Option<Dropping>>, Vec<(String, String)>) {
    let prints = fingerprints(documents, options);
    let mut index = NearIndex::new(options);
    let mut indexed: Vec<&Document> = Vec::new();
    let mut pairs = Vec::new();
    let droppings = documents
        .iter()
        .zip(prints)
        .map(|(document, print)| {
            if let Some(near) = index.nearest_where(&print, |other| indexed[other].label == document.label) {
                return Some(Dropping::of("near-duplicate", indexed[near.index]));
            }
            if let Some(near) = index.nearest(&print) {
                pairs.push((indexed[near.index].id.clone(), document.id.clone()));
            }
            index.insert(print);
            indexed.push(document);
            None
        })
        .collect();
    (droppings, pairs)
}

/// Documents that repeat one of `held_out`, whatever the labels.
fn leaks(documents: &[Document], held_out: &[Document], near: Option<&NearOptions>) -> Vec<Option<Dropping>> {
    let mut exact: HashMap<String, &Document> = HashMap::new();
    for document in held_out {
        exact.entry(comparable(&document.text)).or_insert(document);
    }
    let index = near.map(|options| {
        let mut index = NearIndex::new(options);
        fingerprints(held_out, options).into_iter().for_each(|print| {
            index.insert(print);
        });
        (options, index)
    });
    documents
        .par_iter()
        .map(|document| {
            if let Some(leaked) = exact.get(&comparable(&document.text)) {
                return Some(Dropping::of("in-test-data", leaked));
            }
            let (options, index) = index.as_ref()?;
            let near = index.nearest(&Fingerprint::of(&document.text, options))?;
            Some(Dropping::of("near-test-data", &held_out[near.index]))
        })
        .collect()
}

fn fingerprints(documents: &[Document], options: &NearOptions) -> Vec<Fingerprint> {
    documents.par_iter().map(|document| Fingerprint::of(&document.text, options)).collect()
}
