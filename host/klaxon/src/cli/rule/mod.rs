//! `klaxon rule`: commands for the author of a rule.

mod bench;
mod build;
mod inspect;
mod new;

use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::{CacheArguments, Exit};
use klaxon_harness::{RuleUnderTest, Sandboxes, module};

#[derive(Debug, Subcommand)]
pub(super) enum RuleCommand {
    /// Make a rule, a recorded stream and a test that passes
    #[command(after_help = "Example:\n  klaxon rule new oom && klaxon test oom")]
    New(new::NewArguments),
    /// Build a rule to one .wasm file
    #[command(after_help = "Example:\n  klaxon rule build oom -o oom.wasm")]
    Build(build::BuildArguments),
    /// Show a rule's interests, codes, settings and cost
    #[command(
        after_help = "The cost of an event is measured on generated objects, always the same; with \
                            --stream on recorded ones."
    )]
    Inspect(inspect::InspectArguments),
    /// Measure a rule on recorded streams
    #[command(after_help = "Example:\n  klaxon rule bench oom oom/tests/pods.jsonl")]
    Bench(bench::BenchArguments),
}

pub(super) fn rule(command: RuleCommand) -> Exit {
    match command {
        RuleCommand::New(arguments) => new::new(&arguments),
        RuleCommand::Build(arguments) => build::build(&arguments),
        RuleCommand::Inspect(arguments) => inspect::inspect(&arguments),
        RuleCommand::Bench(arguments) => bench::bench(&arguments),
    }
}

/// Loads a rule with its default settings or those of a file. A folder is built first if it has changed.
pub(super) fn load(
    rule: &Path,
    settings: Option<&PathBuf>,
    cache: &CacheArguments,
) -> Result<RuleUnderTest, String> {
    let settings = super::settings(settings.map(PathBuf::as_path))?;
    let module = module(rule, &mut say)?;
    let sandboxes = Sandboxes::start(cache.directory()).map_err(|error| error.to_string())?;
    RuleUnderTest::load(&sandboxes, &module, settings).map_err(|error| error.to_string())
}

#[expect(clippy::print_stderr, reason = "progress is for the person who waits")]
pub(super) fn say(what: &str) {
    eprintln!("{what}");
}

/// Formats a number with blanks between thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}
