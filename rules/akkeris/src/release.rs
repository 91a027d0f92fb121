//! Releases: a deployment that is fully rolled out under a release that was not reported yet.

use klaxon_sdk::prelude::*;
use klaxon_sdk::{Workload, rfc3339};
use serde::Serialize;

use crate::app::{App, Named};

/// The label that names a release.
pub(crate) const RELEASE_UUID: &str = "akkeris.io/release-uuid";
const KNOWN: &str = "releases";
const REMEMBERED: usize = 20;
const NEWS_FOR_MS: i64 = 3_600_000;

/// Answers a deployment's event; the partition is the app, so that several deployments of one
/// release make one report.
pub(crate) fn evaluate(
    cx: &mut Cx,
    event: &Event,
    app: &App<'_>,
    workload: &Workload,
    out: &mut Outcome,
) -> Result<(), String> {
    let Some(uuid) = event.label(RELEASE_UUID) else {
        return Ok(());
    };
    let Some(rolled_out_at) = rolled_out(event, workload) else {
        return Ok(());
    };
    let mut known: Vec<String> = cx.state().get_json(KNOWN)?.unwrap_or_default();
    if known.iter().any(|seen| seen == uuid) {
        return Ok(());
    }
    let is_news = event.change != Change::Snapshot
        && rolled_out_at.is_none_or(|at| event.time.saturating_sub(at) <= NEWS_FOR_MS);
    known.push(uuid.to_owned());
    let forgotten = known.len().saturating_sub(REMEMBERED);
    cx.state().put_json(KNOWN, &known.get(forgotten..).unwrap_or_default())?;
    if is_news {
        let body = payload(event, app, workload, uuid);
        out.say(Verdict::firing("released", app.key()).payload(&body)?);
    }
    Ok(())
}

/// When the rollout was complete, as far as the condition says; none where it is not complete.
///
/// The status describes the spec only when the generations are equal: the first update of a new
/// release still carries the old one's finished status.
fn rolled_out(event: &Event, workload: &Workload) -> Option<Option<i64>> {
    let progressing = workload.condition("Progressing")?;
    let complete = progressing.status == ConditionStatus::Yes
        && progressing.reason() == "NewReplicaSetAvailable"
        && workload.observed_generation == event.object.generation
        && workload.available == workload.ready
        && workload.ready == workload.current
        && workload.current == workload.updated;
    complete.then_some(progressing.updated_at.or(progressing.changed_at))
}

#[derive(Serialize)]
struct Released<'a> {
    app: Named<'a>,
    space: Named<'a>,
    key: String,
    action: &'static str,
    slug: Slug<'a>,
    released_at: String,
    dyno: DynoType<'a>,
    release: Release<'a>,
}

#[derive(Serialize)]
struct Slug<'a> {
    image: &'a str,
}

#[derive(Serialize)]
struct DynoType<'a> {
    r#type: &'a str,
}

#[derive(Serialize)]
struct Release<'a> {
    id: &'a str,
}

fn payload<'a>(
    event: &Event,
    app: &App<'a>,
    workload: &'a Workload,
    uuid: &'a str,
) -> Released<'a> {
    Released {
        app: Named { name: app.name },
        space: Named { name: app.space },
        key: app.key(),
        action: "released",
        slug: Slug { image: workload.images.first().map_or("", String::as_str) },
        released_at: rfc3339(event.time),
        dyno: DynoType { r#type: app.dyno_type },
        release: Release { id: uuid },
    }
}
