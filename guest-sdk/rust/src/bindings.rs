//! Bindings that `wit-bindgen` generates from the contract. The crate's root re-exports these types under
//! better names; only the export macro needs this module by its path.
#![expect(missing_docs, reason = "generated from guest-sdk/wit")]

wit_bindgen::generate!({
    path: "../wit/v0_1",
    world: "stateful-rule",
    additional_derives: [PartialEq, Clone],
    pub_export_macro: true,
    export_macro_name: "export_bindings",
    default_bindings_module: "klaxon_sdk::bindings",
});
