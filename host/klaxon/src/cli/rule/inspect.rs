//! `klaxon rule inspect`.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::{grouped, load};
use crate::cli::exit::fail;
use crate::cli::{CacheArguments, Exit, OutputFormat};
use klaxon_harness::strategies::{Shape, sample};
use klaxon_harness::{Input, Measured, RuleUnderTest};
use klaxon_model::{Changes, Interest, PartitionBy, Parts};

/// The number of steps of the generated history on which a rule is measured.
const STEPS: usize = 1000;

#[derive(Debug, Args)]
pub(in crate::cli) struct InspectArguments {
    /// The rule's folder or its module (.wasm)
    #[arg(value_name = "RULE", default_value = ".")]
    rule: PathBuf,
    /// Settings of the rule, as JSON
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// Measure on recorded streams instead of generated objects
    #[arg(long, value_name = "STREAM")]
    stream: Vec<PathBuf>,
    /// Format of the result
    #[arg(long, value_enum, default_value_t)]
    output: OutputFormat,
    #[command(flatten)]
    cache: CacheArguments,
}

pub(super) fn inspect(arguments: &InspectArguments) -> Exit {
    let found =
        load(&arguments.rule, arguments.settings.as_ref(), &arguments.cache).and_then(|rule| {
            let measured = measure(&rule, &arguments.stream)?;
            Ok((rule, measured))
        });
    match found {
        Ok((rule, measured)) => {
            match arguments.output {
                OutputFormat::Text => {
                    crate::cli::print(&text(&rule, measured.as_ref(), &arguments.stream))
                }
                OutputFormat::Json => {
                    crate::cli::print(&format!("{}\n", as_json(&rule, measured.as_ref())))
                }
            }
            Exit::Success
        }
        Err(error) => fail(Exit::CouldNotRun, &error),
    }
}

fn measure(rule: &RuleUnderTest, streams: &[PathBuf]) -> Result<Option<Measured>, String> {
    let streams = if streams.is_empty() {
        let shape = Shape::of(rule.manifest()).map(|shape| Shape { steps: STEPS, ..shape });
        shape.and_then(sample).into_iter().collect()
    } else {
        crate::cli::streams(streams, None)?
    };
    let input = Input { streams, ..Input::default() };
    rule.cost_on(&input).map_err(|error| error.to_string())
}

fn text(rule: &RuleUnderTest, measured: Option<&Measured>, streams: &[PathBuf]) -> String {
    let manifest = rule.manifest();
    let mut lines = vec![
        format!("{} {}: {}", manifest.name, manifest.version, manifest.description),
        String::new(),
        format!("module    {} ({} KiB)", rule.module().display(), rule.bytes().len() / 1024),
        format!("digest    blake3:{}", rule.loaded().digest),
        "contract  klaxon:rule@0.1.0".to_owned(),
        format!("imports   {}", or_none(capabilities(rule))),
    ];
    if manifest.state_version > 0 {
        lines.push(format!("state     version {}", manifest.state_version));
    }
    lines.push("\ncodes".to_owned());
    for code in &manifest.codes {
        let severity = json!(code.severity);
        let severity = severity.as_str().unwrap_or_default();
        lines.push(format!("  {:24} {severity:8} {}: {}", code.name, code.title, code.description));
    }
    lines.push("\nasks for".to_owned());
    lines.extend(manifest.interests.iter().flat_map(interest));
    lines.push("\nsettings".to_owned());
    lines.extend(settings(&manifest.settings_schema));
    lines.push(String::new());
    lines.push(cost(measured, streams));
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn or_none(items: Vec<String>) -> String {
    if items.is_empty() { "none".to_owned() } else { items.join(", ") }
}

fn capabilities(rule: &RuleUnderTest) -> Vec<String> {
    rule.loaded().capabilities.iter().map(|one| one.name().to_owned()).collect()
}

fn interest(interest: &Interest) -> Vec<String> {
    let mut lines =
        vec![format!("  {}: {} {}", interest.name, interest.api_version, interest.kind)];
    let mut add = |name: &str, value: String| {
        if !value.is_empty() {
            lines.push(format!("    {name:12} {value}"));
        }
    };
    add("labels", interest.label_selector.clone());
    add("fields of", interest.field_selector.clone());
    add("namespaces", interest.namespaces.join(", "));
    add("changes", changes(interest.changes).join(", "));
    add("partition", partition(&interest.partition));
    add("parts", or_none(parts(interest.parts)));
    add("annotations", interest.annotations.join(", "));
    add("fields", interest.fields.join(", "));
    lines
}

fn changes(changes: Changes) -> Vec<&'static str> {
    let Changes { added, modified, deleted, left, snapshot } = changes;
    let all = [
        ("added", added),
        ("modified", modified),
        ("deleted", deleted),
        ("left", left),
        ("snapshot", snapshot),
    ];
    all.into_iter().filter(|(_, wanted)| *wanted).map(|(name, _)| name).collect()
}

fn parts(parts: Parts) -> Vec<String> {
    let Parts { labels, owners, conditions, images, addresses } = parts;
    let all = [
        ("labels", labels),
        ("owners", owners),
        ("conditions", conditions),
        ("images", images),
        ("addresses", addresses),
    ];
    all.into_iter().filter(|(_, wanted)| *wanted).map(|(name, _)| name.to_owned()).collect()
}

fn partition(partition: &PartitionBy) -> String {
    match partition {
        PartitionBy::Object => "by object".to_owned(),
        PartitionBy::Namespace => "by namespace".to_owned(),
        PartitionBy::Label(label) => format!("by label {label}"),
        PartitionBy::Field(field) => format!("by field {field}"),
        PartitionBy::WholeCluster => "whole cluster".to_owned(),
    }
}

/// Formats the names and descriptions of a schema's properties.
fn settings(schema: &str) -> Vec<String> {
    let schema: Value = serde_json::from_str(schema).unwrap_or(Value::Null);
    let properties = schema.get("properties").and_then(Value::as_object);
    let lines = properties.into_iter().flatten().map(|(name, property)| {
        let text = property.get("description").and_then(Value::as_str).unwrap_or_default();
        let default = property.get("default").filter(|default| !default.is_null());
        let default = default.map_or(String::new(), |default| format!(" [default: {default}]"));
        format!("  {name:16} {}{default}", text.replace('\n', " "))
    });
    let lines: Vec<String> = lines.collect();
    if lines.is_empty() { vec!["  none".to_owned()] } else { lines }
}

fn cost(measured: Option<&Measured>, streams: &[PathBuf]) -> String {
    let on = if streams.is_empty() { "generated objects" } else { "the streams" };
    let Some(Measured { costs, speed }) = measured else {
        return format!(
            "an event's cost was not measured: {on} have no event for the rule; hint: \
                        name a recorded stream with --stream"
        );
    };
    format!(
        "an event costs {} fuel (p99 {}), {} KiB of memory and {} ns on this machine, measured on {} \
         events of {on}",
        grouped(costs.fuel.p50),
        grouped(costs.fuel.p99),
        grouped(costs.memory.p50 / 1024),
        grouped(1_000_000_000 / speed.events_per_second.max(1)),
        costs.events,
    )
}

fn as_json(rule: &RuleUnderTest, measured: Option<&Measured>) -> Value {
    let manifest = rule.manifest();
    let codes = manifest.codes.iter().map(|code| {
        json!({"name": code.name, "title": code.title, "severity": code.severity,
               "description": code.description})
    });
    let interests = manifest.interests.iter().map(|one| {
        json!({"name": one.name, "api_version": one.api_version, "kind": one.kind,
               "label_selector": one.label_selector, "field_selector": one.field_selector,
               "namespaces": one.namespaces, "changes": changes(one.changes),
               "partition": partition(&one.partition), "parts": parts(one.parts),
               "annotations": one.annotations, "fields": one.fields})
    });
    json!({
        "name": manifest.name, "version": manifest.version, "description": manifest.description,
        "module": rule.module(), "size": rule.bytes().len(),
        "digest": format!("blake3:{}", rule.loaded().digest), "contract": "klaxon:rule@0.1.0",
        "imports": capabilities(rule), "state_version": manifest.state_version,
        "codes": codes.collect::<Vec<_>>(), "interests": interests.collect::<Vec<_>>(),
        "settings_schema": serde_json::from_str::<Value>(&manifest.settings_schema).ok(),
        "measured": measured,
    })
}
