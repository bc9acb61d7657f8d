//! The turns of a conversation, as people and programs see them.

use std::io::Write;

use anyhow::Context;
use bantam_runtime::chat::Message;
use bantam_runtime::generation::Finish;
use serde_json::json;

use super::conversation::{Answer, Conversation};
use super::input::{Source, Written};
use super::interrupt::Interrupt;
use super::slash::{self, Slash};
use super::{Style, visible};

/// Talks until there is nothing more to read.
pub(super) fn hold(
    mut conversation: Conversation<'_>,
    lines: &mut dyn Source,
    output: &mut impl Write,
    style: Style,
    interrupt: &Interrupt,
) -> anyhow::Result<()> {
    if style == Style::Terminal {
        greet(&conversation, output)?;
    }
    let mut was_interrupted = false;
    loop {
        let line = match lines.next()? {
            Written::Line(line) => line,
            Written::Interrupted if was_interrupted => break,
            Written::Interrupted => {
                was_interrupted = true;
                writeln!(output, "  (Ctrl-C again ends)")?;
                continue;
            }
            Written::End => break,
        };
        was_interrupted = false;
        if style != Style::Json && line.trim().is_empty() {
            continue;
        }
        let turn = match style {
            Style::Terminal if line.starts_with('/') && !line.starts_with("//") => match slash::read(line.trim_end()) {
                Ok(Slash::Quit) => break,
                Ok(command) => obey(&mut conversation, command, output, interrupt),
                Err(fault) => Err(anyhow::anyhow!(fault)),
            },
            Style::Terminal => {
                let text = line.strip_prefix('/').filter(|rest| rest.starts_with('/')).unwrap_or(&line);
                speak(&mut conversation, Some(Message::new("user", text)), output, style, interrupt)
            }
            Style::Plain => speak(&mut conversation, Some(Message::new("user", line)), output, style, interrupt),
            Style::Json => message_of(&line).and_then(|message| match message.role.as_str() {
                "user" => speak(&mut conversation, Some(message), output, style, interrupt),
                // What others said is part of the conversation, and nothing to answer.
                _ => conversation.add(message),
            }),
        };
        match turn {
            Ok(()) => {}
            // Whoever reads is gone.
            Err(fault) if fault.downcast_ref::<std::io::Error>().is_some() => return Err(fault),
            Err(fault) if style == Style::Terminal => writeln!(output, "  {}", visible(&format!("{fault:#}")))?,
            Err(fault) if style == Style::Json => writeln!(output, "{}", json!({"error": format!("{fault:#}")}))?,
            Err(fault) => return Err(fault),
        }
        output.flush()?;
    }
    Ok(())
}

fn greet(conversation: &Conversation<'_>, output: &mut impl Write) -> anyhow::Result<()> {
    let model = conversation.model();
    let (parameters, context) = (model.parameters(), model.max_tokens());
    writeln!(
        output,
        "{parameters} parameters, {context} tokens of context. /help lists the commands, Ctrl-C stops an answer."
    )?;
    if model.chat_format().is_plain() {
        writeln!(output, "The model has no chat template: it gets the conversation as \"User:\" and \"Assistant:\".")?;
    }
    Ok(writeln!(output)?)
}

fn message_of(line: &str) -> anyhow::Result<Message> {
    if !line.trim_start().starts_with('{') {
        return Ok(Message::new("user", line));
    }
    serde_json::from_str(line)
        .context("a line that begins with { is a message: {\"role\": \"user\", \"content\": \"...\"}")
}

fn obey(
    conversation: &mut Conversation<'_>,
    command: Slash,
    output: &mut impl Write,
    interrupt: &Interrupt,
) -> anyhow::Result<()> {
    match command {
        Slash::Help => writeln!(output, "{}", slash::HELP)?,
        Slash::Retry => return speak(conversation, None, output, Style::Terminal, interrupt),
        Slash::Clear => conversation.clear(),
        Slash::System(text) => conversation.set_system(&text),
        Slash::Save(path) => {
            conversation.save(&path)?;
            writeln!(output, "  {} messages written to {}", conversation.messages.len(), path.display())?;
        }
        Slash::Load(path) => {
            conversation.load(&path)?;
            writeln!(output, "  {} messages", conversation.messages.len())?;
        }
        Slash::Undo if !conversation.undo() => writeln!(output, "  there is nothing to take back")?,
        Slash::Forget if !conversation.forget() => writeln!(output, "  there is nothing to drop")?,
        Slash::Temperature(temperature) => conversation.options.sampling.temperature = temperature,
        Slash::TopK(count) => conversation.options.sampling.top_k = count,
        Slash::TopP(share) => conversation.options.sampling.top_p = share,
        Slash::MinP(share) => conversation.options.sampling.min_p = share,
        Slash::Seed(seed) => conversation.options.sampling.seed = Some(seed),
        Slash::Undo | Slash::Forget | Slash::Tokens | Slash::Quit => {
            writeln!(output, "  {} of {} tokens", conversation.tokens()?, conversation.model().max_tokens())?;
        }
    }
    Ok(())
}

/// Answers a message, or the last one again.
fn speak(
    conversation: &mut Conversation<'_>,
    message: Option<Message>,
    output: &mut impl Write,
    style: Style,
    interrupt: &Interrupt,
) -> anyhow::Result<()> {
    interrupt.begin();
    let (mut failure, mut has_begun) = (None, false);
    let mut show = |piece: &str| {
        // Many models begin with a space.
        let piece = if has_begun { piece } else { piece.trim_start() };
        has_begun |= !piece.is_empty();
        if style == Style::Json || piece.is_empty() {
            return true;
        }
        let steady: String =
            piece.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { ' ' } else { c }).collect();
        failure = output.write_all(steady.as_bytes()).and_then(|()| output.flush()).err();
        failure.is_none()
    };
    let is_stopped = || interrupt.is_stopped();
    let answer = match message {
        Some(message) => conversation.ask(message, &is_stopped, &mut show),
        None => conversation.retry(&is_stopped, &mut show),
    };
    interrupt.end();
    if let Some(failure) = failure {
        return Err(failure.into());
    }
    let answer = answer?;
    match (style, answer) {
        (Style::Json, answer) => write_json(answer, output),
        (_, None) => Ok(writeln!(output, "  (stopped)")?),
        (Style::Plain, Some(_)) => Ok(writeln!(output)?),
        (Style::Terminal, Some(answer)) => close(conversation, &answer, output),
    }
}

fn write_json(answer: Option<Answer>, output: &mut impl Write) -> anyhow::Result<()> {
    let value = match answer {
        None => json!({"finish_reason": Finish::Stopped.name()}),
        Some(answer) => json!({
            "content": answer.text,
            "finish_reason": answer.finish.name(),
            "prompt_tokens": answer.prompt_tokens,
            "read_before": answer.read_before,
            "tokens": answer.tokens,
            "tokens_per_second": speed(&answer),
        }),
    };
    Ok(writeln!(output, "{value}")?)
}

fn speed(answer: &Answer) -> f64 {
    answer.tokens as f64 / answer.time.as_secs_f64().max(1e-9)
}

/// The line below an answer in a terminal: how it went, dimmed.
fn close(conversation: &Conversation<'_>, answer: &Answer, output: &mut impl Write) -> anyhow::Result<()> {
    let why = match answer.finish {
        Finish::Stopped => ", stopped",
        Finish::Length => ", cut off (--tokens)",
        Finish::Context => ", cut off: the context is full (/forget drops the oldest turn)",
        Finish::End | Finish::Stop(_) | Finish::Deadline | Finish::Failed => "",
    };
    let used = answer.prompt_tokens + answer.tokens;
    let most = conversation.model().max_tokens();
    let (dim, plain) = ("\x1b[2m", "\x1b[0m");
    let speed = speed(answer);
    Ok(writeln!(output, "\n{dim}{} tokens, {speed:.1} a second, {used} of {most} used{why}{plain}\n", answer.tokens)?)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use bantam_runtime::generation::{GenerateOptions, LanguageModel};
    use bantam_runtime::sampling::SamplingOptions;

    use super::*;
    use crate::commands::classify::Lines;
    use crate::commands::language_model::{Format, open};

    /// A Llama with 28 words and 32 positions.
    fn model() -> LanguageModel {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bantam-model/tests/golden/llama_tied");
        open(&path, Format::F32).unwrap()
    }

    fn options() -> GenerateOptions {
        let sampling = SamplingOptions { seed: Some(1), ..SamplingOptions::default() };
        GenerateOptions { tokens: 3, sampling, stop: Vec::new(), ignores_end: true, continues: false }
    }

    fn talk(model: &LanguageModel, input: &str, style: Style) -> anyhow::Result<String> {
        let options = GenerateOptions { stop: model.chat_format().stops(), ..options() };
        let conversation = Conversation::new(model, None, options, Path::new("model"))?;
        let mut output = Vec::new();
        hold(conversation, &mut Lines::new(input.as_bytes()), &mut output, style, &Interrupt::default())?;
        Ok(String::from_utf8(output)?)
    }

    fn objects(text: &str) -> Vec<serde_json::Value> {
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_conversation_is_read_once_and_goes_on_as_if_read_anew() {
        let model = model();
        let turns = objects(&talk(&model, "when is my day\nit is gone\n", Style::Json).unwrap());
        assert_eq!(turns.len(), 2);
        assert_eq!((&turns[0]["read_before"], &turns[0]["tokens"]), (&json!(0), &json!(3)));
        // All that the first turn asked, at least.
        assert!(turns[1]["read_before"].as_u64() >= turns[0]["prompt_tokens"].as_u64(), "{turns:?}");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("saved.json");
        let messages = json!([
            {"role": "user", "content": "when is my day"},
            {"role": "assistant", "content": turns[0]["content"]},
        ]);
        std::fs::write(&path, json!({"messages": messages}).to_string()).unwrap();
        let input = format!("/load {}\nit is gone\n", path.display());
        let anew = talk(&model, &input, Style::Terminal).unwrap();
        assert!(anew.contains(turns[1]["content"].as_str().unwrap()), "{anew}\n{turns:?}");
    }

    #[test]
    fn a_conversation_that_is_too_long_is_refused_until_the_person_drops_a_turn() {
        let model = model();
        let input =
            "when is my day\nit is gone it is gone\nplease pay the card\n/forget\nplease pay the card\n/tokens\n";
        let text = talk(&model, input, Style::Terminal).unwrap();
        assert_eq!(text.matches("drop the oldest turn with /forget").count(), 1, "{text}");
        assert_eq!(text.matches(" a second, ").count(), 3, "{text}");
        assert!(text.contains(" of 32 tokens"), "{text}");
        let told = talk(&model, &"please ".repeat(40), Style::Plain).unwrap_err().to_string();
        assert!(told.contains("the model reads 32"), "{told}");
        let refused = objects(&talk(&model, &format!("{}\nnow\n", "please ".repeat(40)), Style::Json).unwrap());
        assert!(refused[0]["error"].is_string() && refused[1]["content"].is_string(), "{refused:?}");
    }

    #[test]
    fn commands_change_the_conversation() {
        let model = model();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("saved.json");
        let save = format!("/save {}\n", path.display());
        let saved = || -> Vec<Message> {
            let value: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            serde_json::from_value(value["messages"].clone()).unwrap()
        };
        talk(&model, &format!("/system pay\nnow\n{save}"), Style::Terminal).unwrap();
        let first = saved();
        assert_eq!(first[..2], [Message::new("system", "pay"), Message::new("user", "now")]);
        talk(&model, &format!("/system pay\nnow\n/retry\n{save}"), Style::Terminal).unwrap();
        assert!(saved()[..2] == first[..2] && saved()[2] != first[2], "another seed gives another answer");
        talk(&model, &format!("now\n/undo\n//is\n{save}"), Style::Terminal).unwrap();
        assert_eq!(saved()[0], Message::new("user", "/is"));
        talk(&model, &format!("/system pay\nnow\n/clear\n/system\n{save}"), Style::Terminal).unwrap();
        assert_eq!(saved(), []);
        let odd =
            talk(&model, "/undo\n/forget\n/retry\n/load nowhere.json\n/what\n/help\n/quit\nnow\n", Style::Terminal);
        let odd = odd.unwrap();
        for part in [
            "nothing to take back",
            "nothing to drop",
            "no answer to make again",
            "nowhere.json",
            "/what",
            "/save FILE",
        ] {
            assert!(odd.contains(part), "{part} should be in: {odd}");
        }
        assert!(odd.contains("no chat template") && !odd.contains(" a second, "), "{odd}");
        let told = "{\"role\": \"system\", \"content\": \"pay\"}\n{\"role\": \"user\", \"content\": \"now\"}\n\
                    {\"role\": \"assistant\", \"content\": \"it is gone\"}\nwhen\n";
        let told = objects(&talk(&model, told, Style::Json).unwrap());
        assert_eq!(told.len(), 2, "only what the user says is answered: {told:?}");
        let mut conversation = Conversation::new(
            &model,
            Some("pay"),
            GenerateOptions { stop: model.chat_format().stops(), ..options() },
            Path::new("model"),
        )
        .unwrap();
        let prompt_of = |conversation: &mut Conversation<'_>, text: &str| {
            let asked = conversation.ask(Message::new("user", text), &|| false, &mut |_| true);
            asked.unwrap().unwrap().prompt_tokens
        };
        assert_eq!(told[0]["prompt_tokens"], prompt_of(&mut conversation, "now"));
        conversation.add(Message::new("assistant", "it is gone")).unwrap();
        assert_eq!(told[1]["prompt_tokens"], prompt_of(&mut conversation, "when"));
        let role = objects(&talk(&model, "{\"role\": \"king\", \"content\": \"now\"}\n{\n", Style::Json).unwrap());
        assert!(role[0]["error"].as_str().unwrap().contains("king") && role[1]["error"].is_string());
    }

    #[test]
    fn a_stopped_answer_is_kept_as_far_as_it_came() {
        let model = model();
        let options = GenerateOptions {
            tokens: 9,
            sampling: SamplingOptions::greedy(),
            stop: vec![],
            ignores_end: true,
            continues: false,
        };
        let mut conversation = Conversation::new(&model, None, options, Path::new("model")).unwrap();
        let interrupt = Interrupt::default();
        let before = conversation.ask(Message::new("user", "now"), &|| true, &mut |_| true).unwrap();
        assert!(before.is_none() && conversation.messages.is_empty(), "stopped before the first token");
        let mut pieces = 0;
        let mut show = |piece: &str| {
            pieces += usize::from(!piece.is_empty());
            pieces < 2
        };
        let answer =
            conversation.ask(Message::new("user", "now"), &|| interrupt.is_stopped(), &mut show).unwrap().unwrap();
        assert_eq!((answer.finish, answer.tokens), (Finish::Stopped, 2));
        assert_eq!(conversation.messages[1].content.as_deref(), Some(answer.text.as_str()));
    }
}
