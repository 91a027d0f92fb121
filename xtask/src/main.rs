//! The developer's commands: `cargo xtask help`.
#![expect(clippy::print_stderr, clippy::print_stdout, reason = "commands talk to a person")]

mod rules;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Klaxon's developer commands")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build every rule to <target dir>/rules/<name>.wasm
    Rules,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Rules => rules::build_all().map(|_| ()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("error: {fault:#}");
            ExitCode::FAILURE
        }
    }
}
