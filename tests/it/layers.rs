//! The layers of the code: which module may use which.

use std::collections::{BTreeMap, BTreeSet};
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
                let is_table = path.to_string_lossy().ends_with("table.rs") && what == "std::fs";
                assert!(is_table || !uses(&text, what), "{} uses {what}", path.display());
            }
        }
    }
}

/// The rows of ARCHITECTURE.md's "Which module may use which", in its order: a module, and those that it uses.
fn rows() -> Vec<(String, BTreeSet<String>)> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md");
    let page = std::fs::read_to_string(page).expect("a file of this project");
    let (_, section) = page.split_once("## Which module may use which").expect("the section");
    let (table, _) = section.split_once("\n## ").expect("a section follows");
    let rows = table.lines().filter_map(|line| line.split_once(" -> "));
    rows.map(|(module, used)| {
        let used = used.split(',').map(|one| one.trim().to_owned()).filter(|one| one != "nothing");
        (module.trim().to_owned(), used.collect())
    })
    .collect()
}

/// The module of a file of src/: the folder or file directly below it.
fn module_of(path: &Path) -> String {
    let below = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).expect("a file of src/");
    let first = below.iter().next().and_then(|first| first.to_str()).expect("a name");
    first.trim_end_matches(".rs").to_owned()
}

/// Whether its module is declared for tests alone.
fn is_test(path: &Path) -> bool {
    let name = path.file_stem().and_then(|name| name.to_str()).expect("a name");
    let declared = std::fs::read_to_string(path.with_file_name("mod.rs")).unwrap_or_default();
    ["mod", "pub mod", "pub(crate) mod"]
        .iter()
        .any(|kind| declared.contains(&format!("#[cfg(test)]\n{kind} {name};")))
}

/// The modules of this crate that a text names, its tests apart.
fn crate_modules(text: &str) -> BTreeSet<String> {
    let (text, _) = text.split_once("#[cfg(test)]\nmod tests").unwrap_or((text, ""));
    let code: String = code(text).flat_map(|line| [line, "\n"]).collect();
    let mut used = BTreeSet::new();
    for after in ["crate::", "drainit::"].iter().flat_map(|root| code.split(root).skip(1)) {
        let list = after.strip_prefix('{').and_then(|list| list.split_once('}')).map(|(list, _)| list);
        for one in list.unwrap_or(after.lines().next().unwrap_or_default()).split(',') {
            let end = one.trim().find(|c: char| !c.is_alphanumeric() && c != '_');
            let (name, rest) = one.trim().split_at(end.unwrap_or(one.trim().len()));
            if !rest.starts_with('!') {
                used.insert(name.to_owned());
            }
            if list.is_none() {
                break;
            }
        }
    }
    used
}

#[test]
fn each_module_uses_what_its_row_in_the_architecture_says() {
    let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, text) in sources("src").iter().filter(|(path, _)| !path.ends_with("src/lib.rs")) {
        if !is_test(path) {
            uses.entry(module_of(path)).or_default().extend(crate_modules(text));
        }
    }
    uses.iter_mut().for_each(|(module, used)| _ = used.remove(module));
    let rows = rows();
    assert_eq!(rows.iter().map(|(module, _)| module).collect::<BTreeSet<_>>(), uses.keys().collect());
    for (at, (module, said)) in rows.iter().enumerate() {
        assert_eq!(Some(said), uses.get(module), "{module}");
        let below: Vec<&String> = rows.iter().skip(at + 1).map(|(module, _)| module).collect();
        assert!(said.iter().all(|used| below.contains(&used)), "{module} uses only what stands below it");
    }
}

#[test]
fn a_module_of_the_crate_that_is_used_is_seen() {
    let uses = |text: &str| crate_modules(text).into_iter().collect::<Vec<_>>();
    assert_eq!(uses("use crate::plan::{self, Plan};\nuse crate::sys;\n"), ["plan", "sys"]);
    assert_eq!(uses("use crate::{cli, settings::Settings};\n"), ["cli", "settings"]);
    assert_eq!(uses("drainit::entry!(run);\nfn x() { crate::text::one_line(y) }"), ["text"]);
    assert_eq!(uses("//! See [`crate::sys`].\n#[cfg(test)]\nmod tests {\n    use crate::cli;\n}"), [""; 0]);
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

/// Files of src/report/, and what else of it each may use. Whatever is not listed may use nothing.
const REPORT: [(&str, &[&str]); 15] = [
    ("record.rs", &[]),
    ("format.rs", &["record"]),
    ("repeats.rs", &["record", "format"]),
    ("advice/shells.rs", &["record", "format", "repeats"]),
    ("advice/signals.rs", &["record", "format", "repeats", "shells"]),
    ("advice/slow.rs", &["record", "format", "repeats"]),
    ("advice/mod.rs", &["record", "shells", "signals", "slow"]),
    ("json.rs", &["record", "format", "advice"]),
    ("termination.rs", &["record", "format", "repeats", "advice"]),
    ("rehearsal/page.rs", &[]),
    ("rehearsal/scale.rs", &["format"]),
    ("rehearsal/row.rs", &["record", "format", "repeats", "page", "scale"]),
    ("rehearsal/timeline.rs", &["record", "format", "repeats", "page", "scale", "row"]),
    ("rehearsal/verdict.rs", &["record", "format"]),
    ("rehearsal/mod.rs", &["record", "advice", "timeline", "verdict"]),
];

/// The modules below src/report/ that a file uses, its tests apart.
fn report_modules(text: &str) -> Vec<&'static str> {
    let (text, _) = text.split_once("#[cfg(test)]\nmod tests").unwrap_or((text, ""));
    let code: String = code(text).flat_map(|line| [line, "\n"]).collect();
    // `use` declarations, and paths such as `super::name::` or `name::`.
    let uses: Vec<&str> = code.split("use ").skip(1).filter_map(|rest| rest.split(';').next()).collect();
    let is_word = |character: char| character.is_alphanumeric() || character == '_';
    let in_uses = |name: &str| {
        uses.iter().flat_map(|one| one.split(|character| !is_word(character))).any(|word| word == name)
    };
    let in_path =
        |name: &str| code.match_indices(&format!("{name}::")).any(|(at, _)| !code[..at].ends_with(is_word));
    let names = ["json", "termination", "rehearsal"].into_iter();
    let names =
        names.chain(REPORT.iter().filter_map(|(file, _)| file.rsplit('/').next()?.strip_suffix(".rs")));
    let mut used: Vec<&str> =
        names.filter(|name| *name != "mod" && (in_uses(name) || in_path(name))).collect();
    used.sort_unstable();
    used.dedup();
    used
}

#[test]
fn a_record_goes_through_report_in_one_direction() {
    for (file, allowed) in REPORT {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/report").join(file);
        let text = std::fs::read_to_string(&path).expect("a file of this project");
        for used in report_modules(&text) {
            assert!(allowed.contains(&used), "{file} uses {used}");
        }
    }
    let is_listed =
        |path: &Path| REPORT.iter().any(|(file, _)| path.ends_with(Path::new("report").join(file)));
    let tests = ["fixtures.rs", "generator.rs", "properties.rs", "schema.rs"];
    for (path, _) in sources("src/report") {
        let is_root = path.ends_with("report/mod.rs");
        let is_test = tests.iter().any(|name| path.ends_with(name));
        assert!(is_root || is_test || is_listed(&path), "{} has no place in the order", path.display());
    }
}

#[test]
fn a_module_of_report_that_is_used_is_seen() {
    let uses = |text| report_modules(text);
    assert_eq!(uses("use super::format;\nuse super::record::{\n    Record,\n};\n"), ["format", "record"]);
    assert_eq!(uses("fn x() { super::json::json(y) }"), ["json"]);
    assert_eq!(uses("use super::{json, rehearsal::verdict};"), ["json", "rehearsal", "verdict"]);
    assert_eq!(uses("//! See [`json`].\nfn x() { serde_json::to_string(row) }"), [""; 0]);
    assert_eq!(uses("#[cfg(test)]\nmod tests {\n    use super::json;\n}"), [""; 0]);
}
