//! No two modules use each other, whatever lies between them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::layers::{code, sources};

/// Which module of the folder uses which: files and folders directly below it. Tests within a file do not count.
fn uses(folder: &str) -> BTreeMap<String, BTreeSet<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let files: Vec<(String, String)> = sources(folder)
        .into_iter()
        .map(|(path, text)| {
            let first = path.strip_prefix(&root).expect("below it").iter().next().expect("a name");
            let module = first.to_str().expect("text").trim_end_matches(".rs").to_owned();
            let text = text.split("#[cfg(test)]").next().unwrap_or_default();
            (module, code(text).collect::<Vec<_>>().join(" "))
        })
        .filter(|(module, _)| !["mod", "main", "lib"].contains(&module.as_str()))
        .collect();
    let modules: BTreeSet<&String> = files.iter().map(|(module, _)| module).collect();
    let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (module, text) in &files {
        let used = modules.iter().filter(|other| *other != &module && names(text, other));
        uses.entry(module.clone()).or_default().extend(used.map(|other| (*other).clone()));
    }
    uses
}

/// Whether the module is named: with something of it, or in a list of modules.
fn names(text: &str, module: &str) -> bool {
    let mut rest = text;
    while let Some(at) = rest.find(module) {
        let (before, after) = (&rest[..at], &rest[at + module.len()..]);
        let begins = !before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '.');
        // Not one of the standard library's of the same name.
        let is_ours = !before.ends_with("std::") && !before.ends_with("nix::") && !before.ends_with("unix::");
        let in_list = before.rfind("use ").is_some_and(|from| {
            !before[from..].contains(';')
                && ["super::", "crate::"].iter().any(|root| before[from..].contains(root))
        });
        if begins
            && is_ours
            && (after.starts_with("::") || (in_list && after.starts_with([',', ';', '}', ' '])))
        {
            return true;
        }
        rest = after;
    }
    false
}

/// The modules that are part of a circle: what is left when all that use nothing that is left were taken away.
fn in_circles(mut uses: BTreeMap<String, BTreeSet<String>>) -> BTreeSet<String> {
    loop {
        let left: BTreeSet<String> = uses.keys().cloned().collect();
        uses.retain(|_, used| used.iter().any(|other| left.contains(other)));
        if uses.len() == left.len() {
            return left;
        }
    }
}

#[test]
fn modules_of_a_folder_form_no_circle() {
    for folder in ["src/sys", "src/settings", "src/supervisor", "benches/peers"] {
        let uses = uses(folder);
        let circles = in_circles(uses.clone());
        assert!(circles.is_empty(), "{folder}: {circles:?} of {uses:#?}");
    }
}

/// What is declared beside the list of modules is above all of them.
#[test]
fn no_module_of_settings_uses_what_mod_rs_declares() {
    for (path, text) in sources("src/settings").iter().filter(|(path, _)| !path.ends_with("mod.rs")) {
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        for of_parent in ["use super::{", "use super::"].iter().flat_map(|start| text.split(start).skip(1)) {
            let is_module = of_parent.starts_with(|c: char| c.is_lowercase() || c == '{');
            assert!(is_module, "{}: {}", path.display(), of_parent.lines().next().unwrap_or_default());
        }
    }
}

#[test]
fn a_circle_is_found() {
    assert!(names("use super::{check, signals}; x", "signals"));
    assert!(names("signals::wait()", "signals"));
    assert!(!names("use std::process::Command;", "process"));
    assert!(!names("use super::check; self.signals = signals;", "signals"));
    let uses = |text: &str| text.split(' ').map(str::to_owned).collect::<BTreeSet<_>>();
    let of =
        [("a", uses("b")), ("b", uses("c")), ("c", uses("a d")), ("d", BTreeSet::new()), ("e", uses("d"))];
    let of = of.map(|(module, used)| (module.to_owned(), used));
    assert_eq!(in_circles(of.into()), uses("a b c"));
}
