//! Exit codes.

use std::fmt::Display;
use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All is well.
    Success,
    /// It ran, and something failed.
    Failure,
    /// It could not run: bad usage, configuration or stream.
    CouldNotRun,
    /// It was told to stop, and something in it hung.
    Hung,
    /// A signal of this number ended it before it was done.
    Signal(i32),
}

impl Exit {
    /// The number that the process ends with.
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failure => 1,
            Self::CouldNotRun => 2,
            Self::Hung => 3,
            // As a shell tells of whoever was ended by a signal.
            Self::Signal(number) => u8::try_from(128 + number).unwrap_or(u8::MAX),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Prints an error to stderr and returns the exit code that goes with it.
#[expect(clippy::print_stderr, reason = "this is where errors are told")]
pub(super) fn fail(exit: Exit, error: &dyn Display) -> Exit {
    eprintln!("error: {error}");
    exit
}
