//! `klaxon config`: checks a configuration before it is run, and prints the roles that it needs.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};
use serde_json::json;

use super::exit::fail;
use super::{CacheArguments, Exit, OutputFormat};
use crate::assembly::{AssembleError, check_policies, check_rule};
use klaxon_config::{Config, Rule, warnings};
use klaxon_engine::{LoadErrorKind, Options};
use klaxon_model::RuleInfo;
use klaxon_yaml::{Document, FileError, FileErrors, Found};

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Check everything that `klaxon run` checks before it starts: the file, and each rule in it
    Check(CheckArguments),
    /// Print the service account and the least roles that a configuration needs, for `kubectl apply -f -`
    ///
    /// The namespace of the account must exist.
    Rbac(RbacArguments),
}

/// The account that the roles are bound to.
#[derive(Debug, Args)]
pub(super) struct RbacArguments {
    /// The configuration
    #[arg(long, value_name = "FILE", default_value = "klaxon.yaml")]
    config: PathBuf,
    /// The service account that Klaxon runs as
    #[arg(long, value_name = "NAME", default_value = "klaxon")]
    account: String,
    /// Its namespace
    #[arg(long, value_name = "NAME", default_value = "klaxon")]
    namespace: String,
    #[command(flatten)]
    cache: CacheArguments,
}

#[derive(Debug, Args)]
pub(super) struct CheckArguments {
    /// The configuration
    #[arg(long, value_name = "FILE", default_value = "klaxon.yaml")]
    config: PathBuf,
    /// Also authenticate with the cluster, and ask for every permission that is needed
    #[arg(long)]
    cluster: bool,
    /// Format of the problems, on stdout
    #[arg(long, value_enum, default_value_t)]
    output: OutputFormat,
    #[command(flatten)]
    cache: CacheArguments,
}

pub(super) fn config(command: ConfigCommand) -> Exit {
    match command {
        ConfigCommand::Check(arguments) => check(&arguments),
        ConfigCommand::Rbac(arguments) => rbac(&arguments),
    }
}

fn rbac(arguments: &RbacArguments) -> Exit {
    let RbacArguments { config, account, namespace, cache } = arguments;
    let role = Config::read_without_targets(config)
        .map_err(|errors| errors.to_string())
        .and_then(|config| super::cluster::role(&config, cache, account, namespace));
    match role {
        Ok(role) => {
            super::print(&role);
            Exit::Success
        }
        Err(why) => fail(Exit::CouldNotRun, &why),
    }
}

fn permissions(arguments: &CheckArguments) -> Exit {
    let asked = Config::read(&arguments.config)
        .map_err(|errors| errors.to_string())
        .and_then(|config| super::cluster::check(&config, &arguments.cache, arguments.output));
    match asked {
        Ok((table, is_whole)) => {
            super::print(&table);
            if is_whole { Exit::Success } else { Exit::Failure }
        }
        Err(why) => fail(Exit::Failure, &why),
    }
}

fn check(arguments: &CheckArguments) -> Exit {
    let path = &arguments.config;
    if let Err(error) = std::fs::metadata(path) {
        let why = format!("{}: {error}; hint: name the file with --config", path.display());
        return fail(Exit::CouldNotRun, &why);
    }
    let checked = Config::read(path).and_then(|config| {
        let found = rules(&config, &arguments.cache);
        let document = Document::read(path)?;
        document.errors(path, found).map_or(Ok(config), Err)
    });
    match checked {
        Ok(_) if arguments.cluster => permissions(arguments),
        Ok(config) => {
            let (rules, warnings) = (config.rules.len(), warnings(&config));
            match arguments.output {
                OutputFormat::Text => {
                    let path = path.display();
                    for warning in &warnings {
                        super::print(&format!("{path}: warning: {warning}\n"));
                    }
                    let found = match warnings.len() {
                        0 => "no problem found".to_owned(),
                        1 => "1 warning".to_owned(),
                        some => format!("{some} warnings"),
                    };
                    let noun = if rules == 1 { "rule" } else { "rules" };
                    super::print(&format!("{path}: {found}, {rules} {noun} loaded\n"));
                }
                OutputFormat::Json => {
                    super::print(&format!("{}\n", json!({"problems": [], "warnings": warnings})));
                }
            }
            Exit::Success
        }
        Err(errors) => {
            print(&errors, arguments.output);
            Exit::Failure
        }
    }
}

fn print(errors: &FileErrors, output: OutputFormat) {
    match output {
        OutputFormat::Text => super::print(&format!("{errors}\n")),
        OutputFormat::Json => {
            let problems = errors.errors.iter().map(|error| {
                let FileError { line, path, message } = error;
                json!({"file": errors.file, "line": line, "path": path, "message": message})
            });
            super::print(&format!("{}\n", json!({"problems": problems.collect::<Vec<_>>()})));
        }
    }
}

/// Returns the errors of rules and targets, with their pointers into the file.
fn rules(config: &Config, cache: &CacheArguments) -> Found {
    let mut found = Found::new();
    let mut loaded = Vec::new();
    for (index, rule) in config.rules.iter().enumerate() {
        match load(rule, cache) {
            Ok(info) => loaded.push(info),
            Err((part, why)) => found.push((format!("/rules/{index}{part}"), why)),
        }
    }
    // The codes of all rules are known only if all rules can be loaded.
    if found.is_empty()
        && let Err(error) = check_policies(&config.rules, &loaded)
    {
        let index = config.rules.iter().position(|rule| rule.name == error.rule).unwrap_or(0);
        found.push((format!("/rules/{index}/policy/inhibited_by"), error.to_string()));
    }
    found.extend(targets(config));
    found
}

/// Returns the errors of targets that only appear when the targets are prepared for deliveries.
fn targets(config: &Config) -> Found {
    let targets = config.targets.iter().filter_map(|(name, target)| {
        let why = klaxon_targets::Endpoint::new(name, target).err()?;
        Some((format!("/targets/{}", klaxon_yaml::escape(name)), why))
    });
    targets.collect()
}

/// Loads a rule as `run` does. On failure, returns the pointer to the responsible part of its entry, and the reason.
fn load(rule: &Rule, cache: &CacheArguments) -> Result<Arc<RuleInfo>, (String, String)> {
    let options = Options { cache: cache.directory(), ..Options::default() };
    match check_rule(rule, options) {
        Ok(info) => Ok(info),
        Err(AssembleError::Load(error)) => Err(match &error.what {
            LoadErrorKind::Settings(pointer, why) => (format!("/settings{pointer}"), why.clone()),
            LoadErrorKind::NotGranted(_) => ("/grants".to_owned(), error.what.to_string()),
            what => ("/module".to_owned(), format!("{}: {what}", rule.module.display())),
        }),
        Err(AssembleError::Interest { source, .. }) => {
            Err(("/interests".to_owned(), source.to_string()))
        }
        Err(error) => Err(("/module".to_owned(), error.to_string())),
    }
}
