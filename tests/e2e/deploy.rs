//! Tests of the manifests in `deploy`: a real API server accepts them, and with restricted pods.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::objects::must;
use crate::plane::{Part, Plane};
use crate::support::root;

#[tokio::test(flavor = "multi_thread")]
async fn examples_are_accepted_as_restricted_pods() {
    let plane = Plane::start(&[Part::Etcd, Part::ApiServer]).await;
    let client = plane.client().await;
    let restricted = ["enforce", "warn"]
        .map(|mode| (format!("pod-security.kubernetes.io/{mode}"), "restricted".to_owned()));
    let labels: serde_json::Map<_, _> =
        restricted.into_iter().map(|(key, value)| (key, value.into())).collect();
    let namespace = json!({"metadata": {"name": "restricted", "labels": labels}});
    must(&client, "POST", "/api/v1/namespaces", namespace).await;
    let folder = root().join("deploy/examples");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        let (accepted, text) = dry_run(&plane, &file);
        assert!(accepted && !text.contains("Warning"), "{}: {text}", file.display());
    }
}

/// Applies a file without effect: the server validates, admits and converts its objects.
fn dry_run(plane: &Plane, file: &Path) -> (bool, String) {
    let bin = std::env::var_os("KLAXON_CONTROL_PLANE").unwrap();
    let output = Command::new(Path::new(&bin).join("kubectl"))
        .args(["--namespace", "restricted", "apply", "--dry-run=server", "--validate=strict"])
        .arg("--kubeconfig")
        .arg(plane.kubeconfig())
        .arg("--filename")
        .arg(file)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}
