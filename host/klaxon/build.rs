//! The SDK and the contract are part of the binary (`scaffold`), and no macro tells cargo so.

fn main() {
    println!("cargo::rerun-if-changed=../../guest-sdk/rust/src");
    println!("cargo::rerun-if-changed=../../guest-sdk/wit");
    println!("cargo::rerun-if-changed=build.rs");
}
