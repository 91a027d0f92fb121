//! `klaxon schema`: JSON Schemas of configuration and test files, for editors.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::exit::fail;
use super::{CacheArguments, Exit};
use klaxon_config as config;
use klaxon_harness as harness;
use klaxon_harness::{RuleUnderTest, Sandboxes, module};

#[derive(Debug, Subcommand)]
pub(super) enum SchemaCommand {
    /// Of the configuration (klaxon.yaml)
    Config,
    /// Of test files (*.test.yaml)
    Test,
    /// Of the settings of a rule
    Settings(SettingsArguments),
}

#[derive(Debug, Args)]
pub(super) struct SettingsArguments {
    /// The rule's folder or its module (.wasm)
    #[arg(value_name = "RULE")]
    rule: PathBuf,
    #[command(flatten)]
    cache: CacheArguments,
}

pub(super) fn schema(command: &SchemaCommand) -> Exit {
    match command {
        SchemaCommand::Config => super::print(&pretty(&config::schema())),
        SchemaCommand::Test => super::print(&pretty(&harness::schema())),
        SchemaCommand::Settings(arguments) => match of_settings(arguments) {
            Ok(schema) => super::print(&pretty(&schema)),
            Err(error) => return fail(Exit::CouldNotRun, &error),
        },
    }
    Exit::Success
}

/// Returns the schemas that are written beside a new rule, by file name.
pub(super) fn schemas() -> [(&'static str, String); 2] {
    [
        ("klaxon.schema.json", pretty(&config::schema())),
        ("test.schema.json", pretty(&harness::schema())),
    ]
}

fn of_settings(arguments: &SettingsArguments) -> Result<Value, String> {
    let module = module(&arguments.rule, &mut |_| {})?;
    let sandboxes =
        Sandboxes::start(arguments.cache.directory()).map_err(|error| error.to_string())?;
    let text = RuleUnderTest::describe(&sandboxes, &module)
        .map_err(|error| error.to_string())?
        .settings_schema;
    if text.is_empty() {
        return Ok(serde_json::json!({"type": "object", "additionalProperties": false}));
    }
    serde_json::from_str(&text).map_err(|error| format!("the rule's schema is no JSON: {error}"))
}

fn pretty(schema: &Value) -> String {
    serde_json::to_string_pretty(schema).unwrap_or_default() + "\n"
}
