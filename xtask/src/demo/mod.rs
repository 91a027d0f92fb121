//! `cargo xtask demo`: the main use case, from recorded streams to a receiver that checks signatures.

mod receiver;

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::rules;
use crate::workspace::{cargo, root, run_command, target_dir};
use receiver::{Received, Receiver};

const CONFIG: &str = include_str!("klaxon.yaml");
/// For the demo only: this secret is public.
const SECRET: &str = "whsec_a2xheG9uLWRlbW8ta2xheG9uLWRlbW8ta2xheG9u";

/// Builds and runs the demo, and shows the results.
pub(crate) fn run() -> Result<()> {
    println!("1. Building the rules and the host");
    rules::build_shipped()?;
    run_command(cargo().args(["build", "--package", "klaxon"]))?;

    println!("\n2. Starting a receiver on this machine, and Klaxon on recorded streams");
    let folder = target_dir().join("demo");
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let config = folder.join("klaxon.yaml");
    fs::write(&config, CONFIG).with_context(|| config.display().to_string())?;
    let receiver = Receiver::start(SECRET)?;
    let mut klaxon = Command::new(target_dir().join("debug/klaxon"));
    klaxon
        .arg("run")
        .arg("--config")
        .arg(&config)
        .env("KLAXON_DEMO_URL", receiver.url())
        .env("KLAXON_DEMO_SECRET", SECRET)
        .env("KLAXON_DEMO_RULES", target_dir().join("rules"))
        .env("KLAXON_DEMO_STREAMS", root().join("fixtures/akkeris"));
    run_command(&mut klaxon)?;
    show(&receiver.stop())
}

fn show(received: &[Received]) -> Result<()> {
    println!("\n3. What the receiver got");
    let mut codes: BTreeMap<&str, Vec<&Received>> = BTreeMap::new();
    for one in received {
        codes.entry(&one.code).or_default().push(one);
    }
    for (code, all) in &codes {
        let apps: Vec<&str> = all.iter().map(|one| one.app.as_str()).collect();
        println!("   {code:9} {:2}  {}", all.len(), apps.join(", "));
    }
    if let Some(first) = received.iter().find(|one| one.code == "R14") {
        println!("\n   One of them, as it was sent:\n   {}", first.body);
    }
    let wrong = received.iter().filter(|one| one.error.is_some()).count();
    println!(
        "\n   {} deliveries, {} with a signature that holds (Standard Webhooks).",
        received.len(),
        received.len() - wrong
    );
    if let Some(error) = received.iter().find_map(|one| one.error.as_deref()) {
        bail!("{wrong} signatures do not hold: {error}");
    }
    if received.is_empty() {
        bail!("nothing was delivered");
    }
    println!(
        "\nWhere to go next\n   \
         the rule        rules/akkeris (README.md, src/crash.rs)\n   \
         the streams     fixtures/akkeris (expected.md says what really happened)\n   \
         the settings    {}\n   \
         try it          {} replay --rule {} fixtures/akkeris/pods.jsonl\n   \
         the tests       cargo xtask test",
        target_dir().join("demo/klaxon.yaml").display(),
        target_dir().join("debug/klaxon").display(),
        target_dir().join("rules/akkeris.wasm").display(),
    );
    Ok(())
}
