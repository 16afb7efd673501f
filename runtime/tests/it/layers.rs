//! Which part of the code may do what.

use std::fs;
use std::path::{Path, PathBuf};

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder of this package");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What decides takes text or trees, and gives them back.
#[test]
fn the_pure_modules_know_no_file_no_process_and_no_environment() {
    let pure = ["command_line", "node", "options", "leave", "place", "rewrite", "spec"];
    let pure = pure.iter().chain(["configure/containerd", "configure/docker", "configure/crio"].iter());
    for name in pure {
        let path = package().join("src").join(name).with_extension("rs");
        let text = fs::read_to_string(&path).expect("a file of this package");
        let head = text.lines().next().unwrap_or_default();
        assert!(text.lines().take(4).any(|line| line.contains("Pure")), "{name} does not say so: {head}");
        for what in [
            "std::fs",
            "std::process",
            "std::env",
            " nix::",
            "crate::bundle",
            "crate::program",
            "crate::journal",
        ] {
            assert!(!text.contains(what), "{name} uses {what}");
        }
    }
}

#[test]
fn nothing_is_unsafe_and_no_file_has_grown_out_of_hand() {
    let lib = fs::read_to_string(package().join("src/lib.rs")).expect("a file of this package");
    assert!(lib.contains("#![forbid(unsafe_code)]"));
    for folder in ["src", "tests", "benches"] {
        for path in files(&package().join(folder)) {
            let text = fs::read_to_string(&path).expect("text");
            assert!(text.lines().count() <= 500, "{} has {} lines", path.display(), text.lines().count());
            assert!(path.ends_with("layers.rs") || !text.contains("unsafe {"), "{}", path.display());
        }
    }
}
