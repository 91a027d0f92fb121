//! The `klaxon` binary: the library's command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    klaxon::cli::main()
}
