//! `bantam classify`: lines of text in, one JSON object per line out.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;

use anyhow::{Context, bail};
use bantam_kernels::pool;
use bantam_runtime::Assistant;
use serde_json::Value;

/// Lines answered at once.
const BATCH: usize = 256;
/// The longest line.
const MOST_LINE_BYTES: usize = 1_000_000;

/// The arguments of `bantam classify`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  bantam classify runs/support/support.bantam < requests.txt > answers.jsonl
  echo '{\"text\": \"where is my order?\"}' | bantam classify runs/support/support.bantam

A line is a text, or a JSON object with the key `text` where it begins with `{`. Each gives one line, in the same order.")]
pub(crate) struct Arguments {
    /// The classifier: a .bantam file, or a Hugging Face folder, whose matrices are put into int8
    model: PathBuf,
    /// Threads; 0 takes all
    #[arg(long, default_value_t = 0)]
    threads: usize,
}

impl Arguments {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        pool::set_threads(self.threads);
        let assistant = Assistant::load(&self.model)?;
        let mut output = std::io::stdout().lock();
        classify(&assistant, std::io::stdin().lock(), &mut output)
    }
}

fn classify(assistant: &Assistant, input: impl Read, output: &mut impl Write) -> anyhow::Result<()> {
    let mut lines = Lines::new(input);
    let mut texts = Vec::with_capacity(BATCH);
    loop {
        let next = lines.next_line().and_then(|line| line.map(|line| text_of(&line, lines.number())).transpose());
        let (is_last, fault) = match next {
            Ok(Some(text)) => {
                texts.push(text);
                (false, None)
            }
            Ok(None) => (true, None),
            // The lines before the broken one have their answers all the same.
            Err(fault) => (true, Some(fault)),
        };
        // Whoever writes line by line waits for each answer; a full buffer makes batches.
        if is_last || texts.len() == BATCH || !lines.has_more() {
            answer(assistant, &texts, output)?;
            texts.clear();
        }
        match fault {
            Some(fault) => return Err(fault),
            None if is_last => return Ok(()),
            None => {}
        }
    }
}

fn answer(assistant: &Assistant, texts: &[String], output: &mut impl Write) -> anyhow::Result<()> {
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let mut lines = Vec::new();
    for answer in assistant.answer_all(&texts) {
        serde_json::to_writer(&mut lines, &answer)?;
        lines.push(b'\n');
    }
    output.write_all(&lines)?;
    Ok(output.flush()?)
}

fn text_of(line: &str, number: usize) -> anyhow::Result<String> {
    if !line.trim_start().starts_with('{') {
        return Ok(line.to_owned());
    }
    let value: Value = serde_json::from_str(line).with_context(|| {
        format!("line {number} begins with {{ and is not JSON; repair it, or write the text as {{\"text\": \"...\"}}")
    })?;
    match value.get("text") {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => bail!("line {number}: `text` is not a string; write {{\"text\": \"...\"}}"),
        None => bail!("line {number} has no key `text`; write {{\"text\": \"...\"}}"),
    }
}

/// Lines of UTF-8, counted, none longer than [`MOST_LINE_BYTES`].
pub(super) struct Lines<R> {
    input: BufReader<R>,
    number: usize,
}

impl<R: Read> Lines<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input: BufReader::with_capacity(1 << 16, input), number: 0 }
    }

    /// The next line without its end; `None` after the last.
    pub(super) fn next_line(&mut self) -> anyhow::Result<Option<String>> {
        let mut bytes = Vec::new();
        let mut limited = self.input.by_ref().take(MOST_LINE_BYTES as u64 + 2);
        if limited.read_until(b'\n', &mut bytes).context("cannot read standard input")? == 0 {
            return Ok(None);
        }
        self.number += 1;
        if bytes.ends_with(b"\n") {
            bytes.pop();
        }
        if bytes.ends_with(b"\r") {
            bytes.pop();
        }
        let number = self.number;
        if bytes.len() > MOST_LINE_BYTES {
            bail!("line {number} is longer than {MOST_LINE_BYTES} bytes; write each text on a line of its own");
        }
        let text = String::from_utf8(bytes)
            .map_err(|error| error.utf8_error())
            .with_context(|| format!("line {number} is not UTF-8; convert the file to UTF-8 first"))?;
        // Some editors begin a file with a mark that is no part of the text.
        Ok(Some(if number == 1 { text.trim_start_matches('\u{feff}').to_owned() } else { text }))
    }

    /// The number of the line that was read last, from 1.
    pub(super) fn number(&self) -> usize {
        self.number
    }

    /// Whether the next line is here already.
    fn has_more(&self) -> bool {
        self.input.buffer().contains(&b'\n')
    }
}

#[cfg(test)]
mod tests {
    use bantam_runtime::sample;

    use super::*;

    fn run(input: &[u8]) -> (Vec<Value>, Option<String>) {
        let assistant = Assistant::from_parts(sample::quantised_parts()).unwrap();
        let mut output = Vec::new();
        let error = classify(&assistant, input, &mut output).err().map(|error| format!("{error:#}"));
        let text = String::from_utf8(output).unwrap();
        (text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), error)
    }

    #[test]
    fn every_line_has_its_answer_in_order() {
        let assistant = Assistant::from_parts(sample::quantised_parts()).unwrap();
        let texts: Vec<&str> = (0..600).map(|n| sample::TEXTS[n % 6]).collect();
        let (answers, error) = run(texts.join("\r\n").as_bytes());
        assert_eq!((answers.len(), error), (600, None));
        for (text, answer) in texts.iter().zip(&answers) {
            assert_eq!(answer["label"], assistant.answer(text).label);
        }
        let (answers, error) = run("\u{feff}order LF-482913\n\n{\"text\": \"order LF-482913\", \"id\": 4}".as_bytes());
        assert_eq!((answers.len(), error), (3, None));
        assert_eq!(answers[0], answers[2]);
        assert_eq!(answers[1]["in_scope"], false);
        assert_eq!(run(b"").0.len(), 0);
    }

    #[test]
    fn a_broken_line_is_named_after_the_answers_before_it() {
        let long = [b"a\n".as_slice(), &vec![b'x'; MOST_LINE_BYTES + 1], b"\nb\n"].concat();
        let cases: [(&[u8], usize, &str); 6] = [
            (b"a\nb\n\xff\xfe\nc\n", 2, "line 3 is not UTF-8"),
            (b"{\"text\": \"a\"}\n{\"text\": \n", 1, "line 2 begins with {"),
            (b"{\"message\": \"a\"}\n", 0, "line 1 has no key `text`"),
            (b"a\n{\"text\": 5}\n", 1, "line 2: `text` is not a string"),
            (&long, 1, "line 2 is longer than"),
            (b"\n\n{", 2, "line 3 begins"),
        ];
        for (input, answers, expected) in cases {
            let (given, error) = run(input);
            assert_eq!(given.len(), answers, "{expected}");
            assert!(error.as_deref().is_some_and(|error| error.contains(expected)), "{error:?}");
        }
    }

    #[test]
    fn a_reader_that_left_is_an_error_of_output() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(std::io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let assistant = Assistant::from_parts(sample::quantised_parts()).unwrap();
        let error = classify(&assistant, b"a\n".as_slice(), &mut Gone).unwrap_err();
        assert!(error.downcast_ref::<std::io::Error>().is_some());
    }
}
