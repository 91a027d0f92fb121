//! Exit codes.

use std::fmt::Display;
use std::process::ExitCode;

/// The outcome of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The command succeeded.
    Success,
    /// The command ran, and something failed.
    Failure,
    /// The command could not run: bad usage, configuration or stream.
    CouldNotRun,
    /// The command was told to stop, and a part of it hung.
    Hung,
    /// A signal of this number ended the command early.
    Signal(i32),
}

impl Exit {
    /// Returns the exit code of the process.
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failure => 1,
            Self::CouldNotRun => 2,
            Self::Hung => 3,
            // Like a shell's exit status for a process that a signal ended.
            Self::Signal(number) => u8::try_from(128 + number).unwrap_or(u8::MAX),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Prints an error to stderr and returns its exit code.
#[expect(clippy::print_stderr, reason = "this is where errors are told")]
pub(super) fn fail(exit: Exit, error: &dyn Display) -> Exit {
    eprintln!("error: {error}");
    exit
}
