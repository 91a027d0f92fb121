//! Validates targets.

use std::path::Path;
use std::time::Duration;

use super::file::{Allow, Order, TargetFile, TlsFile, WebhookFile};
use super::{Origin, Target, TargetKind, Tls, Webhook, gate, lines, nats, statsd};
use crate::Secret;
use crate::validate::Check;
use klaxon_yaml::escape;

/// The default for the maximum number of concurrent deliveries to one receiver.
const CONCURRENCY: u16 = 16;

/// Validates a target. `None` if it is of no valid kind, which is reported.
pub(crate) fn target(
    check: &mut Check<'_>,
    name: &str,
    mut file: TargetFile,
    origin: Origin,
) -> Option<Target> {
    let pointer = format!("/targets/{}", escape(name));
    if file.coalesce && file.order == Order::None {
        check.say(
            format!("{pointer}/order"),
            "out of order an old state may arrive last; hint: leave out order, or coalesce",
        );
    }
    let kind = kind(check, &pointer, &mut file)?;
    Some(Target {
        kind,
        order: file.order,
        max_queue: file.max_queue.map_or(0, |size| size.0 as u64),
        when_full: file.when_full,
        coalesce: file.coalesce,
        rules: None,
        origin,
    })
}

fn kind(check: &mut Check<'_>, pointer: &str, file: &mut TargetFile) -> Option<TargetKind> {
    let at = |kind: &str| format!("{pointer}/{kind}");
    let mut kinds = Vec::new();
    if file.stdout.take().is_some() {
        kinds.push(Some(TargetKind::Stdout));
    }
    if let Some(one) = file.file.take() {
        kinds.push(Some(TargetKind::File(lines::check(check, &at("file"), one))));
    }
    if let Some(one) = file.webhook.take() {
        kinds.push(Some(TargetKind::Webhook(Box::new(webhook(check, &at("webhook"), one)))));
    }
    if let Some(one) = file.nats.take() {
        let nats = nats::check(check, &at("nats"), one);
        kinds.push(nats.map(|nats| TargetKind::Nats(Box::new(nats))));
    }
    if let Some(one) = file.statsd.take() {
        kinds.push(statsd::check(check, &at("statsd"), one).map(TargetKind::Statsd));
    }
    if let Some(one) = file.gate.take() {
        kinds.push(Some(TargetKind::Gate(gate::check(check, &at("gate"), one))));
    }
    if kinds.len() != 1 {
        check.say(
            pointer,
            "a target is of exactly one kind; hint: write stdout, file, webhook, nats, statsd or gate",
        );
    }
    kinds.pop().flatten()
}

fn webhook(check: &mut Check<'_>, pointer: &str, webhook: WebhookFile) -> Webhook {
    let scheme = webhook.url.split_once("://").map(|(scheme, _)| scheme);
    if !matches!(scheme, Some("http" | "https")) {
        check.say(
            format!("{pointer}/url"),
            "this is no http:// or https:// address; hint: write it with its scheme",
        );
    }
    let mut secrets = Vec::new();
    for text in webhook.secret.into_iter().chain(webhook.old_secrets) {
        match Secret::parse(&text) {
            Ok(secret) => secrets.push(secret),
            Err(why) => check.say(format!("{pointer}/secret"), why),
        }
    }
    for status in &webhook.success {
        if !(200..400).contains(status) {
            check.say(
                format!("{pointer}/success"),
                format!("{status} is no status of success; hint: name statuses from 200 to 399"),
            );
        }
    }
    let concurrency = webhook.concurrency.unwrap_or(CONCURRENCY);
    if concurrency == 0 {
        check.say(
            format!("{pointer}/concurrency"),
            "with 0 nothing would ever be sent; hint: write 1 or more",
        );
    }
    let tls = tls(check, &format!("{pointer}/tls"), webhook.tls);
    Webhook {
        url: webhook.url,
        secrets,
        format: webhook.format,
        headers: webhook.headers,
        timeout: webhook.timeout.map_or(Duration::from_secs(15), |span| span.0),
        success: webhook.success,
        concurrency: usize::from(concurrency),
        retry_for: webhook.retry.r#for.map_or(Duration::from_secs(72 * 3600), |span| span.0),
        tls,
        allow_loopback: webhook.allow.contains(&Allow::Loopback),
        allow_link_local: webhook.allow.contains(&Allow::LinkLocal),
    }
}

pub(super) fn tls(check: &mut Check<'_>, pointer: &str, file: TlsFile) -> Tls {
    let ca = file.ca.and_then(|path| pem(check, &format!("{pointer}/ca"), &path));
    let identity = match (file.certificate, file.key) {
        (None, None) => None,
        (Some(certificate), Some(key)) => {
            let certificate = pem(check, &format!("{pointer}/certificate"), &certificate);
            let key = pem(check, &format!("{pointer}/key"), &key);
            certificate.zip(key).map(|(certificate, key)| [certificate, key].join(&b'\n'))
        }
        _ => {
            check.say(
                pointer,
                "a certificate and its key belong together; hint: write both, or none",
            );
            None
        }
    };
    Tls { ca, identity }
}

fn pem(check: &mut Check<'_>, pointer: &str, path: &Path) -> Option<Vec<u8>> {
    let error = match std::fs::read(check.base.join(path)) {
        Ok(bytes) if bytes.windows(11).any(|one| one == b"-----BEGIN ") => return Some(bytes),
        Ok(_) => "it is no PEM file".to_owned(),
        Err(error) => error.to_string(),
    };
    let path = path.display();
    check.say(pointer, format!("{path} cannot be used: {error}; hint: name a PEM file"));
    None
}
