//! `log`: lines of a rule, capped, kept until the event's answer is known.

use crate::engine::store_data::Call;

/// Most bytes of a line.
pub(in crate::engine) const MAX_LINE: usize = 4096;
/// Most lines of an event.
const MAX_LINES: usize = 32;
/// Most bytes of the lines of one call, whatever the number of its events.
const MAX_CALL: usize = 1 << 20;

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
    /// Bytes of the call's lines so far.
    bytes: usize,
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
        text: String,
    ) -> wasmtime::Result<()> {
        let (place, _) = self.event(index)?;
        let lines = self.log.lines.iter().rev().take_while(|(at, _)| *at == place).count();
        if lines >= MAX_LINES || self.log.bytes + text.capacity() > MAX_CALL {
            match self.log.dropped.iter_mut().find(|(at, _)| *at == place) {
                Some((_, count)) => *count += 1,
                None => self.log.dropped.push((place, 1)),
            }
            return Ok(());
        }
        // What the line keeps of the host's memory, not what it shows.
        self.log.bytes += text.capacity();
        self.log.lines.push((place, Line { level, text }));
        Ok(())
    }
}
