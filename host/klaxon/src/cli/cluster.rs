//! The permissions that a configuration needs of its cluster: reviewed, or printed as roles.

use serde_json::json;

use super::{CacheArguments, OutputFormat};
use crate::app::{extra_permissions, needed_permissions, served_permissions, signed_in};
use crate::assembly::assemble;
use klaxon_config::{Config, Kubernetes, SourceKind};
use klaxon_core::route::Need;
use klaxon_core::verdict::Targets;
use klaxon_engine::Options;
use klaxon_kubernetes::permissions::{self, Answer};
use klaxon_kubernetes::rbac;
use klaxon_model::Origin;

/// Returns the configured cluster and the watches that its rules need.
fn needs(config: &Config, cache: &CacheArguments) -> Result<(Kubernetes, Vec<Need>), String> {
    let settings = config.sources.iter().find_map(|source| match &source.kind {
        SourceKind::Kubernetes(settings) => Some(settings.clone()),
        SourceKind::Replay(_) => None,
    });
    let settings = settings.ok_or_else(|| {
        format!(
            "{}: no source is a cluster; hint: write `sources: [{{name: cluster, kubernetes: {{}}}}]`",
            config.path.display()
        )
    })?;
    let options = Options { cache: cache.directory(), ..Options::default() };
    let origin = Origin { cluster: config.cluster.clone(), source: "check".to_owned() };
    let pipeline = assemble(&config.rules, Targets::Any, origin, options)
        .map_err(|error| error.to_string())?;
    Ok((settings, pipeline.needs()))
}

/// Returns the smallest Role and ClusterRole for a configuration, bound to a service account.
pub(super) fn role(
    config: &Config,
    cache: &CacheArguments,
    account: &str,
    namespace: &str,
) -> Result<String, String> {
    let (settings, needs) = needs(config, cache)?;
    let mut permissions = needed_permissions(&needs, &settings);
    permissions.extend(extra_permissions(&settings, namespace, &config.cluster));
    Ok(rbac::manifest(&permissions, account, namespace))
}

/// Reviews every permission that the configuration needs. Returns the table, and `true` if no permission for the
/// watches is missing.
pub(super) fn check(
    config: &Config,
    cache: &CacheArguments,
    output: OutputFormat,
) -> Result<(String, bool), String> {
    let (settings, needs) = needs(config, cache)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let signed = signed_in(&settings, &needed_permissions(&needs, &settings))
            .await
            .map_err(|error| error.to_string())?;
        let (mut needed, absent) = served_permissions(&needs, &settings, &signed.client).await?;
        let watching = needed.len();
        needed.extend(extra_permissions(&settings, &signed.default_namespace, &config.cluster));
        let reviewed = permissions::review(&signed.client, &needed)
            .await
            .map_err(|error| error.to_string())?;
        // The other permissions are optional: without them a lost journal or another cluster is not noticed.
        let (must, _) = reviewed.split_at(watching.min(reviewed.len()));
        let is_whole = must.iter().all(|(_, answer)| *answer == Answer::Granted);
        let text = match output {
            OutputFormat::Text => {
                let mut text = format!("signed in: {} at {}\n\n", signed.how, signed.server);
                text.push_str(&permissions::table(&reviewed));
                for kind in &absent {
                    text.push_str(&format!(
                        "\n{kind} is not served yet: it is watched as soon as it is\n"
                    ));
                }
                if !is_whole {
                    text.push_str("\nhint: apply what `klaxon config rbac` prints\n");
                }
                text
            }
            OutputFormat::Json => {
                let how = signed.how.to_string();
                let permissions = permissions::document(&reviewed);
                let document = json!({"how": how, "server": signed.server, "rights": permissions, "not_served": absent});
                format!("{document}\n")
            }
        };
        Ok((text, is_whole))
    })
}
