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
            Style::Json => message_of(&line)
                .and_then(|message| speak(&mut conversation, Some(message), output, style, interrupt)),
        };
        match turn {
            Ok(()) => {}
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
    writeln!(output, "{parameters} parameters, {context} tokens of context. /help lists the commands, Ctrl-C stops an answer.")?;
    if model.chat_format().is_plain() {
        writeln!(output, "The model has no chat template: it gets the conversation as \"User:\" and \"Assistant:\".")?;
    }
    Ok(writeln!(output)?)
}

fn message_of(line: &str) -> anyhow::Result<Message> {
    if !line.trim_start().starts_with('{') {
        return Ok(Message::new("user", line));
    }
    serde_json::from_str(line).context("a line that begins with { is a message: {\"role\": \"user\", \"content\": \"...\"}")
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
        Finish::End | Finish::Stop(_) => "",
    };
    let used = answer.prompt_tokens + answer.tokens;
    let most = conversation.model().max_tokens();
    let (dim, plain) = ("\x1b[2m", "\x1b[0m");
    let speed = speed(answer);
    Ok(writeln!(output, "\n{dim}{} tokens, {speed:.1} a second, {used} of {most} used{why}{plain}\n", answer.tokens)?)
}
