//! Talking to a bundle: one request, one intent, one reply.

use std::io::{Read, Write};

use bantam_runtime::{Answer, Assistant, HandOver};

use super::Style;
use crate::commands::chat::visible;
use crate::commands::classify::Lines;

const HELP: &str = "Write what a customer would write. /labels lists what the model knows, /quit or Ctrl-D ends.";

pub(super) fn chat(
    assistant: &Assistant,
    input: impl Read,
    output: &mut impl Write,
    style: Style,
) -> anyhow::Result<()> {
    let mut lines = Lines::new(input);
    if style == Style::Terminal {
        let labels = assistant.parts().labels.len();
        writeln!(output, "{} knows {labels} intents. {HELP}\n", visible(&assistant.parts().name))?;
    }
    loop {
        if style == Style::Terminal {
            write!(output, "> ")?;
            output.flush()?;
        }
        let Some(line) = lines.next_line()? else { break };
        match line.trim() {
            "" if style != Style::Json => continue,
            "/quit" | "/exit" if style == Style::Terminal => return Ok(()),
            "/help" if style == Style::Terminal => writeln!(output, "{HELP}")?,
            "/labels" if style == Style::Terminal => {
                writeln!(output, "{}", visible(&assistant.parts().labels.join(", ")))?;
            }
            unknown if style == Style::Terminal && unknown.starts_with('/') => {
                writeln!(output, "There is no command {}. {HELP}", visible(unknown))?;
            }
            text => {
                let answer = assistant.answer(text);
                match style {
                    Style::Json => writeln!(output, "{}", serde_json::to_string(&answer)?)?,
                    _ => write!(output, "{}", describe(assistant, &answer))?,
                }
            }
        }
        output.flush()?;
    }
    if style == Style::Terminal {
        // Ctrl-D leaves the cursor behind the prompt.
        writeln!(output)?;
    }
    Ok(())
}

/// An answer in lines for people.
fn describe(assistant: &Assistant, answer: &Answer) -> String {
    let mut text = format!("  {}  {:.1} %", visible(&answer.label), 100.0 * answer.confidence);
    for entity in &answer.entities {
        text += &format!("  [{}: {}]", entity.kind, visible(&entity.value));
    }
    text.push('\n');
    if let Some(why) = answer.hand_over {
        text += &format!("  to a person: {}\n", reason(assistant, answer, why));
    }
    for line in answer.reply.iter().flat_map(|reply| reply.lines()) {
        text += &format!("  {}\n", visible(line));
    }
    text.push('\n');
    text
}

/// Why a person should take over.
fn reason(assistant: &Assistant, answer: &Answer, why: HandOver) -> String {
    match assistant.parts().threshold {
        _ if why == HandOver::OutOfScope => {
            format!("out of scope, it seems to be about something else ({:.1} %)", 100.0 * answer.out_of_scope)
        }
        None => "this model was never sure enough to answer by itself".to_owned(),
        Some(threshold) => format!("unsure, it answers from {:.1} % on", 100.0 * threshold),
    }
}

#[cfg(test)]
mod tests {
    use bantam_runtime::{BundleParts, sample};

    use super::*;

    fn talk(parts: BundleParts, input: &str, style: Style) -> String {
        let mut output = Vec::new();
        chat(&Assistant::from_parts(parts).unwrap(), input.as_bytes(), &mut output, style).unwrap();
        String::from_utf8(output).unwrap()
    }

    #[test]
    fn answers_show_intent_confidence_entities_and_reply() {
        let text = talk(sample::parts(), "where is LF-482913\n\nrefund\n", Style::Plain);
        assert_eq!(text.matches(" %").count(), 2, "{text}");
        assert!(text.contains("[order_number: LF-482913]") && text.contains("This is about "), "{text}");
        assert!(!text.contains("to a person") && !text.contains("> "), "{text}");
        let json = talk(sample::parts(), "one\ntwo", Style::Json);
        assert!(json.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));
        assert_eq!(json.lines().count(), 2);
    }

    #[test]
    fn a_hand_over_gives_its_reason() {
        let unsure = talk(BundleParts { threshold: Some(0.999), ..sample::parts() }, "order\n", Style::Plain);
        assert!(unsure.contains("to a person: ") && unsure.contains("colleague"), "{unsure}");
        let never = talk(BundleParts { threshold: None, ..sample::parts() }, "order\n", Style::Plain);
        assert!(never.contains("to a person: "), "{never}");
    }

    #[test]
    fn a_terminal_is_greeted_and_commands_are_known() {
        let text = talk(sample::parts(), "/help\n/labels\n/what\n/quit\norder\n", Style::Terminal);
        assert!(text.starts_with("sample knows 3 intents"), "{text}");
        assert!(text.contains("refund") && text.contains("no command /what") && !text.contains(" %"), "{text}");
        let steering = BundleParts { name: "\u{1b}[31mred".to_owned(), ..sample::parts() };
        assert!(!talk(steering, "", Style::Terminal).contains('\u{1b}'));
    }
}
