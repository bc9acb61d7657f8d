//! Values that cannot work, told before anything runs: each with its key, its range and the remedy.

use super::{ModelSection, PruneSection, RecipeText, TrainingSection};

type Checked = Result<(), String>;

/// The first value that cannot work.
pub(super) fn values(text: &RecipeText) -> Checked {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if text.name.is_empty() || !text.name.chars().all(plain) {
        return Err(format!("name = {:?}: use letters, digits, `-` and `_` only", text.name));
    }
    if text.data.train.is_empty() {
        return Err("data.train: name one file of labelled texts at least".to_owned());
    }
    below("data.held_out", text.data.held_out, 0.01, 0.9)?;
    within("data.read.max_bytes", text.data.read.max_bytes, 1, 1 << 30)?;
    let limits = &text.curate.limits;
    if limits.min_characters > limits.max_characters {
        let (least, most) = (limits.min_characters, limits.max_characters);
        return Err(format!(
            "curate.limits: no text has {least} characters at least and {most} at most; make max_characters the larger"
        ));
    }
    bantam_corpus::filters::chosen(text.curate.filters.as_deref())
        .map_err(|error| format!("curate.filters: {error}"))?;
    if let Some(near) = &text.curate.near {
        near.check().map_err(|error| format!("curate: {error}"))?;
    }
    within("tokenizer.vocabulary", text.tokenizer.vocabulary, 300, 1_000_000)?;
    teacher(text)?;
    student(text)?;
    evaluate(text)
}

fn teacher(text: &RecipeText) -> Checked {
    let (section, objective) = (&text.teacher, &text.teacher.objective);
    within("teacher.members", section.members, 1, 16)?;
    below("teacher.masked", spelled(section.masked), 0.01, 0.9)?;
    model("teacher.model", &section.model)?;
    training("teacher.pretraining", &section.pretraining)?;
    training("teacher.training", &section.training)?;
    if section.folder.is_empty() {
        learns("teacher.training", &section.training)?;
    }
    within("teacher.objective.batch", objective.batch, 1, 4096)?;
    below("teacher.objective.dropout", spelled(objective.dropout), 0.0, 0.9)?;
    below("teacher.objective.word_dropout", spelled(objective.word_dropout), 0.0, 0.9)?;
    below("teacher.objective.smoothing", spelled(objective.smoothing), 0.0, 0.9)?;
    below("teacher.objective.consistency", spelled(objective.consistency), 0.0, 1_000.0)?;
    below("teacher.objective.contrastive", spelled(objective.contrastive), 0.0, 1_000.0)
}

fn student(text: &RecipeText) -> Checked {
    let (section, objective) = (&text.student, &text.student.objective);
    model("student.model", &section.model)?;
    within("student.variants", section.variants, 0, 100)?;
    below("student.word_dropout", spelled(section.word_dropout), 0.0, 0.9)?;
    training("student.training", &section.training)?;
    learns("student.training", &section.training)?;
    within("student.objective.batch", objective.batch, 1, 4096)?;
    below("student.objective.dropout", spelled(objective.dropout), 0.0, 0.9)?;
    below("student.objective.temperature", spelled(objective.temperature), 0.1, 100.0)?;
    up_to("student.objective.labels", spelled(objective.labels), 0.0, 1.0)?;
    below("student.objective.relations", spelled(objective.relations), 0.0, 1_000.0)?;
    below("student.objective.states", spelled(objective.states), 0.0, 1_000.0)?;
    inner(text)?;
    prune(&section.prune, &section.model)
}

/// Token by token, a student can follow only a teacher that reads the same tokens, and states only of one width. Of a finished teacher
/// this is known when its folder has been read.
fn inner(text: &RecipeText) -> Checked {
    let (student, teacher, objective) = (&text.student.model, &text.teacher.model, &text.student.objective);
    let (relations, states) = (objective.relations, objective.states);
    if !text.teacher.folder.is_empty() || (relations == 0.0 && states == 0.0) {
        return Ok(());
    }
    if states > 0.0 && student.width != teacher.width {
        return Err(format!(
            "student.objective.states = {states}: the student's states are {} numbers wide (student.model.width), the teacher's {} (teacher.model.width); give both one width, or use student.objective.relations, which compares across widths",
            student.width, teacher.width
        ));
    }
    if student.max_tokens != teacher.max_tokens {
        let (key, value) = if states > 0.0 { ("states", states) } else { ("relations", relations) };
        return Err(format!(
            "student.objective.{key} = {value}: the student reads up to {} tokens of a text (student.model.max_tokens), the teacher up to {} (teacher.model.max_tokens); give both one limit",
            student.max_tokens, teacher.max_tokens
        ));
    }
    Ok(())
}

fn prune(section: &PruneSection, student: &ModelSection) -> Checked {
    for (key, stays, all) in [
        ("layers", section.layers, student.layers),
        ("heads", section.heads, student.heads),
        ("channels", section.channels, student.channels),
    ] {
        if !(1..=all).contains(&stays) {
            return Err(format!(
                "student.prune.{key} = {stays}: of the student's {all} (student.model.{key}), 1 to {all} can stay"
            ));
        }
    }
    training("student.prune.recovery", &section.recovery)
}

fn evaluate(text: &RecipeText) -> Checked {
    let (quality, cost) = (&text.evaluate.quality, &text.evaluate.cost);
    up_to("evaluate.quality.precision", quality.precision, 0.0, 1.0)?;
    up_to("evaluate.quality.accuracy_loss", quality.accuracy_loss, 0.0, 1.0)?;
    within("evaluate.quality.rounds", quality.rounds, 1, 1_000_000)?;
    up_to("evaluate.cost.seconds", cost.seconds, 0.001, 3_600.0)?;
    within("evaluate.cost.least_requests", cost.least_requests, 1, 1_000_000)?;
    within("evaluate.cost.warm_up", cost.warm_up, 0, 1_000_000)?;
    within("evaluate.cost.batch", cost.batch, 1, 4096)
}

fn model(place: &str, section: &ModelSection) -> Checked {
    let (width, heads) = (section.width, section.heads);
    within(&format!("{place}.layers"), section.layers, 1, 64)?;
    within(&format!("{place}.width"), width, 1, 8192)?;
    within(&format!("{place}.heads"), heads, 1, 128)?;
    within(&format!("{place}.channels"), section.channels, 1, 32_768)?;
    within(&format!("{place}.max_tokens"), section.max_tokens, 1, 8192)?;
    if !width.is_multiple_of(2 * heads) {
        return Err(format!("{place}.width = {width}: must be a multiple of twice the {heads} heads"));
    }
    if section.buckets > 0 { within(&format!("{place}.feature_width"), section.feature_width, 1, 4096) } else { Ok(()) }
}

fn training(place: &str, section: &TrainingSection) -> Checked {
    below(&format!("{place}.epochs"), section.epochs, 0.0, 10_000.0)?;
    below(&format!("{place}.learning_rate"), spelled(section.learning_rate), 0.0, 10.0)?;
    below(&format!("{place}.muon_rate"), spelled(section.muon_rate), 0.0, 10.0)?;
    below(&format!("{place}.table_rate"), spelled(section.table_rate), 0.0, 1_000.0)?;
    below(&format!("{place}.weight_decay"), spelled(section.weight_decay), 0.0, 10.0)?;
    below(&format!("{place}.warmup"), section.warmup, 0.0, 1.0)?;
    below(&format!("{place}.averaging"), spelled(section.averaging), 0.0, 1.0)?;
    below(&format!("{place}.validate_every"), section.validate_every, 0.0, 10_000.0)
}

/// A model that sees no text would be what it was made as.
fn learns(place: &str, section: &TrainingSection) -> Checked {
    if section.epochs > 0.0 { Ok(()) } else { Err(format!("{place}.epochs = 0: choose more than 0")) }
}

/// A number as the recipe spells it: 0.9 of 32 bits is less than 0.9.
fn spelled(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::NAN)
}

fn within(key: &str, value: usize, least: usize, most: usize) -> Checked {
    let fits = (least..=most).contains(&value);
    if fits { Ok(()) } else { Err(format!("{key} = {value}: choose from {least} to {most}")) }
}

fn up_to(key: &str, value: f64, least: f64, most: f64) -> Checked {
    let fits = (least..=most).contains(&value);
    if fits { Ok(()) } else { Err(format!("{key} = {value}: choose from {least} to {most}")) }
}

fn below(key: &str, value: f64, least: f64, below: f64) -> Checked {
    let fits = (least..below).contains(&value);
    if fits { Ok(()) } else { Err(format!("{key} = {value}: choose from {least} to below {below}")) }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::Recipe;

    #[test]
    fn what_cannot_work_is_told_with_its_key_before_anything_runs() {
        let cases = [
            ("evaluate.cost.batch = 0", "evaluate.cost.batch = 0"),
            ("evaluate.cost.seconds = -1.0", "evaluate.cost.seconds"),
            ("evaluate.quality.rounds = 0", "evaluate.quality.rounds = 0"),
            ("evaluate.quality.precision = nan", "evaluate.quality.precision"),
            ("teacher.training.epochs = 0.0", "teacher.training.epochs = 0"),
            ("student.training.epochs = 0.0", "student.training.epochs = 0"),
            ("student.training.muon_rate = -1.0", "student.training.muon_rate"),
            ("student.objective.labels = 2.0", "student.objective.labels = 2"),
            ("student.prune.heads = 9", "student.prune.heads = 9: of the student's 4 (student.model.heads)"),
            ("student.prune.layers = 0", "student.prune.layers = 0"),
            ("student.prune.channels = 0", "student.prune.channels = 0"),
            ("student.prune.channels = 200", "student.prune.channels = 200"),
            ("curate.near.bands = 0", "near.bands"),
            (
                "curate.limits.min_characters = 9\ncurate.limits.max_characters = 8",
                "9 characters at least and 8 at most",
            ),
            ("teacher.masked = 0.9", "teacher.masked = 0.9: choose from 0.01 to below 0.9"),
            ("student.training.averaging = 1.0", "student.training.averaging = 1: "),
            ("curate.filters = [\"nothing\"]", "nothing"),
            ("student.objective.states = 1.0", "64 numbers wide (student.model.width), the teacher's 192"),
            ("student.objective.relations = 1.0\nstudent.model.max_tokens = 32", "student.objective.relations"),
        ];
        for (keys, told) in cases {
            let text = format!("{keys}\nname = \"a\"\n[data]\ntrain = [\"a.csv\"]\n");
            let refused = Recipe::parse(&text, Path::new("shop/recipe.toml")).expect_err(keys).to_string();
            assert!(refused.starts_with("shop/recipe.toml: ") && refused.contains(told), "{keys}: {refused}");
        }
    }

    #[test]
    fn what_switches_a_part_off_is_no_mistake() {
        for keys in [
            "teacher.pretraining.epochs = 0.0",
            "student.prune.recovery.epochs = 0.0",
            "teacher.folder = \"big\"\nteacher.training.epochs = 0.0",
            "student.objective.relations = 1.0",
            "student.objective.states = 1.0\nstudent.model.width = 192",
        ] {
            let text = format!("{keys}\nname = \"a\"\n[data]\ntrain = [\"a.csv\"]\n");
            Recipe::parse(&text, Path::new("recipe.toml")).expect(keys);
        }
    }
}
