//! What a person sees while something long runs, and the Ctrl-C that stops it politely.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bantam_pipeline::Observer;
use indicatif::{ProgressBar, ProgressStyle};

/// Seconds between two lines of progress where there is no terminal.
const QUIET: Duration = Duration::from_secs(20);

/// Shows stages on standard error: a bar in a terminal, a line now and then elsewhere.
pub(crate) struct Screen {
    bar: Option<ProgressBar>,
    is_terminal: bool,
    stopped: Arc<AtomicBool>,
    stage: Option<(String, Instant)>,
    told: Instant,
}

impl Screen {
    /// A screen that also listens for Ctrl-C: the first asks for a stop, the second ends the program at once.
    pub(crate) fn new() -> Self {
        let stopped = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stopped);
        // Where a handler cannot be set, Ctrl-C ends the program at once: artifacts are safe from that, too.
        let _ = ctrlc::set_handler(move || {
            if flag.swap(true, Ordering::SeqCst) {
                std::process::abort();
            }
            say("stopping after this step; press Ctrl-C again to end at once");
        });
        Self { bar: None, is_terminal: std::io::stderr().is_terminal(), stopped, stage: None, told: Instant::now() }
    }

    /// Ends the stage that is shown.
    pub(crate) fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        if let Some((name, began)) = self.stage.take() {
            say(&format!("  {name:<12} {:.1} s", began.elapsed().as_secs_f64()));
        }
    }
}

impl Observer for Screen {
    fn stage(&mut self, name: &str, what: &str, is_done: bool) {
        self.finish();
        if is_done {
            say(&format!("  {name:<12} done before"));
            return;
        }
        self.stage = Some((name.to_owned(), Instant::now()));
        self.told = Instant::now();
        if self.is_terminal {
            let bar = ProgressBar::new(1000);
            if let Ok(style) = ProgressStyle::with_template("  {prefix:<12} {bar:24} {percent:>3} % {msg}") {
                bar.set_style(style);
            }
            bar.set_prefix(name.to_owned());
            bar.set_message(what.to_owned());
            self.bar = Some(bar);
        } else {
            say(&format!("  {name}: {what}"));
        }
    }

    fn progress(&mut self, share: f64, details: &str) {
        if let Some(bar) = &self.bar {
            bar.set_position((1000.0 * share) as u64);
            bar.set_message(details.to_owned());
        } else if self.told.elapsed() >= QUIET {
            self.told = Instant::now();
            say(&format!("    {:.0} % {details}", 100.0 * share));
        }
    }

    fn note(&mut self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| say(&format!("  note: {text}"))),
            None => say(&format!("  note: {text}")),
        }
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }
}

fn say(line: &str) {
    // Nobody can be told that standard error is gone.
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
