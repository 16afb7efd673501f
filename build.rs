//! Makes the program's own entry point the first code that runs (see `src/sys/entry.rs`), and tells the source whether a panic has words.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-check-cfg=cfg(own_entry)");
    println!("cargo:rustc-check-cfg=cfg(worded_panics)");
    let panic = std::env::var("CARGO_CFG_PANIC").unwrap_or_default();
    if !panic.split(',').any(|strategy| strategy == "immediate-abort") {
        println!("cargo:rustc-cfg=worded_panics");
    }
    let arch = std::env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    if matches!(arch.as_str(), "x86_64" | "aarch64") {
        println!("cargo:rustc-cfg=own_entry");
        println!("cargo:rustc-link-arg-bin=drainit=-Wl,--entry=drainit_entry");
    }
}
