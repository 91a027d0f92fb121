//! The imports of this version, implemented by the capabilities.
//!
//! Strings are received as references into the rule's memory (`WasmStr`), and at most the permitted length is
//! copied: the bindings alone would copy a megabyte per call.

use wasmtime::StoreContextMut;
use wasmtime::component::{HasSelf, Linker, WasmStr};

use super::bindings::klaxon::rule::{log, types};
use crate::imports::log::MAX_LINE;
use crate::store_data::Host;
use klaxon_model::Level;
use klaxon_model::prefix;

type Context<'a> = StoreContextMut<'a, Host>;

impl types::Host for Host {}

pub(in crate::abi) fn add_to_linker(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    types::add_to_linker::<_, HasSelf<_>>(linker, |host| host)?;
    let mut state = linker.instance("klaxon:rule/state@0.1.0")?;
    state.func_wrap("get", get)?;
    state.func_wrap("put", put)?;
    state.func_wrap("remove", remove)?;
    state.func_wrap("keys", keys)?;
    linker.instance("klaxon:rule/log@0.1.0")?.func_wrap("write", write)
}

fn get(
    mut store: Context<'_>,
    (event, key): (u32, WasmStr),
) -> wasmtime::Result<(Option<String>,)> {
    let key = short(&store, &key)?;
    Ok((store.data_mut().call.state_get(event, key.as_deref())?,))
}

fn put(
    mut store: Context<'_>,
    (event, key, value, ttl_seconds): (u32, WasmStr, WasmStr, u32),
) -> wasmtime::Result<()> {
    let (key, value) = (key.to_str(&store)?, value.to_str(&store)?);
    let bytes = key.len().saturating_add(value.len());
    if bytes > store.data().call.state.budget() {
        return store.data_mut().call.state_refuse(event, bytes);
    }
    let (key, value) = (key.into_owned(), value.into_owned());
    store.data_mut().call.state_put(event, key, value, ttl_seconds)
}

fn remove(mut store: Context<'_>, (event, key): (u32, WasmStr)) -> wasmtime::Result<()> {
    let key = short(&store, &key)?;
    store.data_mut().call.state_remove(event, key)
}

fn keys(
    mut store: Context<'_>,
    (event, prefix): (u32, WasmStr),
) -> wasmtime::Result<(Vec<String>,)> {
    let prefix = short(&store, &prefix)?;
    Ok((store.data_mut().call.state_keys(event, prefix.as_deref())?,))
}

fn write(
    mut store: Context<'_>,
    (event, level, text): (u32, log::Level, WasmStr),
) -> wasmtime::Result<()> {
    let level = match level {
        log::Level::Debug => Level::Debug,
        log::Level::Info => Level::Info,
        log::Level::Warn => Level::Warn,
        log::Level::Error => Level::Error,
    };
    let text = text.to_str(&store)?;
    let begin = prefix(&text, MAX_LINE).to_owned();
    store.data_mut().call.write_line(event, level, begin)
}

/// Copies a key; `None` if it is longer than any valid key.
fn short(store: &Context<'_>, key: &WasmStr) -> wasmtime::Result<Option<String>> {
    let key = key.to_str(store)?;
    let is_short = key.len() <= store.data().call.state.budget();
    Ok(is_short.then(|| key.into_owned()))
}
