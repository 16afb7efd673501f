//! Makes the program's own entry point the first code that runs (see `src/sys/entry.rs`), tells the source whether a panic has words, and
//! leaves out what a program that never unwinds does not need.

use std::env;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-check-cfg=cfg(own_entry)");
    println!("cargo:rustc-check-cfg=cfg(worded_panics)");
    if !has("CARGO_CFG_PANIC", "immediate-abort") {
        println!("cargo:rustc-cfg=worded_panics");
    }
    if matches!(variable("CARGO_CFG_TARGET_ARCH").as_str(), "x86_64" | "aarch64") {
        println!("cargo:rustc-cfg=own_entry");
        println!("cargo:rustc-link-arg-bin=drainit=-Wl,--entry=drainit_entry");
    }
    if leaves_tables_out() {
        let script = format!("{}/release/without-tables.ld", variable("CARGO_MANIFEST_DIR"));
        println!("cargo:rerun-if-changed={script}");
        println!("cargo:rustc-link-arg-bin=drainit=-Wl,-T,{script}");
    }
}

/// Of the static release build for the host. Linkers that somebody has chosen may not know such a script.
fn leaves_tables_out() -> bool {
    let chosen = ["fuse-ld", "linker=", "link-self-contained"];
    variable("PROFILE") == "release"
        && variable("CARGO_CFG_TARGET_ENV") == "gnu"
        && has("CARGO_CFG_TARGET_FEATURE", "crt-static")
        && variable("RUSTC_LINKER").is_empty()
        && !chosen.iter().any(|option| variable("CARGO_ENCODED_RUSTFLAGS").contains(option))
}

/// Whether it is in the list.
fn has(list: &str, what: &str) -> bool {
    variable(list).split(',').any(|entry| entry == what)
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_default()
}
