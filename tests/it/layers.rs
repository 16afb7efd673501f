//! The layers of the code: who may use what. A rule that nobody checks is a wish.

use std::path::{Path, PathBuf};

pub(crate) fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder of this project") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).expect("text");
                found.push((path, text));
            }
        }
    }
    assert!(!found.is_empty(), "{folder} has sources");
    found
}

/// The lines that are neither comments nor documentation.
pub(crate) fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.trim_start().starts_with("//"))
}

fn uses(text: &str, what: &str) -> bool {
    code(text).any(|line| line.contains(what))
}

#[test]
fn unsafe_and_system_calls_are_in_sys_alone() {
    for (path, text) in sources("src") {
        if path.components().any(|part| part.as_os_str() == "sys") {
            continue;
        }
        for what in ["unsafe ", "libc::", "nix::", "signal_hook::"] {
            assert!(!uses(&text, what), "{} uses {what}", path.display());
        }
    }
}

#[test]
fn the_pure_modules_know_no_clock_no_pid_and_no_log() {
    for folder in ["src/plan", "src/settings"] {
        for (path, text) in sources(folder) {
            for what in [
                "crate::sys",
                "Instant",
                "SystemTime",
                "std::fs",
                "std::process",
                "std::io",
                "info!",
                "warn!",
                "debug!",
            ] {
                let is_table = path.ends_with("plan/table.rs") && what == "std::fs";
                assert!(is_table || !uses(&text, what), "{} uses {what}", path.display());
            }
        }
    }
}

#[test]
fn the_plan_knows_of_signals_and_of_nothing_else() {
    for (path, text) in sources("src/plan") {
        for line in code(&text).filter(|line| line.contains("crate::")) {
            let is_allowed = line.contains("crate::signal") || line.contains("crate::plan");
            assert!(is_allowed, "{}: {line}", path.display());
        }
    }
}

#[test]
fn every_safe_file_outside_of_sys_forbids_unsafe() {
    for (path, text) in sources("src") {
        let top = path.parent().is_some_and(|parent| parent.ends_with("src"));
        let module_head = path.ends_with("mod.rs") || top;
        let exempt = ["lib.rs", "main.rs"].iter().any(|name| path.ends_with(name))
            || path.components().any(|part| part.as_os_str() == "sys");
        assert!(!module_head || exempt || text.contains("#![forbid(unsafe_code)]"), "{}", path.display());
    }
}

#[test]
fn no_file_has_grown_out_of_hand() {
    for folder in ["src", "fake-workload", "tests", "benches"] {
        for (path, text) in sources(folder) {
            assert!(text.lines().count() <= 500, "{} has {} lines", path.display(), text.lines().count());
        }
    }
}
