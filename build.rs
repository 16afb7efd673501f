//! Makes the program's own entry point the first code that runs (see `src/sys/entry.rs`), and refuses processors that it would be wrong for.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(own_entry)");
    let variable = |name| std::env::var(name).unwrap_or_default();
    let processor = variable("CARGO_CFG_TARGET_ARCH");
    let is_big_endian = variable("CARGO_CFG_TARGET_ENDIAN") == "big";
    match processor.as_str() {
        "mips" | "mips32r6" | "mips64" | "mips64r6" | "sparc" | "sparc64" => {
            println!(
                "cargo::error=drainit cannot be built for {processor}: signals have other numbers there, and mips has 128 of them"
            );
        }
        _ if is_big_endian && variable("CARGO_CFG_TARGET_POINTER_WIDTH") == "32" => {
            println!(
                "cargo::error=drainit cannot be built for {processor}: the kernel's set of signals is not one number of 64 bits there"
            );
        }
        // With the other byte order it is another ABI, which knows of no entry point but by a descriptor.
        "powerpc64" if is_big_endian => {}
        "x86_64" | "x86" | "aarch64" | "arm" | "riscv64" | "powerpc64" | "s390x" => {
            println!("cargo::rustc-cfg=own_entry");
            println!("cargo::rustc-link-arg-bin=drainit=-Wl,--entry=drainit_entry");
        }
        _ => {}
    }
}
