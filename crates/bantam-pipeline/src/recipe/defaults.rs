//! What a recipe does not name has a default, and the default depends on the place: a teacher's epochs are not a student's. So the
//! defaults are laid below the text before it is read, key by key.

use serde::{Deserialize, Serialize};
use toml::de::{DeTable, DeValue, Deserializer, Error};

use super::{EvaluateSection, RecipeText, StudentSection, TeacherSection};

/// The tables whose keys have other defaults elsewhere.
#[derive(Default, Serialize)]
struct Defaults {
    teacher: TeacherSection,
    student: StudentSection,
    evaluate: EvaluateSection,
}

/// Reads a recipe's text. Errors tell the line.
pub(super) fn read(text: &str) -> Result<RecipeText, String> {
    let told = |mut error: Error| {
        error.set_input(Some(text));
        error.to_string()
    };
    let mut named = DeTable::parse(text).map_err(told)?;
    let absent = ["layers", "heads", "channels"].map(|key| !names(named.get_ref(), &["student", "prune", key]));
    let defaults = toml::to_string(&Defaults::default()).expect("the defaults are plain data");
    let defaults = DeTable::parse(&defaults).expect("what was just written is TOML").into_inner();
    fill(named.get_mut(), defaults);
    let mut read = RecipeText::deserialize(Deserializer::from(named)).map_err(told)?;
    // A student smaller than the default is not cut below itself.
    let StudentSection { model, prune, .. } = &mut read.student;
    let most = [model.layers, model.heads, model.channels];
    for ((stays, most), absent) in
        [&mut prune.layers, &mut prune.heads, &mut prune.channels].into_iter().zip(most).zip(absent)
    {
        if absent {
            *stays = (*stays).min(most);
        }
    }
    Ok(read)
}

/// Whether a table names the key at the end of a path.
fn names(named: &DeTable, path: &[&str]) -> bool {
    let [key, rest @ ..] = path else { return true };
    named.get(*key).is_some_and(|value| match value.get_ref() {
        DeValue::Table(below) => names(below, rest),
        _ => rest.is_empty(),
    })
}

/// Adds each default that is not named.
fn fill<'i>(named: &mut DeTable<'i>, defaults: DeTable<'i>) {
    for (key, default) in defaults {
        match named.get_mut(&key) {
            None => {
                named.insert(key, default);
            }
            Some(value) => {
                if let (DeValue::Table(named), DeValue::Table(defaults)) = (value.get_mut(), default.into_inner()) {
                    fill(named, defaults);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::Recipe;

    const LEAST: &str = "name = \"a\"\n[data]\ntrain = [\"a.csv\"]\n";

    fn read(more: &str) -> Result<Recipe, String> {
        Recipe::parse(&format!("{LEAST}{more}"), Path::new("recipe.toml")).map_err(|error| error.to_string())
    }

    #[test]
    fn any_key_may_be_named_alone_and_the_others_keep_the_defaults_of_their_place() {
        let whole: toml::Table = toml::to_string(&read("").unwrap().text).unwrap().parse().unwrap();
        let mut tried = 0;
        let mut tables: Vec<(String, toml::Table)> = vec![(String::new(), whole.clone())];
        while let Some((place, keys)) = tables.pop() {
            for (key, value) in keys {
                match value {
                    toml::Value::Table(below) if key != "shingle" => tables.push((format!("{place}.{key}"), below)),
                    _ if place.is_empty() || (place == ".data" && key == "train") => {}
                    value => {
                        let alone = format!("{}.{key} = {value}\n", &place[1..]);
                        let alone = if place == ".data" { format!("{key} = {value}\n") } else { alone };
                        let text = if place.starts_with(".data") {
                            format!("{LEAST}{}", alone.trim_start_matches("data."))
                        } else {
                            format!("{alone}{LEAST}")
                        };
                        let read = Recipe::parse(&text, Path::new("recipe.toml"))
                            .unwrap_or_else(|error| panic!("{alone}{error}"));
                        let same: toml::Table = toml::to_string(&read.text).unwrap().parse().unwrap();
                        assert_eq!(same, whole, "{alone}");
                        tried += 1;
                    }
                }
            }
        }
        assert!(tried > 60, "{tried}");
        let (teacher, student) = (
            read("[teacher.training]\nepochs = 3.0").unwrap().text.teacher.training,
            read("[student.training]\nepochs = 3.0").unwrap().text.student.training,
        );
        assert_eq!((teacher.epochs, teacher.learning_rate, teacher.table_rate), (3.0, 5e-4, 10.0));
        assert_eq!((student.epochs, student.learning_rate, student.table_rate), (3.0, 2e-3, 4.0));
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line_in_every_table() {
        for place in [
            "teacher.model",
            "teacher.pretraining",
            "teacher.training",
            "teacher.objective",
            "student.model",
            "student.training",
            "student.objective",
            "student.prune",
            "student.prune.recovery",
            "evaluate.quality",
            "evaluate.cost",
            "curate.near",
        ] {
            let told = read(&format!("[{place}]\nepoch = 3.0\n")).unwrap_err();
            assert!(told.contains("epoch") && told.contains("line 5"), "{place}: {told}");
        }
        let told = read("[teacher]\nmodel = 3\n").unwrap_err();
        assert!(told.contains("line 5"), "{told}");
        let told = read("[teacher.training]\nepochs = \"three\"\n").unwrap_err();
        assert!(told.contains("line 5") && told.contains("f64"), "{told}");
    }

    #[test]
    fn a_small_student_is_not_cut_below_itself_unless_the_recipe_says_so() {
        let prune = read("[student.model]\nheads = 2\nchannels = 32\n").unwrap().text.student.prune;
        assert_eq!((prune.layers, prune.heads, prune.channels), (1, 2, 32));
        let told = read("[student.model]\nheads = 2\n[student.prune]\nheads = 3\n").unwrap_err();
        assert!(told.contains("student.prune.heads = 3"), "{told}");
    }
}
