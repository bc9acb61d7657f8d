//! Drawing by hand: a frame with axes, marks and text, as SVG that takes its colours from the page.

use std::fmt::Write;

use super::escape::escape;
use super::scale::Scale;

/// Width of a drawing in its own units; text is 12 or 13 of them high, so that it stays legible on a phone.
pub(super) const WIDTH: f64 = 420.0;

/// A drawing.
pub(super) struct Drawing {
    height: f64,
    title: String,
    description: String,
    body: String,
}

impl Drawing {
    /// An empty drawing. `title` and `description` are what a screen reader says.
    pub(super) fn new(height: f64, title: &str, description: &str) -> Self {
        Self { height, title: escape(title), description: escape(description), body: String::new() }
    }

    /// A straight line.
    pub(super) fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let ((x1, y1), (x2, y2)) = (from, to);
        self.push(format_args!(r#"<line class="{class}" x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}"/>"#));
    }

    /// A line through points; nothing where there are fewer than two.
    pub(super) fn path(&mut self, class: &str, points: &[(f64, f64)]) {
        if points.len() < 2 {
            return;
        }
        let mut data = String::new();
        for (index, (x, y)) in points.iter().enumerate() {
            let command = if index == 0 { 'M' } else { 'L' };
            // Writing to a string cannot fail.
            let _ = write!(data, "{command}{x:.1} {y:.1}");
        }
        self.push(format_args!(r#"<path class="{class}" d="{data}"/>"#));
    }

    /// A disc or ring, with a text that is shown when it is pointed at.
    pub(super) fn dot(&mut self, class: &str, at: (f64, f64), radius: f64, hint: &str) {
        let ((x, y), hint) = (at, escape(hint));
        self.push(format_args!(
            r#"<circle class="{class}" cx="{x:.1}" cy="{y:.1}" r="{radius:.1}"><title>{hint}</title></circle>"#
        ));
    }

    /// Text whose `anchor` (start, middle, end) stands at a place.
    pub(super) fn text(&mut self, class: &str, at: (f64, f64), anchor: &str, text: &str) {
        let ((x, y), text) = (at, escape(text));
        self.push(format_args!(r#"<text class="{class}" x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{text}</text>"#));
    }

    /// Grid lines and numbers of a vertical axis, between `left` and `right`, its name above the highest.
    pub(super) fn vertical(&mut self, scale: &Scale, sides: (f64, f64), name: &str, show: impl Fn(f64) -> String) {
        let mut top = f64::INFINITY;
        for tick in scale.ticks() {
            let y = scale.place(tick);
            top = top.min(y);
            self.line("grid", (sides.0, y), (sides.1, y));
            self.text("tick", (sides.0 - 7.0, y + 4.0), "end", &show(tick));
        }
        self.text("axis-name", (0.0, (top - 12.0).max(11.0)), "start", name);
    }

    /// Marks and numbers of a horizontal axis at `y`, its name below.
    pub(super) fn horizontal(
        &mut self,
        scale: &Scale,
        sides: (f64, f64),
        y: f64,
        name: &str,
        show: impl Fn(f64) -> String,
    ) {
        self.line("axis", (sides.0, y), (sides.1, y));
        for tick in scale.ticks() {
            let x = scale.place(tick);
            self.line("axis", (x, y), (x, y + 4.0));
            self.text("tick", (x, y + 17.0), "middle", &show(tick));
        }
        self.text("axis-name", (sides.1, y + 35.0), "end", name);
    }

    /// The figure for the page, with a caption that is HTML already.
    pub(super) fn figure(self, caption: &str) -> String {
        let Self { height, title, description, body } = self;
        let caption = caption.replace(" %", "\u{202f}%");
        format!(
            "<figure>\n<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\"><title>{title}</title><desc>{description}</desc>\n\
             {body}</svg>\n<figcaption>{caption}</figcaption>\n</figure>\n"
        )
    }

    fn push(&mut self, element: std::fmt::Arguments) {
        let _ = writeln!(self.body, "{element}");
    }
}
