//! Tests of the authentication with a token from Vault.

use serde_json::json;
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::support::{api_server, environment, granted, permission, vault};
use crate::auth::{Environment, How, sign_in};
use crate::permissions::review;

const TOKEN: &str = "hvs.s3cret";

fn of(vault: &str, server: &str) -> Environment {
    environment(&[
        ("VAULT_ADDR", vault),
        ("VAULT_TOKEN", TOKEN),
        ("KUBERNETES_TOKEN_SECRET", "/secret/data/klaxon"),
        ("KUBERNETES_API_SERVER", server),
    ])
}

/// Returns the line of the error about Vault, without Vault's address.
async fn failure(answer: ResponseTemplate) -> String {
    let vault = vault(answer).await;
    let fault = sign_in(&of(&vault.uri(), "kubernetes:6443"), &[]).await.unwrap_err();
    fault.to_string().lines().nth(3).unwrap().replace(&vault.uri(), "VAULT")
}

#[tokio::test]
async fn both_versions_of_the_engine_give_the_token() {
    let server = api_server(&granted(&[("t0ken", &["watch"])])).await;
    let second = json!({"data": {"data": {"token": "t0ken\n"}, "metadata": {"version": 3}}});
    for body in [json!({"data": {"token": "t0ken"}}), second] {
        let vault = MockServer::start().await;
        Mock::given(method("GET"))
            .and(path("/v1/secret/data/klaxon"))
            .and(header("X-Vault-Token", TOKEN))
            .respond_with(ResponseTemplate::new(200).set_body_json(body))
            .mount(&vault)
            .await;
        let environment = of(&format!("{}/", vault.uri()), &server.uri());
        let signed_in = sign_in(&environment, &[permission("watch", "a")]).await.unwrap();
        assert_eq!(signed_in.how, How::Vault);
        assert_eq!(signed_in.server, server.uri());
        let shown = format!("{signed_in:?} {environment:?}");
        assert!(!shown.contains("t0ken") && !shown.contains(TOKEN), "{shown}");
    }
}

#[tokio::test]
async fn the_token_is_read_again_at_renewal() {
    let granted = granted(&[("first", &["watch"])]);
    let server = api_server(&granted).await;
    let vault = MockServer::start().await;
    let token =
        |token: &str| ResponseTemplate::new(200).set_body_json(json!({"data": {"token": token}}));
    Mock::given(method("GET")).respond_with(token("first")).up_to_n_times(1).mount(&vault).await;
    Mock::given(method("GET")).respond_with(token("second")).mount(&vault).await;
    let needs = [permission("watch", "a")];
    let signed_in = sign_in(&of(&vault.uri(), &server.uri()), &needs).await.unwrap();
    granted.lock().unwrap().clear();
    granted.lock().unwrap().insert("second".to_owned(), vec!["watch"]);
    assert!(review(&signed_in.client, &needs).await.is_err());
    assert!(review(&signed_in.renew().await.unwrap(), &needs).await.is_ok());
}

#[tokio::test]
async fn a_standby_sends_on_to_its_leader_once() {
    let server = api_server(&granted(&[("t0ken", &["watch"])])).await;
    let leader = MockServer::start().await;
    let body = json!({"data": {"token": "t0ken"}});
    Mock::given(header("X-Vault-Token", TOKEN))
        .respond_with(ResponseTemplate::new(200).set_body_json(body))
        .mount(&leader)
        .await;
    let on = |to: &MockServer| {
        let to = format!("{}/v1/secret/data/klaxon", to.uri());
        ResponseTemplate::new(307).insert_header("Location", to)
    };
    let standby = vault(on(&leader)).await;
    let needs = [permission("watch", "a")];
    assert!(sign_in(&of(&standby.uri(), &server.uri()), &needs).await.is_ok());

    let lost = vault(on(&standby)).await;
    let fault = sign_in(&of(&lost.uri(), &server.uri()), &needs).await.unwrap_err();
    assert_eq!(
        fault.to_string().lines().nth(3).unwrap(),
        format!(
            "  Vault: Vault at {} answered 307 for \"secret/data/klaxon\"; hint: set VAULT_ADDR to \
             the address of its leader",
            lost.uri()
        )
    );
}

#[tokio::test]
async fn what_vault_refuses_is_told_without_the_token() {
    let refused =
        |status, why: &str| ResponseTemplate::new(status).set_body_json(json!({"errors": [why]}));
    assert_eq!(
        failure(refused(403, &format!("permission denied for {TOKEN}"))).await,
        "  Vault: Vault at VAULT answered 403 for \"secret/data/klaxon\": permission denied for …; \
         hint: check VAULT_TOKEN and its policies"
    );
    assert_eq!(
        failure(ResponseTemplate::new(404)).await,
        "  Vault: Vault at VAULT answered 404 for \"secret/data/klaxon\"; hint: check \
         KUBERNETES_TOKEN_SECRET (with version 2 of the key-value engine it is written \
         MOUNT/data/NAME)"
    );
    assert_eq!(
        failure(refused(503, "Vault is sealed")).await,
        "  Vault: Vault at VAULT answered 503 for \"secret/data/klaxon\": Vault is sealed"
    );
    let body = json!({"data": {"data": {"tokens": "t0ken"}}});
    assert_eq!(
        failure(ResponseTemplate::new(200).set_body_json(body)).await,
        "  Vault: the secret \"secret/data/klaxon\" in Vault has no field `token` that is a text; \
         hint: write one, or correct KUBERNETES_TOKEN_SECRET"
    );
}

#[tokio::test]
async fn addresses_that_are_none_and_servers_that_are_not_there_are_told() {
    let line = async |vault: &str, server: &str| {
        let fault = sign_in(&of(vault, server), &[]).await.unwrap_err();
        fault.to_string().lines().nth(3).unwrap().to_owned()
    };
    assert_eq!(
        line("http://me:pass@127.0.0.1:1", "kubernetes").await,
        "  Vault: Vault at http://127.0.0.1:1 cannot be reached: error sending request: client \
         error (Connect): tcp connect error: Connection refused (os error 111); hint: check \
         VAULT_ADDR"
    );
    assert_eq!(
        line("ftp://vault", "kubernetes").await,
        "  Vault: VAULT_ADDR is no address of a server; hint: write it as https://HOST:PORT"
    );
    assert_eq!(
        line("https://vault", "https://").await,
        "  Vault: KUBERNETES_API_SERVER is no address of a server; hint: write it as \
         https://HOST:PORT"
    );
}
