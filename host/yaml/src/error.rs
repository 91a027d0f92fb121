//! The errors of a configuration file.

use std::fmt;
use std::path::PathBuf;

/// One error of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileError {
    /// The line, counted from 1. 0 if the error concerns the whole file.
    pub line: usize,
    /// The path of the value, such as `rules[0].module`.
    pub path: String,
    /// The error and a hint.
    pub message: String,
}

/// All errors of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileErrors {
    /// The file.
    pub file: PathBuf,
    /// The errors, in the order of their lines.
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
