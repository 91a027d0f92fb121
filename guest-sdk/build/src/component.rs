//! Conversion of a core module with embedded bindings to a component.

use crate::Error;

/// Returns `true` if the bytes start like a component; a core module has another layer number.
///
/// Component Model, Binary.md: the preamble is `\0asm`, a version of 16 bits and a layer of 16 bits.
pub fn is_component(bytes: &[u8]) -> bool {
    wasmparser::Parser::is_component(bytes)
}

/// Makes a component of a core module that has its bindings in a `component-type` section, as written by
/// `wit-bindgen`. A component is returned unchanged.
///
/// # Errors
/// [`Error::Component`] if the module has no bindings, or its imports and exports do not match them.
pub fn componentize(bytes: &[u8]) -> Result<Vec<u8>, Error> {
    if is_component(bytes) {
        return Ok(bytes.to_vec());
    }
    wit_component::ComponentEncoder::default()
        .validate(true)
        .module(bytes)
        .and_then(|encoder| encoder.encode())
        .map_err(|error| Error::Component { why: format!("{error:#}") })
}
