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
    /// Build all and run the service on recorded streams, with a receiver that checks signatures
    Demo,
    /// Build the rules and run every test
    Test,
    /// Build a real control plane, once, and run the tests that need one
    E2e {
        /// Only tests that have this in their names
        filter: Option<String>,
        /// Run what needs no control plane of its own on this cluster; it makes a namespace of its own
        #[arg(long, value_name = "FILE", env = "KUBECONFIG")]
        kubeconfig: Option<std::path::PathBuf>,
    },
    /// Kill the service again and again in a changing cluster, and judge what was promised
    Torture(torture::Torture),
    /// Build every rule to <target dir>/rules/<name>.wasm
    Rules,
    /// Measure, as ratios in one run
    Bench {
        /// Only benches that have this in their names
        filter: Option<String>,
        /// Only candidates of the bench `ratios` that have this in their names, such as under a profiler
        #[arg(long, value_name = "TEXT")]
        only: Option<String>,
    },
    /// Look for known vulnerabilities and yanked versions in the dependencies; reports, and never fails
    Advisories,
    /// Check what no compiler checks: import edges, module docs, file lengths, decisions, the contract
    Tidy,
    /// Write what is generated
    Gen,
    /// Everything that a change must pass: fmt, clippy, tidy, gen, licences, tests; reports advisories
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
