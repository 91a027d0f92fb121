//! Tests of the authentication in a pod, over TLS.

use std::fs;
use std::path::Path;

use super::support::{api_server, environment, granted, permission, service_account};
use crate::auth::{Environment, How, sign_in};
use crate::permissions::review;

fn of_port(port: u16) -> Environment {
    let port = port.to_string();
    environment(&[("KUBERNETES_SERVICE_HOST", "127.0.0.1"), ("KUBERNETES_SERVICE_PORT", &port)])
}

#[tokio::test]
async fn the_service_account_signs_in_and_trusts_its_own_authority() {
    let granted = granted(&[("first", &["watch"])]);
    let server = api_server(&granted).await;
    let (folder, port) = service_account(&server, "first").await;
    let environment = of_port(port).with_service_account(folder.path());
    let signed_in = sign_in(&environment, &[permission("watch", "a")]).await.unwrap();
    assert_eq!(signed_in.how, How::InCluster);
    assert_eq!(signed_in.server, format!("https://127.0.0.1:{port}"));
    assert_eq!(signed_in.default_namespace, "monitoring");
    assert_eq!(signed_in.missing().count(), 0);
    assert!(!format!("{signed_in:?} {environment:?}").contains("first"));
    let agent = server.received_requests().await.unwrap()[0].headers["user-agent"].clone();
    assert_eq!(agent, concat!("klaxon/", env!("CARGO_PKG_VERSION")));
}

#[tokio::test]
async fn a_token_that_rotated_is_used_after_renewal() {
    let granted = granted(&[("first", &["watch"])]);
    let server = api_server(&granted).await;
    let (folder, port) = service_account(&server, "first").await;
    let environment = of_port(port).with_service_account(folder.path());
    let needs = [permission("watch", "a")];
    let signed_in = sign_in(&environment, &needs).await.unwrap();
    granted.lock().unwrap().clear();
    granted.lock().unwrap().insert("second".to_owned(), vec!["watch"]);
    fs::write(folder.path().join("token"), "second").unwrap();
    assert!(review(&signed_in.client, &needs).await.is_err());
    let renewed = signed_in.renew().await.unwrap();
    assert!(review(&renewed, &needs).await.is_ok());

    fs::remove_file(folder.path().join("token")).unwrap();
    let text = signed_in.renew().await.err().unwrap().to_string();
    let folder = folder.path().display();
    assert_eq!(
        text,
        format!(
            "the credential cannot be renewed (in cluster): {folder}/token cannot be read: No such \
             file or directory (os error 2); hint: give the pod a service account and \
             automountServiceAccountToken"
        )
    );
}

#[tokio::test]
async fn a_pod_without_usable_files_is_told_which() {
    let failure = async |change: fn(&Path)| {
        let server = api_server(&granted(&[])).await;
        let (folder, port) = service_account(&server, "secret").await;
        change(folder.path());
        let environment = of_port(port).with_service_account(folder.path());
        let text = sign_in(&environment, &[]).await.unwrap_err().to_string();
        let text = text.lines().nth(1).unwrap().to_owned();
        text.replace(&folder.path().display().to_string(), "FOLDER")
    };
    assert_eq!(
        failure(|folder| fs::write(folder.join("ca.crt"), "no certificate").unwrap()).await,
        "  in cluster: FOLDER/ca.crt holds no certificate in PEM"
    );
    assert_eq!(
        failure(|folder| fs::write(folder.join("token"), "\n").unwrap()).await,
        "  in cluster: FOLDER/token is empty"
    );
    assert_eq!(
        failure(|folder| fs::write(folder.join("token"), "secret\n").unwrap()).await,
        "  in cluster: the token has characters that none may have; hint: look for a line break in \
         it"
    );
    assert_eq!(
        failure(|_| {}).await,
        "  in cluster: the API server answered 401: Unauthorized; hint: the credential is wrong or \
         has expired, make a new one"
    );
}

#[tokio::test]
async fn a_server_that_the_authority_does_not_prove_is_not_spoken_to() {
    let server = api_server(&granted(&[("secret", &["watch"])])).await;
    let (_, port) = service_account(&server, "secret").await;
    let (other, _) = service_account(&server, "secret").await;
    let environment = of_port(port).with_service_account(other.path());
    let text = sign_in(&environment, &[permission("watch", "a")]).await.unwrap_err().to_string();
    let line = text.lines().nth(1).unwrap();
    assert!(line.contains("the API server cannot be reached: "), "{line}");
    assert!(line.contains("certificate"), "{line}");
    assert_eq!(server.received_requests().await.unwrap().len(), 0);
}

#[tokio::test]
async fn a_port_that_is_none_is_named() {
    let environment =
        environment(&[("KUBERNETES_SERVICE_HOST", "::1"), ("KUBERNETES_SERVICE_PORT", "tcp")]);
    let text = sign_in(&environment, &[]).await.unwrap_err().to_string();
    assert_eq!(
        text.lines().nth(1).unwrap(),
        "  in cluster: KUBERNETES_SERVICE_PORT is \"tcp\", and that is no port"
    );
}
