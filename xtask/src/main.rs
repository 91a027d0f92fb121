//! The developer's commands: `cargo xtask help`.
#![expect(clippy::print_stderr, clippy::print_stdout, reason = "commands talk to a person")]

mod advisories;
mod bench;
mod ci;
mod control_plane;
mod demo;
mod e2e;
mod r#gen;
mod rules;
mod test;
mod tidy;
mod tools;
mod torture;
mod words;
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
    /// Build everything and run the service on recorded streams, with a receiver that checks signatures
    Demo,
    /// Build the rules and run every test
    Test,
    /// Build a real control plane, once, and run the tests that need one
    E2e {
        /// Only tests with this text in their names
        filter: Option<String>,
        /// Run the tests that need no control plane of their own on this cluster, in a namespace that they
        /// create
        #[arg(long, value_name = "FILE", env = "KUBECONFIG")]
        kubeconfig: Option<std::path::PathBuf>,
    },
    /// Kill the service repeatedly in a changing cluster, and check its guarantees
    Torture(torture::Torture),
    /// Build every rule to <target dir>/rules/<name>.wasm
    Rules,
    /// Run the benches, and print ratios of one run
    Bench {
        /// Only benches with this text in their names
        filter: Option<String>,
        /// Only candidates of the bench `ratios` with this text in their names, for example under a profiler
        #[arg(long, value_name = "TEXT")]
        only: Option<String>,
    },
    /// Check the dependencies for known vulnerabilities and yanked versions; reports, and never fails
    Advisories,
    /// Check rules outside the compiler: import edges, module docs, file lengths, decisions, the contract
    Tidy,
    /// Write the generated files
    Gen,
    /// Run all checks for a change: fmt, clippy, tidy, gen, licences, tests; reports advisories
    Ci,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Demo => demo::run(),
        Command::Test => test::run(),
        Command::E2e { filter, kubeconfig } => e2e::run(filter.as_deref(), kubeconfig.as_deref()),
        Command::Torture(torture) => torture::run(&torture),
        Command::Rules => rules::build_all().map(|_| ()),
        Command::Bench { filter, only } => bench::run(filter.as_deref(), only.as_deref()),
        Command::Advisories => {
            advisories::report();
            Ok(())
        }
        Command::Tidy => tidy::run(),
        Command::Gen => r#gen::run(),
        Command::Ci => ci::run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
