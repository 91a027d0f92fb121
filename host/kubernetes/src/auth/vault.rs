//! Authentication with a service account's token that Vault stores in the field `token` of a secret.

use std::time::Duration;

use kube::Config;
use reqwest::header::HeaderValue;
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};
use serde_json::Value;
use url::Url;

use super::client::{Connection, connect};
use super::environment::{Hidden, not_set};
use super::{Environment, Failure, How, address};
use crate::error::shorten;
use klaxon_telemetry::with_causes;

/// The maximum number of bytes that are read of a response; secrets are small.
const MOST_BODY: usize = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Clone)]
pub(super) struct Vault {
    secret: String,
    address: String,
    token: Hidden,
    server: String,
}

impl Vault {
    pub(super) fn of(environment: &Environment) -> Result<Self, Failure> {
        let secret = environment.token_secret.clone();
        let address = environment.vault_address.clone();
        let token = environment.vault_token.clone();
        let server = environment.api_server.clone();
        let missing: Vec<&str> = [
            (secret.is_none(), "KUBERNETES_TOKEN_SECRET"),
            (address.is_none(), "VAULT_ADDR"),
            (token.is_none(), "VAULT_TOKEN"),
            (server.is_none(), "KUBERNETES_API_SERVER"),
        ]
        .iter()
        .filter_map(|(is_missing, name)| is_missing.then_some(*name))
        .collect();
        match (secret, address, token, server) {
            (Some(secret), Some(address), Some(token), Some(server)) => {
                let secret = secret.trim_matches('/').to_owned();
                Ok(Self { secret, address, token, server })
            }
            _ => Err(Failure::NotConfigured(not_set(&missing))),
        }
    }

    pub(super) async fn connect(&self) -> Result<Connection, Failure> {
        let server =
            address::read("KUBERNETES_API_SERVER", &self.server).map_err(Failure::Unusable)?;
        let token = self.read().await.map_err(Failure::Unusable)?;
        connect(move || {
            let server = server
                .as_str()
                .parse()
                .map_err(|_| "KUBERNETES_API_SERVER is no address of a server".to_owned())?;
            let mut config = Config::new(server);
            config.auth_info.token = Some(token.0.into());
            Ok((config, How::Vault))
        })
        .await
    }

    /// Reads the token from the secret.
    async fn read(&self) -> Result<Hidden, String> {
        let base = address::read("VAULT_ADDR", &self.address)?;
        let shown = address::shown(base.as_str());
        let url = format!("{}/v1/{}", base.as_str().trim_end_matches('/'), self.secret);
        let url = Url::parse(&url).map_err(|_| {
            format!("KUBERNETES_TOKEN_SECRET is no path of a secret: {:?}", self.secret)
        })?;
        let mut token = HeaderValue::from_str(&self.token.0)
            .map_err(|_| "VAULT_TOKEN has characters that no token has".to_owned())?;
        token.set_sensitive(true);
        let request = client()?.get(url).header("X-Vault-Token", token);
        // The address may hold a password, so the error is formatted without it.
        let response = request.send().await.map_err(|error| {
            let why = with_causes(&error.without_url());
            format!("Vault at {shown} cannot be reached: {why}; hint: check VAULT_ADDR")
        })?;
        let status = response.status();
        let body: Option<Value> = serde_json::from_slice(&body(response).await).ok();
        if !status.is_success() {
            return Err(self.refusal(&shown, status, body.as_ref()));
        }
        token_of(body.as_ref()).map(Hidden).ok_or_else(|| {
            format!(
                "the secret {:?} in Vault has no field `token` that is a text; hint: write one, \
                 or correct KUBERNETES_TOKEN_SECRET",
                self.secret
            )
        })
    }

    fn refusal(&self, shown: &str, status: StatusCode, body: Option<&Value>) -> String {
        let said = body.and_then(|body| body["errors"][0].as_str()).unwrap_or_default();
        // Vault should never repeat the token; if it does, the token is removed from the error.
        let said = shorten(said).replace(&self.token.0, "…");
        let said = if said.is_empty() { said } else { format!(": {said}") };
        let hint = match status {
            StatusCode::FORBIDDEN => "; hint: check VAULT_TOKEN and its policies",
            StatusCode::NOT_FOUND => {
                "; hint: check KUBERNETES_TOKEN_SECRET (with version 2 of the key-value engine it \
                 is written MOUNT/data/NAME)"
            }
            _ if status.is_redirection() => "; hint: set VAULT_ADDR to the address of its leader",
            _ => "",
        };
        let status = status.as_u16();
        format!("Vault at {shown} answered {status} for {:?}{said}{hint}", self.secret)
    }
}

/// Returns the field `token` of an answer of the key-value engine, version 1 or 2.
fn token_of(body: Option<&Value>) -> Option<String> {
    let data = body?.get("data")?;
    let token = data["token"].as_str().or_else(|| data["data"]["token"].as_str())?;
    Some(token.trim().to_owned()).filter(|token| !token.is_empty())
}

fn client() -> Result<Client, String> {
    Client::builder()
        .no_proxy()
        .connect_timeout(PATIENCE)
        .timeout(PATIENCE)
        // A Vault standby may redirect to its leader. One redirect is followed, and never from https to http, since
        // the request carries the token.
        .redirect(Policy::custom(|attempt| {
            let is_first = attempt.previous().len() == 1;
            let was_https = attempt.previous().iter().any(|url| url.scheme() == "https");
            if is_first && (!was_https || attempt.url().scheme() == "https") {
                attempt.follow()
            } else {
                attempt.stop()
            }
        }))
        .build()
        .map_err(|error| format!("the client for Vault cannot be made: {}", with_causes(&error)))
}

async fn body(mut response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    while body.len() < MOST_BODY {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) | Err(_) => break,
        }
    }
    body
}
