//! Operations on etcd: compaction, snapshots, and restoring one.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::{Part, Plane};

impl Plane {
    /// Compacts etcd at its present revision. The API server still answers from its watch cache: 410 Gone comes
    /// only after a restart, or with `--watch-cache=false`.
    pub(crate) async fn compact(&self) {
        let status = self.etcdctl(&["endpoint", "status", "--write-out=json"]);
        let status: Value = serde_json::from_str(&status).expect("etcdctl writes JSON");
        let revision = status.pointer("/0/Status/header/revision").and_then(Value::as_u64);
        let revision = revision.expect("the status has a revision").to_string();
        self.etcdctl(&["compact", &revision]);
    }

    /// Saves a snapshot of everything in etcd, for [`Plane::restore_etcd`].
    pub(crate) fn save_etcd(&self) -> PathBuf {
        let snapshot = (1..).map(|n| self.folder.path().join(format!("etcd-{n}.snapshot")));
        let snapshot = snapshot.into_iter().find(|path| !path.exists()).expect("a free name");
        self.etcdctl(&["snapshot", "save", &snapshot.to_string_lossy()]);
        snapshot
    }

    /// Restores etcd from a snapshot: revisions go back with it, or ahead by `bump`, as in etcd's guide for
    /// Kubernetes. The parts other than etcd and the API server keep running.
    pub(crate) async fn restore_etcd(&mut self, snapshot: &Path, bump: Option<u64>) {
        self.kill(Part::ApiServer);
        self.kill(Part::Etcd);
        std::fs::remove_dir_all(self.site.etcd_data()).expect("etcd has written its folder");
        run(self.site.etcd_restore(snapshot, bump));
        self.restart(Part::Etcd).await;
        self.restart(Part::ApiServer).await;
    }

    fn etcdctl(&self, arguments: &[&str]) -> String {
        let mut command = self.site.etcdctl();
        command.args(arguments);
        run(command)
    }
}

/// Runs a command to its end, and returns its standard output.
fn run(mut command: Command) -> String {
    let output = command.output().unwrap_or_else(|fault| panic!("{command:?}: {fault}"));
    let fault = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed ({}):\n{fault}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}
