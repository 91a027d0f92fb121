//! Conversion of the contract's manifest and outcome to the model's types.

use super::bindings::klaxon::rule::types as wit;
use klaxon_model as model;

pub(super) fn manifest(manifest: wit::Manifest) -> model::Manifest {
    model::Manifest {
        name: manifest.name,
        version: manifest.version,
        description: manifest.description,
        codes: manifest.codes.into_iter().map(code).collect(),
        interests: manifest.interests.into_iter().map(interest).collect(),
        schedules: manifest
            .schedules
            .into_iter()
            .map(|schedule| model::Schedule { name: schedule.name, every_ms: schedule.every_ms })
            .collect(),
        settings_schema: manifest.settings_schema,
        capabilities: manifest.capabilities,
        state_version: manifest.state_version,
    }
}

fn code(code: wit::Code) -> model::Code {
    model::Code {
        name: code.name,
        title: code.title,
        severity: severity(code.severity),
        description: code.description,
    }
}

fn severity(severity: wit::Severity) -> model::Severity {
    match severity {
        wit::Severity::Info => model::Severity::Info,
        wit::Severity::Warning => model::Severity::Warning,
        wit::Severity::Error => model::Severity::Error,
        wit::Severity::Critical => model::Severity::Critical,
    }
}

fn interest(interest: wit::Interest) -> model::Interest {
    model::Interest {
        name: interest.name,
        api_version: interest.api_version,
        kind: interest.kind,
        label_selector: interest.label_selector,
        field_selector: interest.field_selector,
        namespaces: interest.namespaces,
        changes: changes(interest.changes),
        partition: match interest.partition {
            wit::Partition::ByObject => model::PartitionBy::Object,
            wit::Partition::ByNamespace => model::PartitionBy::Namespace,
            wit::Partition::ByLabel(label) => model::PartitionBy::Label(label),
            wit::Partition::ByField(field) => model::PartitionBy::Field(field),
            wit::Partition::WholeCluster => model::PartitionBy::WholeCluster,
        },
        parts: model::Parts {
            labels: interest.parts.contains(wit::Parts::LABELS),
            owners: interest.parts.contains(wit::Parts::OWNERS),
            conditions: interest.parts.contains(wit::Parts::CONDITIONS),
            images: interest.parts.contains(wit::Parts::IMAGES),
            addresses: interest.parts.contains(wit::Parts::ADDRESSES),
        },
        annotations: interest.annotations,
        fields: interest.fields,
    }
}

/// Converts changes. The empty set stands for all changes.
fn changes(changes: wit::Changes) -> model::Changes {
    if changes == wit::Changes::empty() {
        return model::Changes::ALL;
    }
    model::Changes {
        added: changes.contains(wit::Changes::ADDED),
        modified: changes.contains(wit::Changes::MODIFIED),
        deleted: changes.contains(wit::Changes::DELETED),
        left: changes.contains(wit::Changes::LEFT),
        snapshot: changes.contains(wit::Changes::SNAPSHOT),
    }
}

pub(super) fn outcome(outcome: wit::Outcome) -> model::Outcome {
    model::Outcome {
        verdicts: outcome.verdicts.into_iter().map(verdict).collect(),
        timers: outcome
            .timers
            .into_iter()
            .map(|timer| model::TimerRequest {
                key: timer.key,
                at: model::Timestamp::from_millis(timer.at),
                payload: timer.payload,
            })
            .collect(),
        cancels: outcome.cancels,
    }
}

fn verdict(verdict: wit::Verdict) -> model::RuleVerdict {
    model::RuleVerdict {
        code: verdict.code,
        key: verdict.key,
        status: match verdict.status {
            wit::Status::Firing => model::Status::Firing,
            wit::Status::Resolved => model::Status::Resolved,
        },
        severity: verdict.severity.map(severity),
        title: verdict.title,
        payload: verdict.payload,
        targets: verdict.targets.into_iter().map(target).collect(),
    }
}

fn target(target: wit::Target) -> model::RuleTarget {
    match target {
        wit::Target::Routed => model::RuleTarget::Routed,
        wit::Target::Named(name) => model::RuleTarget::Named(name),
        wit::Target::KubernetesEvent(request) => {
            model::RuleTarget::KubernetesEvent(model::EventRequest {
                reporting_component: request.reporting_component,
                regarding: reference(request.regarding),
                event_type: match request.event_type {
                    wit::EventType::Unknown => model::EventType::Unknown,
                    wit::EventType::Normal => model::EventType::Normal,
                    wit::EventType::Warning => model::EventType::Warning,
                },
                reason: request.reason,
                note: request.note,
                action: request.action,
            })
        }
        wit::Target::Apply(object) => model::RuleTarget::Apply(object),
        wit::Target::Condition(request) => model::RuleTarget::Condition(model::ConditionRequest {
            about: reference(request.about),
            name: request.name,
            status: match request.status {
                wit::ConditionStatus::Unknown => model::ConditionStatus::Unknown,
                wit::ConditionStatus::IsTrue => model::ConditionStatus::True,
                wit::ConditionStatus::IsFalse => model::ConditionStatus::False,
            },
            cause: model::Cause { reason: request.reason, message: request.message },
        }),
        wit::Target::Gate(request) => {
            model::RuleTarget::Gate(model::GateRequest { gate: request.gate, open: request.open })
        }
        wit::Target::Metric(metric) => model::RuleTarget::Metric(model::Metric {
            name: metric.name,
            kind: match metric.kind {
                wit::MetricKind::Counter => model::MetricKind::Counter,
                wit::MetricKind::Gauge => model::MetricKind::Gauge,
                wit::MetricKind::Histogram => model::MetricKind::Histogram,
            },
            value: metric.value,
            labels: metric
                .labels
                .into_iter()
                .map(|label| model::Label { key: label.key, value: label.value })
                .collect(),
        }),
        wit::Target::Extension(extension) => model::RuleTarget::Extension(model::Extension {
            kind: extension.kind,
            body: extension.body,
        }),
    }
}

fn reference(reference: wit::ObjectRefResult) -> model::ObjectRef {
    model::ObjectRef {
        identity: model::Identity {
            api_version: reference.api_version,
            kind: reference.kind,
            namespace: reference.namespace,
            name: reference.name,
            uid: reference.uid,
        },
        part: reference.part,
    }
}
