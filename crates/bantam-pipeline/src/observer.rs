//! Who follows a run, and may stop it.

use bantam_train::{Control, Progress, Watch};

/// Told what happens while a recipe runs.
pub trait Observer {
    /// A stage begins, or was found done.
    fn stage(&mut self, name: &str, what: &str, is_done: bool);
    /// Part of a stage is done, 0 to 1; `details` is for people.
    fn progress(&mut self, share: f64, details: &str);
    /// Something that the user should know.
    fn note(&mut self, text: &str);
    /// Whether to stop as soon as nothing would be lost.
    fn is_stopped(&self) -> bool;
}

/// Follows in silence, and never stops.
pub struct Silent;

impl Observer for Silent {
    fn stage(&mut self, _: &str, _: &str, _: bool) {}
    fn progress(&mut self, _: f64, _: &str) {}
    fn note(&mut self, _: &str) {}
    fn is_stopped(&self) -> bool {
        false
    }
}

/// Passes the training loop's progress on.
pub(crate) struct TrainingWatch<'a> {
    pub(crate) observer: &'a mut dyn Observer,
    pub(crate) validation: Option<f64>,
}

impl Watch for TrainingWatch<'_> {
    fn step(&mut self, progress: &Progress) -> Control {
        self.validation = progress.validation.or(self.validation);
        let validation = self.validation.map_or(String::new(), |value| format!(" · validation {:.1} %", 100.0 * value));
        let details = format!(
            "loss {:.3}{validation} · {:.0} tokens/s · {:.0} s left",
            progress.loss, progress.tokens_per_second, progress.seconds_left
        );
        self.observer.progress(progress.step as f64 / progress.steps as f64, &details);
        if self.observer.is_stopped() { Control::Stop } else { Control::Continue }
    }
}
