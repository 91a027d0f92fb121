//! Diagnosis of a module that cannot be loaded, with a hint for the language that it comes from.

use wasmparser::{Parser, Payload, TypeRef};

/// Imports and exports by name, and the amount of code to compile, read from a core module or a component
/// without compiling it.
#[derive(Debug, Default)]
pub(super) struct Outline {
    pub(super) imports: Vec<String>,
    pub(super) exports: Vec<String>,
    /// Number of functions of all core modules.
    pub(super) functions: usize,
    /// Number of memories of the core module with the most memories.
    pub(super) memories: usize,
}

/// Reads the outermost imports and exports.
///
/// # Errors
/// If the bytes are not WebAssembly, or are truncated.
pub(super) fn outline(bytes: &[u8]) -> Result<Outline, String> {
    let mut outline = Outline::default();
    let mut depth = 0u32;
    // One counter for each module and component that is still open.
    let mut memories = vec![0usize];
    // Some of these errors have many lines; the first one is sufficient.
    let text = |error: wasmparser::BinaryReaderError| {
        error.to_string().lines().next().unwrap_or_default().trim_end_matches('[').to_owned()
    };
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(text)? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
                depth += 1;
                memories.push(0);
            }
            Payload::End(_) => {
                depth = depth.saturating_sub(1);
                outline.memories = outline.memories.max(memories.pop().unwrap_or(0));
            }
            Payload::MemorySection(section) => {
                if let Some(memories) = memories.last_mut() {
                    *memories += section.count() as usize;
                }
            }
            Payload::FunctionSection(section) => outline.functions += section.count() as usize,
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import.map_err(text)?;
                    if let TypeRef::Memory(_) = import.ty
                        && let Some(memories) = memories.last_mut()
                    {
                        *memories += 1;
                    }
                    if depth == 0 {
                        outline.imports.push(format!("{}.{}", import.module, import.name));
                    }
                }
            }
            Payload::ExportSection(section) if depth == 0 => {
                for export in section {
                    outline.exports.push(export.map_err(text)?.name.to_owned());
                }
            }
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    outline.imports.push(import.map_err(text)?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    outline.exports.push(export.map_err(text)?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(outline)
}

/// Returns an error for the first import that the sandbox does not provide, with a hint.
pub(super) fn foreign_import(outline: &Outline) -> Option<String> {
    let import = outline.imports.iter().find(|import| !is_ours(import))?;
    let hint = if import.starts_with("wasi:") || import.starts_with("wasi_snapshot_preview1") {
        "rules run without WASI; hint: in Rust build for wasm32-unknown-unknown; in Go adapt with the \
         stub adapter; in Python pass --stub-wasi to componentize-py; in JavaScript pass \
         --backend-qjs-stub-wasi to jco (or disable all features of StarlingMonkey)"
    } else if import.starts_with("klaxon:rule/") {
        "this host does not have that interface or that version of it; hint: build with the SDK of \
         this release"
    } else {
        "hint: build the rule without it"
    };
    Some(format!("the module imports {import}: {hint}"))
}

fn is_ours(import: &str) -> bool {
    ["klaxon:rule/types@0.1.", "klaxon:rule/state@0.1.", "klaxon:rule/log@0.1."]
        .iter()
        .any(|ours| import.starts_with(ours))
}

/// Returns `true` if the `rule` interface is exported in a version that this host supports.
pub(super) fn exports_rule(outline: &Outline) -> bool {
    outline.exports.iter().any(|export| export.starts_with("klaxon:rule/rule@0.1."))
}
