//! Tests of the authentication with a kubeconfig.

use std::fs;
use std::path::Path;

use tempfile::tempdir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::support::{api_server, environment, granted, kubeconfig, permission, with_user};
use crate::auth::{How, SignInError, sign_in};
use crate::permissions::review;

/// Authenticates with one kubeconfig only, and returns the error without the folder's name.
async fn failure(path: &Path, context: Option<&str>) -> String {
    let environment = environment(&[]).with_kubeconfig(path, context.map(str::to_owned));
    let fault = sign_in(&environment, &[permission("watch", "a")]).await.unwrap_err();
    let folder = path.parent().unwrap().display().to_string();
    fault.to_string().replace(&folder, "FOLDER")
}

/// Writes a plugin's script. The script is run through a shell: a file that was just written cannot always be
/// executed while other threads start processes.
fn write(folder: &Path, text: &str) -> String {
    let path = folder.join("plugin");
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn exec(command: &str, argument: &str) -> String {
    format!(
        "{{exec: {{apiVersion: client.authentication.k8s.io/v1, command: {command:?}, \
         args: [{argument:?}], env: [{{name: PASS, value: s3cret}}]}}}}"
    )
}

#[tokio::test]
async fn the_current_context_signs_in_and_is_read_again_at_renewal() {
    let granted = granted(&[("first", &["watch"]), ("second", &["watch"])]);
    let server = api_server(&granted).await;
    let folder = tempdir().unwrap();
    let path = kubeconfig(folder.path(), &server.uri(), "first");
    let environment = environment(&[("KUBECONFIG", path.to_str().unwrap())]);
    let needs = [permission("watch", "a")];
    let signed_in = sign_in(&environment, &needs).await.unwrap();
    assert_eq!(signed_in.how, How::Kubeconfig { context: "c".to_owned() });
    assert_eq!(signed_in.how.to_string(), "kubeconfig, context \"c\"");
    assert_eq!(signed_in.server, server.uri());
    assert_eq!(signed_in.default_namespace, "team");

    granted.lock().unwrap().remove("first");
    kubeconfig(folder.path(), &server.uri(), "second");
    assert!(review(&signed_in.client, &needs).await.is_err());
    assert!(review(&signed_in.renew().await.unwrap(), &needs).await.is_ok());
}

#[tokio::test]
async fn files_are_merged_and_home_is_the_last_resort() {
    let server = api_server(&granted(&[("t", &["watch"])])).await;
    let folder = tempdir().unwrap();
    let path = kubeconfig(folder.path(), &server.uri(), "t");
    let missing = folder.path().join("missing");
    let both = format!("{}:{}", missing.display(), path.display());
    let needs = [permission("watch", "a")];
    let merged = sign_in(&environment(&[("KUBECONFIG", &both)]), &needs).await.unwrap();
    assert_eq!(merged.server, server.uri());

    let home = tempdir().unwrap();
    fs::create_dir(home.path().join(".kube")).unwrap();
    kubeconfig(&home.path().join(".kube"), &server.uri(), "t");
    let of_home = environment(&[("HOME", home.path().to_str().unwrap())]);
    assert!(sign_in(&of_home, &needs).await.is_ok());

    let neither = format!("{0}:{0}", missing.display());
    let text = sign_in(&environment(&[("KUBECONFIG", &neither)]), &needs).await.unwrap_err();
    assert_eq!(
        text.to_string().lines().nth(2).unwrap(),
        format!("  kubeconfig: none of the files is there: {0}, {0}", missing.display())
    );
}

#[tokio::test]
async fn a_context_that_is_not_there_is_told_with_those_that_are() {
    let folder = tempdir().unwrap();
    let path = kubeconfig(folder.path(), "http://127.0.0.1:1", "s3cret");
    assert_eq!(
        failure(&path, Some("d")).await,
        "there is no way into the cluster\n  kubeconfig: FOLDER/config has no context \"d\"; hint: \
         use one of its contexts: c"
    );
    let text = fs::read_to_string(&path).unwrap().replace("current-context: c", "");
    fs::write(&path, text).unwrap();
    assert_eq!(
        failure(&path, None).await,
        "there is no way into the cluster\n  kubeconfig: FOLDER/config has no current context; \
         hint: set KUBERNETES_CONTEXT to one of its contexts: c"
    );
    let chosen = environment(&[("KUBERNETES_CONTEXT", "c")]).with_kubeconfig(&path, None);
    let text = sign_in(&chosen, &[permission("watch", "a")]).await.unwrap_err().to_string();
    assert!(text.contains("cannot be reached"), "{text}");
}

#[tokio::test]
async fn a_file_that_is_none_is_told_without_what_it_holds() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("config");
    assert_eq!(
        failure(&path, None).await,
        "there is no way into the cluster\n  kubeconfig: FOLDER/config cannot be read: No such file \
         or directory (os error 2); hint: check the path"
    );
    fs::write(&path, "users:\n- name: u\n  user: s3cret\n").unwrap();
    assert_eq!(
        failure(&path, None).await,
        "there is no way into the cluster\n  kubeconfig: FOLDER/config is no kubeconfig at line 3 \
         column 9; hint: look at it with `kubectl config view`"
    );
}

#[tokio::test]
async fn a_credential_plugin_is_run_and_its_output_is_told_to_nobody() {
    let server = api_server(&granted(&[("t0ken", &["watch"])])).await;
    let folder = tempdir().unwrap();
    let credential = r#"{"kind":"ExecCredential","status":{"token":"t0ken"}}"#;
    let script = write(folder.path(), &format!("echo '{credential}'"));
    let path = with_user(folder.path(), &server.uri(), &exec("/bin/sh", &script));
    let environment = environment(&[]).with_kubeconfig(&path, None);
    assert!(sign_in(&environment, &[permission("watch", "a")]).await.is_ok());

    write(folder.path(), &format!("echo '{credential}'; echo s3cret >&2; exit 3"));
    assert_eq!(
        failure(&path, None).await,
        "there is no way into the cluster\n  kubeconfig: the credential plugin failed with exit \
         status: 3; hint: run it by hand, as the kubeconfig writes it"
    );
    write(folder.path(), "echo '{s3cret'");
    assert_eq!(
        failure(&path, None).await,
        "there is no way into the cluster\n  kubeconfig: the credential cannot be used or was not \
         given by its plugin; hint: run it by hand, as the kubeconfig writes it"
    );
    let path = with_user(folder.path(), &server.uri(), &exec("/nowhere/plugin", "s3cret"));
    assert_eq!(
        failure(&path, None).await,
        "there is no way into the cluster\n  kubeconfig: the credential plugin cannot be started: \
         No such file or directory (os error 2); hint: run it by hand, as the kubeconfig writes it"
    );
}

#[tokio::test]
async fn a_plugin_that_hangs_does_not_hold_up_for_long() {
    let folder = tempdir().unwrap();
    let script = write(folder.path(), "exec sleep 2");
    let path = with_user(folder.path(), "http://127.0.0.1:1", &exec("/bin/sh", &script));
    let environment = environment(&[])
        .with_kubeconfig(&path, None)
        .with_patience(std::time::Duration::from_millis(300));
    let fault = sign_in(&environment, &[]).await.unwrap_err();
    assert!(matches!(fault, SignInError::NoMethod(_)));
    assert_eq!(
        fault.to_string(),
        "there is no way into the cluster\n  kubeconfig: no outcome within 300ms; hint: check the \
         address and the network"
    );
}

#[tokio::test]
async fn the_proxy_of_the_file_is_used_and_its_password_is_told_to_nobody() {
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = proxy.local_addr().unwrap().port();
    let folder = tempdir().unwrap();
    let path = kubeconfig(folder.path(), "https://cluster.invalid:6443", "t0ken");
    let url = format!("proxy-url: \"http://me:s3cret@127.0.0.1:{port}\"");
    let text = fs::read_to_string(&path).unwrap().replace("cluster: {", "cluster: {proxy-url, ");
    fs::write(&path, text.replace("proxy-url", &url)).unwrap();
    let asked = tokio::spawn(async move {
        let (mut stream, _) = proxy.accept().await.unwrap();
        let mut asked = [0; 1024];
        let length = stream.read(&mut asked).await.unwrap();
        stream.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n").await.unwrap();
        String::from_utf8_lossy(&asked[..length]).into_owned()
    });
    assert_eq!(
        failure(&path, None).await,
        "there is no way into the cluster\n  kubeconfig: the API server cannot be reached: client \
         error (Connect): tunnel error: unsuccessful; hint: check the address and the network"
    );
    assert!(asked.await.unwrap().starts_with("CONNECT cluster.invalid:6443 HTTP/1.1\r\n"));
}
