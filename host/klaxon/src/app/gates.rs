//! The HTTP interfaces of gates.

use std::collections::BTreeMap;

use klaxon_config::{Target, TargetKind};
use klaxon_gate::{DownStatus, GateFile};
use klaxon_http_server::Server;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::RunError;

/// Checks the files of all gates, and serves those with an address until `ended` is cancelled.
///
/// # Errors
/// If a gate's file cannot be used, or its address is not free.
pub(super) async fn serve(
    targets: &BTreeMap<String, Target>,
    ended: &CancellationToken,
) -> Result<(), RunError> {
    for (name, target) in targets {
        let TargetKind::Gate(gate) = &target.kind else { continue };
        let fail = |why: String| RunError::Target { name: name.clone(), why };
        let file = GateFile::check(&gate.file).map_err(|error| fail(error.to_string()))?;
        let Some(listen) = &gate.listen else { continue };
        let server = Server::bind(listen).await.map_err(|error| {
            fail(format!("it cannot listen at {listen}: {error}; hint: choose another `listen`"))
        })?;
        info!(target = name, address = %server.address(), "gate ready");
        let down = DownStatus::new(gate.readme_status);
        tokio::spawn(klaxon_gate::serve(server, file, down, ended.clone().cancelled_owned()));
    }
    Ok(())
}
