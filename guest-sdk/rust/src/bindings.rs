//! Bindings that `wit-bindgen` generates from the contract. The crate's root re-exports these types under
//! better names; only the export macro needs this module by its path.
#![expect(missing_docs, reason = "generated from guest-sdk/wit")]

wit_bindgen::generate!({
    path: "../wit/v0_1",
    world: "stateful-rule",
    additional_derives: [PartialEq, Clone],
    // Times are numbers here. Methods of the same names return them as `Timestamp` (see event.rs).
    additional_member_attributes: {
        "klaxon:rule/types@0.1.0/event.time": [#[doc(hidden)]],
        "klaxon:rule/types@0.1.0/timer.due": [#[doc(hidden)]],
        "klaxon:rule/types@0.1.0/timer-request.at": [#[doc(hidden)]],
        "klaxon:rule/types@0.1.0/object-meta.created-at": [#[doc(hidden)]],
        "klaxon:rule/types@0.1.0/object-meta.deleted-at": [#[doc(hidden)]],
        "klaxon:rule/types@0.1.0/condition.changed-at": [#[doc(hidden)]],
        "klaxon:rule/types@0.1.0/condition.updated-at": [#[doc(hidden)]],
        "klaxon:rule/types@0.1.0/running.started-at": [#[doc(hidden)]],
        "klaxon:rule/types@0.1.0/terminated.started-at": [#[doc(hidden)]],
        "klaxon:rule/types@0.1.0/terminated.finished-at": [#[doc(hidden)]],
        "klaxon:rule/types@0.1.0/kubernetes-event.first-at": [#[doc(hidden)]],
        "klaxon:rule/types@0.1.0/kubernetes-event.last-at": [#[doc(hidden)]],
        "klaxon:rule/types@0.1.0/job.started-at": [#[doc(hidden)]],
        "klaxon:rule/types@0.1.0/job.completed-at": [#[doc(hidden)]],
    },
    pub_export_macro: true,
    export_macro_name: "export_bindings",
    default_bindings_module: "klaxon_sdk::bindings",
});
