//! `log`: lines of a rule, capped, kept until the event's answer is known.

use crate::engine::host::Call;

const MAX_LINE: usize = 4096;
const MAX_LINES: usize = 32;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "mirrors the contract")]
pub enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

/// A line that a rule wrote about an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// How much it matters.
    pub level: Level,
    /// At most 4 KiB.
    pub text: String,
}

/// Lines of the call at hand.
#[derive(Default)]
pub(in crate::engine) struct Log {
    lines: Vec<(usize, Line)>,
    dropped: Vec<(usize, u32)>,
}

impl Log {
    /// The lines of one event; the last says how many there was no room for, if any.
    pub(in crate::engine) fn take(&mut self, place: usize) -> Vec<Line> {
        let mut lines: Vec<Line> =
            self.lines.extract_if(.., |(at, _)| *at == place).map(|(_, line)| line).collect();
        if let Some((_, count)) = self.dropped.iter().find(|(at, _)| *at == place) {
            let text = format!("{count} more lines of this event were dropped");
            lines.push(Line { level: Level::Warn, text });
        }
        lines
    }
}

impl Call {
    pub(in crate::engine) fn write_line(
        &mut self,
        index: u32,
        level: Level,
        mut text: String,
    ) -> wasmtime::Result<()> {
        let (place, _) = self.event(index)?;
        if self.log.lines.iter().filter(|(at, _)| *at == place).count() >= MAX_LINES {
            match self.log.dropped.iter_mut().find(|(at, _)| *at == place) {
                Some((_, count)) => *count += 1,
                None => self.log.dropped.push((place, 1)),
            }
            return Ok(());
        }
        let end = text.floor_char_boundary(MAX_LINE);
        text.truncate(end);
        self.log.lines.push((place, Line { level, text }));
        Ok(())
    }
}
