//! `klaxon replay`.
#![expect(clippy::print_stderr, reason = "the summary is for the person who ran it")]

mod explanation;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::exit::fail;
use super::{EngineArguments, Exit, OutputFormat, some};
use crate::assembly::assemble;
use explanation::Explanation;
use klaxon_config::{self as config, Config};
use klaxon_core::pipeline::{Output, Pipeline};
use klaxon_core::verdict::Targets;
use klaxon_harness::{Replay, ReplayError, Summary};
use klaxon_model::{Limits, Narrowing, Origin, Timestamp, plain};

#[derive(Debug, Args)]
#[group(id = "rules", required = true, multiple = false, args = ["config", "rule"])]
pub(super) struct ReplayArguments {
    /// Rules and settings of a configuration; its sources and targets are left alone
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// One rule, with its default settings: a module, or the folder of a rule, which is built if it changed
    #[arg(long, value_name = "WASM")]
    rule: Option<PathBuf>,
    /// Settings of that rule, as JSON
    #[arg(long, value_name = "FILE", requires = "rule")]
    settings: Option<PathBuf>,
    /// Recorded streams, merged by time; .gz and .zst are read too
    #[arg(value_name = "STREAM", required = true)]
    streams: Vec<PathBuf>,
    /// Objects before this time are state, not news (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = super::time)]
    snapshot_until: Option<Timestamp>,
    /// Let timers fire for so long after the last event, such as 90s
    #[arg(long, value_name = "SPAN", value_parser = super::span)]
    advance: Option<Duration>,
    /// Print, in place of the verdicts, what each object of the streams causes for each rule, and why
    #[arg(long)]
    explain: bool,
    /// Format of the summary, on stderr
    #[arg(long, value_enum, default_value_t)]
    output: OutputFormat,
    #[command(flatten)]
    engine: EngineArguments,
}

pub(super) fn replay(arguments: ReplayArguments) -> Exit {
    let prepared = prepare(&arguments).and_then(|mut prepared| {
        let explanation =
            arguments.explain.then(|| Explanation::new(&mut prepared, &arguments.engine));
        Ok((explanation.transpose()?, prepared))
    });
    let (mut explanation, Prepared { replay, mut pipeline, .. }) = match prepared {
        Ok(ready) => ready,
        Err(error) => return fail(Exit::CouldNotRun, &error),
    };
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut told = Told::default();
    let outcome = replay.run(&mut pipeline, |output| match &mut explanation {
        None => told.output(&mut out, &output),
        Some(explanation) => {
            told.output(&mut std::io::sink(), &output)?;
            explanation.add(&output);
            Ok(())
        }
    });
    let outcome = outcome.and_then(|summary| {
        if let Some(explanation) = explanation {
            explanation.write(&replay, &mut out)?;
        }
        out.flush().map_err(ReplayError::Sink)?;
        Ok(summary)
    });
    match outcome {
        Ok(summary) => told.end(&summary, arguments.output),
        Err(ReplayError::Sink(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            Exit::Success
        }
        Err(ReplayError::Sink(error)) => fail(Exit::Failure, &format!("stdout: {error}")),
        Err(error @ ReplayError::Stream(_)) => {
            // Verdicts before the broken line were printed; the exit code reports the failure all the same.
            drop(out.flush());
            fail(Exit::CouldNotRun, &error)
        }
    }
}

/// A replay that is ready to run.
struct Prepared {
    replay: Replay,
    pipeline: Pipeline,
    rules: Vec<config::Rule>,
    targets: Targets,
    origin: Origin,
}

fn prepare(arguments: &ReplayArguments) -> Result<Prepared, String> {
    let (cluster, rules, targets) = match (&arguments.config, &arguments.rule) {
        (Some(path), _) => {
            let config = Config::read_without_targets(path).map_err(|errors| errors.to_string())?;
            let targets = config.targets.keys().cloned().collect();
            let targets = Targets::Configured(Arc::new(targets));
            (config.cluster, config.rules, targets)
        }
        (None, Some(module)) => {
            let rule = single_rule(module, arguments.settings.as_deref())?;
            ("replay".to_owned(), vec![rule], Targets::Any)
        }
        (None, None) => return Err("name a configuration or a rule".to_owned()),
    };
    let streams = super::streams(&arguments.streams, arguments.snapshot_until)?;
    let origin = Origin { cluster, source: "replay".to_owned() };
    let pipeline = assemble(&rules, targets.clone(), origin.clone(), arguments.engine.options())
        .map_err(|error| error.to_string())?;
    let advance = arguments.advance.unwrap_or_default();
    let advance_ms = i64::try_from(advance.as_millis()).map_err(|_| "--advance is too long")?;
    let replay = Replay { streams, advance_ms };
    Ok(Prepared { replay, pipeline, rules, targets, origin })
}

fn single_rule(module: &Path, settings: Option<&Path>) -> Result<config::Rule, String> {
    let settings = super::settings(settings)?;
    let module = klaxon_harness::module(module, &mut super::rule::say)?;
    let name = module.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into());
    Ok(config::Rule {
        name,
        module,
        settings,
        targets: Vec::new(),
        nameable: Vec::new(),
        policy: config::Policy::default(),
        narrowing: Narrowing::new(),
        limits: Limits::default(),
        state_granted: true,
    })
}

/// The counts of printed verdicts and failures.
#[derive(Default)]
struct Told {
    codes: BTreeMap<String, u64>,
    failures: u64,
}

impl Told {
    fn output(&mut self, out: &mut impl Write, output: &Output) -> std::io::Result<()> {
        for verdict in &output.verdicts {
            *self.codes.entry(format!("{}/{}", verdict.rule, verdict.code)).or_default() += 1;
            writeln!(out, "{}", verdict.to_line()?)?;
        }
        for failed in &output.failures {
            self.failures += 1;
            let object = &failed.object;
            say(format!(
                "rule {} on {} {}/{}/{} at {}: {}: {}",
                failed.rule,
                failed.change,
                object.kind,
                object.namespace,
                object.name,
                failed.time,
                failed.failure.kind.as_str(),
                failed.failure.message
            ));
        }
        for out in &output.out_of_service {
            say(format!("rule {} is out of service from {} to {}", out.rule, out.since, out.until));
        }
        for object in &output.quarantine {
            say(format!("an object of {} was quarantined: {}", object.scope, object.reason));
        }
        for gap in &output.gaps {
            let kinds = gap.kinds.join(", ");
            say(format!(
                "gap in {} ({kinds}) from {} to {}: {}",
                gap.scope, gap.from, gap.to, gap.reason
            ));
        }
        for refusal in &output.refusals {
            say(format!("rule {}, code {}: {}", refusal.rule, refusal.code, refusal.why));
        }
        for over in output.over_budget.iter().filter(|over| over.is_first) {
            say(format!(
                "rule {} writes too much to {} ({}): over its budget until {}",
                over.rule, over.object, over.target, over.next
            ));
        }
        for said in &output.log {
            say(format!("rule {} ({:?}): {}", said.rule, said.line.level, said.line.text));
        }
        Ok(())
    }

    fn end(&self, summary: &Summary, output: OutputFormat) -> Exit {
        let counts = &summary.counts;
        match output {
            OutputFormat::Json => match serde_json::to_string(summary) {
                Ok(line) => eprintln!("{line}"),
                Err(error) => return fail(Exit::Failure, &error),
            },
            OutputFormat::Text => {
                eprintln!(
                    "{} from {} ({} ignored, {} repeated, {} unknown, {} undecodable), {} for rules ({}, {} not \
                     due yet), {}, {}",
                    some(counts.observed, "object", "objects"),
                    some(summary.streams, "stream", "streams"),
                    counts.ignored,
                    counts.repeated,
                    counts.unknown,
                    counts.undecodable,
                    some(counts.events, "event", "events"),
                    some(counts.timers, "timer", "timers"),
                    counts.pending_timers,
                    some(counts.verdicts, "verdict", "verdicts"),
                    some(counts.failures, "failure", "failures")
                );
                if let Some(line) = super::suppressed(counts) {
                    eprintln!("{line}");
                }
                if counts.observed == counts.ignored && counts.observed > 0 {
                    eprintln!(
                        "no object of the streams is of a kind that a rule asks for; hint: see `klaxon rule inspect` for the kinds"
                    );
                } else if counts.events == 0 && counts.observed > 0 {
                    eprintln!("no rule got an event; hint: `klaxon replay --explain` says why");
                }
                if summary.skipped > 0 {
                    eprintln!("skipped: {} of other types", some(summary.skipped, "line", "lines"));
                }
                for (code, count) in &self.codes {
                    eprintln!("  {code}: {count}");
                }
            }
        }
        if self.failures > 0 { Exit::Failure } else { Exit::Success }
    }
}

/// Prints a line to stderr. Its texts come from clusters and rules.
fn say(line: String) {
    eprintln!("{}", plain(&line));
}
