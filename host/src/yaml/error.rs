//! What is wrong with a configuration.

use std::fmt;
use std::path::PathBuf;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileError {
    /// Counted from 1; 0 where the fault is about the file as a whole.
    pub line: usize,
    /// The place, such as `rules[0].module`.
    pub path: String,
    /// What is wrong and how to correct it.
    pub message: String,
}

/// All that is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileErrors {
    /// The file.
    pub file: PathBuf,
    /// In the order of the lines.
    pub errors: Vec<FileError>,
}

impl fmt::Display for FileErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, error) in self.errors.iter().enumerate() {
            if place > 0 {
                writeln!(f)?;
            }
            write!(f, "{}", self.file.display())?;
            if error.line > 0 {
                write!(f, ":{}", error.line)?;
            }
            if !error.path.is_empty() {
                write!(f, ": {}", error.path)?;
            }
            write!(f, ": {}", error.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for FileErrors {}
