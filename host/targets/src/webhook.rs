//! HTTP receivers: one POST per attempt, signed, without redirects or proxies.

use std::sync::Arc;
use std::time::Duration;

use jiff::fmt::rfc2822;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT};
use reqwest::{Certificate, Client, ClientBuilder, Identity, Response, StatusCode, redirect};
use serde::Serialize;
use url::Url;

use super::address::{Allowed, Resolver};
use super::mask::Mask;
use super::sign::signature;
use super::{Attempt, Blame, Delivery, Trouble};
use klaxon_config::{self as config, Format};
use klaxon_model::{Id, Timestamp, Verdict, clock};
use klaxon_telemetry::with_causes;

/// The most bytes of a response that are read.
const MOST_RESPONSE: usize = 64 << 10;
/// The most bytes of a response that are stored.
const MOST_KEPT: usize = 1 << 10;
/// The longest pause that a receiver can ask for at once: equal to the longest wait between attempts of one
/// delivery.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(300);

/// A receiver, ready to be sent to.
pub(super) struct Webhook {
    client: Client,
    url: Url,
    settings: config::Webhook,
    headers: HeaderMap,
    allowed: Allowed,
    mask: Mask,
}

/// A CloudEvents 1.0 event in structured mode ("JSON Event Format").
#[derive(Serialize)]
struct CloudEvent<'a> {
    specversion: &'static str,
    id: Id,
    source: String,
    r#type: String,
    subject: &'a str,
    time: Timestamp,
    datacontenttype: &'static str,
    data: &'a Verdict,
}

/// Renders a verdict as a request body.
pub(super) fn body(format: Format, verdict: &Verdict) -> Result<Vec<u8>, serde_json::Error> {
    match format {
        Format::Payload => Ok(verdict.payload.get().as_bytes().to_vec()),
        Format::CloudEvents => serde_json::to_vec(&CloudEvent {
            specversion: "1.0",
            id: verdict.id,
            source: format!("/klaxon/{}/{}", verdict.cluster, verdict.rule),
            r#type: format!("dev.klaxon.verdict.{}", verdict.code),
            subject: &verdict.key,
            time: verdict.time,
            datacontenttype: "application/json",
            data: verdict,
        }),
    }
}

impl Webhook {
    pub(super) fn new(settings: &config::Webhook) -> Result<Self, String> {
        let url = Url::parse(&settings.url).map_err(|error| format!("url: {error}"))?;
        let allowed =
            Allowed { loopback: settings.allow_loopback, link_local: settings.allow_link_local };
        // A literal address stays refused, so this is an error of the configuration and not of each delivery.
        if let Some(why) = allowed.refusal_of_url(&url) {
            return Err(format!("url: {why}"));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        // Another part of the process may have installed the same provider already.
        drop(provider.as_ref().clone().install_default());
        let builder = Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .dns_resolver(Resolver::new(allowed))
            .timeout(settings.timeout)
            .connect_timeout(settings.timeout);
        let client = with_tls(builder, &settings.tls)?
            .build()
            .map_err(|error| format!("the HTTP client cannot be made: {}", with_causes(&error)))?;
        let headers = headers(settings)?;
        let mask = Mask::of(&url, settings);
        Ok(Self { client, url, settings: settings.clone(), headers, allowed, mask })
    }

    pub(super) async fn send(&self, delivery: &Delivery) -> Attempt {
        if let Some(why) = self.allowed.refusal_of_url(&self.url) {
            return Attempt::Refused { why };
        }
        let mut headers = self.headers.clone();
        if let Err(why) = self.sign(delivery, &mut headers) {
            return Attempt::Refused { why };
        }
        let request =
            self.client.post(self.url.clone()).headers(headers).body(delivery.body.clone());
        match request.send().await {
            Ok(response) => self.judge(response).await,
            // The URL may hold a token, so the error is reported without it.
            Err(error) => Attempt::Retry(Trouble::of_receiver(with_causes(&error.without_url()))),
        }
    }

    fn sign(&self, delivery: &Delivery, headers: &mut HeaderMap) -> Result<(), String> {
        let id = delivery.id.as_str();
        let value = |text: &str| HeaderValue::from_str(text).map_err(|error| error.to_string());
        headers.insert("webhook-id", value(id)?);
        let timestamp = clock::wall().as_millis().div_euclid(1000);
        headers.insert("webhook-timestamp", value(&timestamp.to_string())?);
        for (name, text) in delivery.headers() {
            // A value may be any UTF-8 without control characters; the body has the others.
            if let Ok(value) = HeaderValue::from_bytes(text.as_bytes()) {
                headers.insert(name, value);
            }
        }
        if !self.settings.secrets.is_empty() {
            let signed = signature(&self.settings.secrets, id, timestamp, &delivery.body);
            headers.insert("webhook-signature", value(&signed)?);
        }
        Ok(())
    }

    async fn judge(&self, response: Response) -> Attempt {
        let status = response.status();
        let is_success = if self.settings.success.is_empty() {
            status.is_success()
        } else {
            self.settings.success.contains(&status.as_u16())
        };
        let after = if asks_to_wait(status) { retry_after(response.headers()) } else { None };
        let text = read_some(response).await;
        if is_success {
            return Attempt::Delivered;
        }
        let redirect = if status.is_redirection() { " (redirects are not followed)" } else { "" };
        // Masked as a whole, then cut: otherwise the cut could split a secret.
        let text = beginning(self.mask.hide(text.trim()));
        let response = Some(text).filter(|text| !text.is_empty());
        let why = format!("status {status}{redirect}");
        Attempt::Retry(Trouble { why, response, after, blame: blame(status) })
    }
}

fn asks_to_wait(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::SERVICE_UNAVAILABLE
}

fn blame(status: StatusCode) -> Blame {
    match status {
        StatusCode::GONE => Blame::Gone,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Blame::Credentials,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => Blame::Receiver,
        status if status.is_server_error() => Blame::Receiver,
        _ => Blame::Delivery,
    }
}

fn with_tls(mut builder: ClientBuilder, tls: &config::Tls) -> Result<ClientBuilder, String> {
    if let Some(ca) = &tls.ca {
        let trusted = Certificate::from_pem_bundle(ca)
            .map_err(|error| format!("tls.ca: {}", with_causes(&error)))?;
        builder = builder.tls_certs_only(trusted);
    }
    if let Some(identity) = &tls.identity {
        let identity = Identity::from_pem(identity)
            .map_err(|error| format!("tls.certificate: {}", with_causes(&error)))?;
        builder = builder.identity(identity);
    }
    Ok(builder)
}

fn headers(settings: &config::Webhook) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    let content_type = match settings.format {
        Format::Payload => "application/json",
        Format::CloudEvents => "application/cloudevents+json; charset=utf-8",
    };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(
        USER_AGENT,
        HeaderValue::from_static(concat!("klaxon/", env!("CARGO_PKG_VERSION"))),
    );
    for (name, value) in &settings.headers {
        let header = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| format!("{name:?} is no name of a header"))?;
        let mut value = HeaderValue::from_str(value).map_err(|_| {
            format!("the value of header {name:?} has characters that none may have")
        })?;
        value.set_sensitive(true);
        headers.insert(header, value);
    }
    Ok(headers)
}

fn beginning(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MOST_KEPT));
    text
}

/// Reads a response up to `MOST_RESPONSE`; the rest is dropped with the connection.
async fn read_some(mut response: Response) -> String {
    let mut read = Vec::new();
    while read.len() < MOST_RESPONSE {
        match response.chunk().await {
            Ok(Some(chunk)) => read.extend_from_slice(&chunk),
            Ok(None) | Err(_) => break,
        }
    }
    String::from_utf8_lossy(&read).into_owned()
}

/// Parses `Retry-After` as seconds or as an HTTP date (RFC 9110, section 10.2.3).
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let at = rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
            let millis = at.as_millisecond().saturating_sub(clock::wall().as_millis());
            Duration::from_millis(u64::try_from(millis).unwrap_or(0))
        }
    };
    Some(wait.min(LONGEST_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date_and_capped() {
        let of = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_static(text));
            retry_after(&headers)
        };
        assert_eq!(of("7"), Some(Duration::from_secs(7)));
        assert_eq!(of("999999"), Some(LONGEST_RETRY_AFTER));
        assert_eq!(of("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        assert_eq!(of("soon"), None);
    }
}
