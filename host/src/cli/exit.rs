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
    /// A signal of this number ended it before it was done.
    Signal(i32),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Success => 0,
            Exit::Failure => 1,
            Exit::CouldNotRun => 2,
            // As a shell tells of whoever was ended by a signal.
            Exit::Signal(number) => u8::try_from(128 + number).unwrap_or(u8::MAX),
        })
    }
}

/// Prints an error to stderr and returns the exit code that goes with it.
#[expect(clippy::print_stderr, reason = "this is where errors are told")]
pub(super) fn fail(exit: Exit, fault: &dyn Display) -> Exit {
    eprintln!("error: {fault}");
    exit
}
