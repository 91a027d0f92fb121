//! Tests of the choice between the authentication methods.

use serde_json::json;
use tempfile::tempdir;
use wiremock::ResponseTemplate;

use super::support::{
    Granted, api_server, environment, granted, kubeconfig, permission, service_account, vault,
};
use crate::auth::{Failure, How, Method, SignInError, SignedIn, sign_in};
use crate::permissions::Answer;

/// Authenticates with all three methods configured, each with its own token.
async fn among_three(granted: &Granted) -> Result<SignedIn, SignInError> {
    let server = api_server(granted).await;
    let (folder, port) = service_account(&server, "pod").await;
    let files = tempdir().unwrap();
    let kubeconfig = kubeconfig(files.path(), &server.uri(), "file");
    let token = json!({"data": {"token": "vault"}});
    let vault = vault(ResponseTemplate::new(200).set_body_json(token)).await;
    let environment = environment(&[
        ("KUBERNETES_SERVICE_HOST", "127.0.0.1"),
        ("KUBERNETES_SERVICE_PORT", &port.to_string()),
        ("KUBECONFIG", kubeconfig.to_str().unwrap()),
        ("VAULT_ADDR", &vault.uri()),
        ("VAULT_TOKEN", "hvs"),
        ("KUBERNETES_TOKEN_SECRET", "secret"),
        ("KUBERNETES_API_SERVER", &server.uri()),
    ])
    .with_service_account(folder.path());
    let outcome = sign_in(&environment, &[permission("watch", "a"), permission("list", "a")]).await;
    outcome.map_err(|fault| hide_addresses(fault, &server.uri(), port))
}

fn hide_addresses(fault: SignInError, server: &str, port: u16) -> SignInError {
    let SignInError::NoMethod(mut attempts) = fault else { return fault };
    for attempt in &mut attempts {
        if let Failure::Lacking { server: shown, .. } = &mut attempt.failure {
            *shown = shown
                .replace(server, "SERVER")
                .replace(&format!("https://127.0.0.1:{port}"), "CLUSTER");
        }
    }
    SignInError::NoMethod(attempts)
}

#[tokio::test]
async fn the_first_method_with_every_right_is_taken() {
    let all: &[&str] = &["watch", "list"];
    let first = among_three(&granted(&[("pod", all), ("file", all), ("vault", all)])).await;
    let first = first.unwrap();
    assert_eq!(first.how, How::InCluster);
    assert_eq!(first.passed_over, []);

    let last = among_three(&granted(&[("pod", &["watch"]), ("vault", all)])).await.unwrap();
    assert_eq!(last.how, How::Vault);
    let passed: Vec<Method> = last.passed_over.iter().map(|attempt| attempt.method).collect();
    assert_eq!(passed, [Method::InCluster, Method::Kubeconfig]);
    assert_eq!(
        last.passed_over[1].to_string(),
        "kubeconfig: the API server answered 401: Unauthorized; hint: the credential is wrong or \
         has expired, make a new one"
    );
}

#[tokio::test]
async fn without_such_a_one_it_is_the_first_with_some_right() {
    let some = granted(&[("pod", &[]), ("file", &["watch"]), ("vault", &["list"])]);
    let taken = among_three(&some).await.unwrap();
    assert_eq!(taken.how, How::Kubeconfig { context: "c".to_owned() });
    let missing: Vec<String> =
        taken.missing().map(|(permission, _)| permission.to_string()).collect();
    assert_eq!(missing, ["list pods in namespace \"a\""]);
    assert_eq!(taken.reviewed[0].1, Answer::Granted);
    let passed: Vec<Method> = taken.passed_over.iter().map(|attempt| attempt.method).collect();
    assert_eq!(passed, [Method::InCluster, Method::Vault]);
}

#[tokio::test]
async fn without_any_right_every_method_is_told() {
    let none = among_three(&granted(&[("pod", &[]), ("file", &["get"])])).await;
    let expected = "\
there is no way into the cluster
  in cluster: signed in to CLUSTER, where 0 of 2 needed rights are granted; not granted: watch pods in namespace \"a\" (no rule allows it), list pods in namespace \"a\" (no rule allows it); hint: bind a role that allows it
  kubeconfig: signed in to SERVER, where 0 of 2 needed rights are granted; not granted: watch pods in namespace \"a\" (no rule allows it), list pods in namespace \"a\" (no rule allows it); hint: bind a role that allows it
  Vault: the API server answered 401: Unauthorized; hint: the credential is wrong or has expired, make a new one";
    assert_eq!(none.unwrap_err().to_string(), expected);
}

#[tokio::test]
async fn without_any_configuration_it_is_told_what_would_be_one() {
    let expected = "\
there is no way into the cluster
  in cluster: not configured: KUBERNETES_SERVICE_PORT is not set
  kubeconfig: not configured: KUBECONFIG is not set and /nowhere/.kube/config is not there
  Vault: not configured: KUBERNETES_TOKEN_SECRET, VAULT_ADDR and KUBERNETES_API_SERVER are not set
hint: run in a pod that has a service account, or set KUBECONFIG";
    let variables = [
        ("KUBERNETES_SERVICE_HOST", "10.0.0.1"),
        ("HOME", "/nowhere"),
        ("VAULT_ADDR", " "),
        ("VAULT_TOKEN", "hvs"),
    ];
    let fault = sign_in(&environment(&variables), &[]).await.unwrap_err();
    assert_eq!(fault.to_string(), expected);
}

#[tokio::test]
async fn rights_that_the_cluster_does_not_tell_are_better_than_none() {
    let status = json!({"kind": "Status", "code": 403, "message": "forbidden"});
    let server = vault(ResponseTemplate::new(403).set_body_json(status)).await;
    let files = tempdir().unwrap();
    let path = kubeconfig(files.path(), &server.uri(), "t");
    let environment = environment(&[]).with_kubeconfig(path, None);
    let taken = sign_in(&environment, &[permission("watch", "a")]).await.unwrap();
    assert!(matches!(taken.reviewed[0].1, Answer::Unknown { .. }));
}

#[tokio::test]
async fn where_nothing_is_needed_the_credential_is_tried_all_the_same() {
    let files = tempdir().unwrap();
    let server = api_server(&granted(&[("good", &[])])).await;
    let path = kubeconfig(files.path(), &server.uri(), "good");
    let environment = environment(&[]).with_kubeconfig(path, None);
    assert!(sign_in(&environment, &[]).await.is_ok());
    kubeconfig(files.path(), &server.uri(), "bad");
    assert!(sign_in(&environment, &[]).await.is_err());
}
