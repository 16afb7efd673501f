//! Makes the program's own entry point the first code that runs (see `src/sys/entry.rs`).

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-check-cfg=cfg(own_entry)");
    let processor = std::env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    if matches!(processor.as_str(), "x86_64" | "aarch64") {
        println!("cargo:rustc-cfg=own_entry");
        println!("cargo:rustc-link-arg-bin=drainit=-Wl,--entry=drainit_entry");
    }
}
