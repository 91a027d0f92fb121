//! Test reports for people: a line for each case, and details of each failure.

use crate::{CaseReport, Coverage, FileReport, TestReport};

/// Options of a text report.
#[derive(Debug, Clone, Copy, Default)]
pub struct Text {
    /// Use colours.
    pub colour: bool,
    /// List the codes that no case emits, even if no coverage is required.
    pub coverage: bool,
}

const GREEN: &str = "32";
const RED: &str = "31";
const YELLOW: &str = "33";

impl Text {
    /// Formats the report of one file.
    pub fn file(&self, file: &FileReport) -> String {
        let mut text = String::new();
        let rule = if file.rule.is_empty() { String::new() } else { format!(" ({})", file.rule) };
        line(&mut text, 0, &format!("{}{rule}", file.path.display()));
        if let Some(error) = &file.error {
            line(&mut text, 1, &self.paint(RED, "FAIL"));
            lines(&mut text, 2, &error.message);
        }
        for case in &file.cases {
            self.case(&mut text, file, case);
        }
        if let Some(coverage) = &file.coverage {
            self.covered(&mut text, coverage);
        }
        for path in &file.unused {
            let told =
                format!("{} no test has snapshot {}", self.paint(YELLOW, "note"), path.display());
            line(&mut text, 1, &format!("{told}; hint: delete it, or --update"));
        }
        text
    }

    fn case(&self, text: &mut String, file: &FileReport, case: &CaseReport) {
        if case.passed() {
            let said =
                if case.updated { self.paint(YELLOW, "snap") } else { self.paint(GREEN, "ok  ") };
            let cost = case.cost.map_or(String::new(), |cost| {
                format!(" ({} fuel, {} KiB)", cost.fuel, cost.memory / 1024)
            });
            line(text, 1, &format!("{said} {}{cost}", case.name));
            return;
        }
        line(text, 1, &format!("{} {}", self.paint(RED, "FAIL"), case.name));
        line(text, 2, &format!("at {}:{}", file.path.display(), case.line));
        for failure in &case.failures {
            lines(text, 2, &failure.message);
            for detail in failure.details.lines() {
                let colour = match detail.chars().next() {
                    Some('-') => Some(RED),
                    Some('+') => Some(GREEN),
                    _ => None,
                };
                let painted = colour.map_or(detail.to_owned(), |colour| self.paint(colour, detail));
                line(text, 3, &painted);
            }
        }
    }

    fn covered(&self, text: &mut String, coverage: &Coverage) {
        if coverage.suffices() && !self.coverage {
            return;
        }
        let said = coverage.declared - coverage.missing.len();
        let mut told =
            format!("coverage: {said} of {} codes ({}%)", coverage.declared, coverage.percent());
        if let Some(wanted) = coverage.wanted.filter(|_| !coverage.suffices()) {
            told = format!("{} {told}, {wanted}% wanted", self.paint(RED, "FAIL"));
        }
        if !coverage.missing.is_empty() {
            told.push_str(&format!("; no passing test says {}", coverage.missing.join(", ")));
        }
        line(text, 1, &told);
    }

    /// Formats the last line.
    pub fn summary(&self, report: &TestReport) -> String {
        let (passed, failed) = (report.passed(), report.failed());
        let mut text = format!("{passed} passed, {failed} failed");
        let count =
            |is: &dyn Fn(&FileReport) -> bool| report.files.iter().filter(|f| is(f)).count();
        let left_out: usize = report.files.iter().map(|file| file.left_out).sum();
        let updated = report.cases().filter(|case| case.updated).count();
        let errors = count(&|file| file.error.is_some());
        let uncovered = count(&|file| file.coverage.as_ref().is_some_and(|one| !one.suffices()));
        for (number, what) in [
            (left_out, "left out by the filter (coverage is not judged)"),
            (updated, "snapshots written"),
            (errors, if errors == 1 { "file with errors" } else { "files with errors" }),
            (uncovered, "files with too few codes covered"),
        ] {
            if number > 0 {
                text.push_str(&format!(", {number} {what}"));
            }
        }
        text
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.colour { format!("\u{1b}[{colour}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

fn line(text: &mut String, depth: usize, line: &str) {
    text.push_str(&"  ".repeat(depth));
    text.push_str(line.trim_end());
    text.push('\n');
}

fn lines(text: &mut String, depth: usize, all: &str) {
    all.lines().for_each(|one| line(text, depth, one));
}
