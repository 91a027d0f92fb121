//! `klaxon rule bench`.

use std::path::PathBuf;

use clap::Args;

use super::{grouped, load};
use crate::cli::exit::fail;
use crate::cli::{CacheArguments, Exit, OutputFormat};
use klaxon_harness::{Input, Measured, Spread};

#[derive(Debug, Args)]
pub(in crate::cli) struct BenchArguments {
    /// The rule's folder or its module (.wasm)
    #[arg(value_name = "RULE")]
    rule: PathBuf,
    /// Recorded streams
    #[arg(value_name = "STREAM", required = true)]
    streams: Vec<PathBuf>,
    /// Settings of the rule, as JSON
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// Format of the result
    #[arg(long, value_enum, default_value_t)]
    output: OutputFormat,
    #[command(flatten)]
    cache: CacheArguments,
}

pub(super) fn bench(arguments: &BenchArguments) -> Exit {
    let measured = match run(arguments) {
        Ok(measured) => measured,
        Err(error) => return fail(Exit::CouldNotRun, &error),
    };
    match arguments.output {
        OutputFormat::Text => crate::cli::print(&text(&measured)),
        OutputFormat::Json => match serde_json::to_string(&measured) {
            Ok(line) => crate::cli::print(&format!("{line}\n")),
            Err(error) => return fail(Exit::Failure, &error),
        },
    }
    Exit::Success
}

fn run(arguments: &BenchArguments) -> Result<Measured, String> {
    let streams = crate::cli::streams(&arguments.streams, None)?;
    let rule = load(&arguments.rule, arguments.settings.as_ref(), &arguments.cache)?;
    let input = Input { streams, ..Input::default() };
    let measured = rule.cost_on(&input).map_err(|error| error.to_string())?;
    measured.ok_or_else(|| {
        "the streams have no event that the rule answers; hint: name streams of the kinds that \
         `klaxon rule inspect` shows"
            .to_owned()
    })
}

fn text(measured: &Measured) -> String {
    let Measured { costs, speed } = measured;
    let row = |what: &str, unit: &str, spread: Spread| {
        let Spread { p50, p99, max } = spread;
        format!(
            "{what:22} {:>12} {:>12} {:>12}  {unit}\n",
            grouped(p50),
            grouped(p99),
            grouped(max)
        )
    };
    let per_second = grouped(speed.events_per_second);
    [
        format!("{} events\n", grouped(costs.events as u64)),
        format!("{per_second} events a second, in batches of 64, on one core\n\n"),
        format!("{:22} {:>12} {:>12} {:>12}\n", "", "p50", "p99", "most"),
        row("a call with one event", "ns", speed.nanoseconds),
        row("fuel of an event", "", costs.fuel),
        row("memory of an instance", "bytes", costs.memory),
    ]
    .concat()
}
