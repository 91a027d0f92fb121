//! The `log` capability: bounded log lines of a rule, stored until the event's answer is known.

use crate::store_data::Call;
use klaxon_model::{Level, Line};

/// Maximum size of a line, in bytes.
pub(crate) const MAX_LINE: usize = 4096;
/// Maximum number of lines per event.
const MAX_LINES: usize = 32;
/// Maximum size of the lines of one call, in bytes, regardless of its number of events.
const MAX_CALL: usize = 1 << 20;

/// Lines of the current call.
#[derive(Default)]
pub(crate) struct Log {
    lines: Vec<(usize, Line)>,
    dropped: Vec<(usize, u32)>,
    /// Size of the call's lines so far, in bytes.
    bytes: usize,
}

impl Log {
    /// Takes the lines of one event; if lines were dropped, a last line reports their number.
    pub(crate) fn take(&mut self, place: usize) -> Vec<Line> {
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
    pub(crate) fn write_line(
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
        // The memory that the line occupies, which may be more than its length.
        self.log.bytes += text.capacity();
        self.log.lines.push((place, Line { level, text }));
        Ok(())
    }
}
