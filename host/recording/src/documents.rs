//! The JSON documents of a file, each with the line on which it begins.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read};
use std::path::PathBuf;

use serde::de::IgnoredAny;

use super::{StreamError, StreamFile};
use klaxon_model::beginning;

/// Reads a file document by document. A document may span lines, but begins on a new line.
pub(super) struct Documents {
    path: PathBuf,
    reader: Box<dyn BufRead + Send>,
    line: u64,
    buffer: Vec<u8>,
    /// `true` until the beginning of a file was looked at.
    is_new: bool,
}

/// Maximum number of lines of a document; a longer one is reported as broken on its first line.
const MOST_LINES: u64 = 200_000;

impl Documents {
    pub(super) fn open(stream: &StreamFile) -> Result<Self, StreamError> {
        let path = &stream.path;
        if let Some(text) = &stream.text {
            let reader = Box::new(Cursor::new(text.clone()));
            let path = path.clone();
            return Ok(Self { path, reader, line: 0, buffer: Vec::new(), is_new: false });
        }
        let fail = |source| StreamError::File { path: path.clone(), source };
        // Looked at before it is opened: opening a named pipe waits for its writer.
        if !std::fs::metadata(path).map_err(fail)?.is_file() {
            let why = "this is no regular file, and a stream is read twice; save it to one first";
            return Err(fail(std::io::Error::other(why)));
        }
        let file = File::open(path).map_err(fail)?;
        let reader: Box<dyn Read + Send> = match path.extension().and_then(|end| end.to_str()) {
            Some("gz") => Box::new(flate2::read::MultiGzDecoder::new(file)),
            Some("zst") => Box::new(zstd::Decoder::new(file).map_err(fail)?),
            _ => Box::new(file),
        };
        let reader = Box::new(BufReader::with_capacity(1 << 16, reader));
        Ok(Self { path: path.clone(), reader, line: 0, buffer: Vec::new(), is_new: true })
    }

    pub(super) fn error(&self, line: u64, why: String) -> StreamError {
        StreamError::Line { path: self.path.clone(), line, why }
    }

    /// Returns the next document and its line; `None` at the end of the file.
    ///
    /// # Errors
    /// If the file cannot be read, is no JSON at all, or a line is not the beginning of a JSON document.
    pub(super) fn next(&mut self) -> Result<Option<(u64, Vec<u8>)>, StreamError> {
        self.buffer.clear();
        if !self.read_line()? {
            return Ok(None);
        }
        if std::mem::take(&mut self.is_new) && !self.buffer.trim_ascii_start().starts_with(b"{") {
            let beginning = beginning(&self.buffer);
            return Err(StreamError::NoJson { path: self.path.clone(), beginning });
        }
        let first = self.line;
        let mut depth = Depth::default();
        let mut scanned = 0;
        loop {
            depth.scan(self.buffer.get(scanned..).unwrap_or_default());
            scanned = self.buffer.len();
            if depth.is_complete() {
                return Ok(Some((first, std::mem::take(&mut self.buffer))));
            }
            let more = self.line - first < MOST_LINES && self.read_line()?;
            if !more {
                let error = serde_json::from_slice::<IgnoredAny>(&self.buffer).err();
                let why =
                    error.map_or_else(|| "no JSON object".to_owned(), |error| error.to_string());
                return Err(self.error(
                    first,
                    format!("{why}; hint: each line (or document) is one complete JSON object"),
                ));
            }
        }
    }

    /// Adds the next line that is not blank to the buffer; returns `false` at the end of the file.
    fn read_line(&mut self) -> Result<bool, StreamError> {
        loop {
            let before = self.buffer.len();
            let read = self
                .reader
                .read_until(b'\n', &mut self.buffer)
                .map_err(|source| StreamError::File { path: self.path.clone(), source })?;
            if read == 0 {
                return Ok(false);
            }
            self.line += 1;
            let blank = self.buffer.get(before..).is_some_and(|line| line.trim_ascii().is_empty());
            if !blank {
                return Ok(true);
            }
            self.buffer.truncate(before);
        }
    }
}

/// Depth of brackets during a scan; text in quotes is ignored.
#[derive(Default)]
struct Depth {
    depth: i64,
    opened: bool,
    in_text: bool,
    escaped: bool,
}

impl Depth {
    fn scan(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_text => self.escaped = true,
                b'"' => self.in_text = !self.in_text,
                b'{' | b'[' if !self.in_text => {
                    self.depth += 1;
                    self.opened = true;
                }
                b'}' | b']' if !self.in_text => self.depth -= 1,
                _ => {}
            }
        }
    }

    /// Returns `true` if the document is complete. Text without any bracket counts as complete, so that
    /// parsing it returns the error.
    fn is_complete(&self) -> bool {
        self.depth <= 0 && (self.opened || !self.in_text)
    }
}
