//! What a person or a program writes, line by line.

use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;

use super::Style;
use crate::commands::classify::Lines;

/// What was read.
pub(super) enum Written {
    /// A line, without its end.
    Line(String),
    /// Ctrl-C.
    Interrupted,
    /// There is no more.
    End,
}

/// Where lines come from.
pub(super) trait Source {
    /// The next line.
    fn next(&mut self) -> anyhow::Result<Written>;
}

/// From a terminal with editing and history; else as they come.
pub(super) fn lines(style: Style) -> anyhow::Result<Box<dyn Source>> {
    if style == Style::Terminal {
        return Ok(Box::new(Edited(DefaultEditor::new()?)));
    }
    Ok(Box::new(Lines::new(std::io::stdin())))
}

struct Edited(DefaultEditor);

impl Source for Edited {
    fn next(&mut self) -> anyhow::Result<Written> {
        match self.0.readline("> ") {
            Ok(line) => {
                self.0.add_history_entry(line.as_str())?;
                Ok(Written::Line(line))
            }
            Err(ReadlineError::Interrupted) => Ok(Written::Interrupted),
            Err(ReadlineError::Eof) => Ok(Written::End),
            Err(error) => Err(error.into()),
        }
    }
}

impl<R: std::io::Read> Source for Lines<R> {
    fn next(&mut self) -> anyhow::Result<Written> {
        Ok(self.next_line()?.map_or(Written::End, Written::Line))
    }
}
