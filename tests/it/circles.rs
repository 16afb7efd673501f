//! No two modules use each other, at whatever depth, and whatever lies between them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::layers::{code, sources};

/// Names from the crate's root down to a module, or to something in it.
type Names = Vec<String>;

/// A folder, as the names of its module, and which module directly below it uses which.
type Uses = BTreeMap<Names, BTreeMap<String, BTreeSet<String>>>;

/// One file of a crate, without its tests.
struct File {
    module: Names,
    code: String,
}

/// The files of a crate that are compiled without its tests, if `folder` has its root.
fn files(folder: &str) -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files = Vec::new();
    let mut tests: BTreeSet<Names> = BTreeSet::new();
    for (path, text) in sources(folder) {
        let path = path.strip_prefix(&root).expect("below it").with_extension("");
        let mut module: Names = path.iter().map(|name| name.to_str().expect("text").to_owned()).collect();
        module.pop_if(|last| ["mod", "main", "lib"].contains(&last.as_str()));
        let (code, test_modules) = without_tests(&text);
        tests.extend(test_modules.into_iter().map(|test| joined(&module, &[test])));
        files.push(File { module, code });
    }
    files.retain(|file| !(0..=file.module.len()).any(|end| tests.contains(&file.module[..end])));
    files
}

/// The code without comments and without what is for tests, and the modules that are for tests.
fn without_tests(text: &str) -> (String, Vec<String>) {
    let (mut kept, mut test_modules) = (String::new(), Vec::new());
    let mut lines = code(text);
    while let Some(line) = lines.next() {
        let Some(indent) = line.strip_suffix("#[cfg(test)]") else {
            kept.extend([line, "\n"]);
            continue;
        };
        let end = format!("{indent}}}");
        let item = lines.next().unwrap_or_default();
        if let Some((_, name)) = item.trim_end_matches(';').split_once("mod ") {
            test_modules.push(name.to_owned());
        }
        if !item.ends_with([';', ',']) {
            _ = lines.by_ref().find(|line| line.starts_with(&end));
        }
    }
    (kept, test_modules)
}

fn joined(start: &[String], end: &[String]) -> Names {
    [start, end].concat()
}

/// What a module imports, each path with the name that it has there.
fn imports(code: &str) -> Vec<(String, Names)> {
    let mut found = Vec::new();
    let mut from = 0;
    for line in code.split_inclusive('\n') {
        let declared = line.trim_start().split_once("use ");
        if declared.is_some_and(|(before, _)| before.is_empty() || before.starts_with("pub")) {
            let tree = code[from..].split_once("use ").and_then(|(_, tree)| tree.split_once(';'));
            expand(tree.expect("it ends").0.trim(), &[], &mut found);
        }
        from += line.len();
    }
    found
}

/// Takes a tree such as `a::{b, c::D}` apart.
fn expand(tree: &str, start: &[String], found: &mut Vec<(String, Names)>) {
    let Some((start_of_list, list)) = tree.split_once('{') else {
        let (path, name) = tree.split_once(" as ").map_or((tree, None), |(path, name)| (path, Some(name)));
        let mut path = joined(start, &names(path));
        path.pop_if(|last| last == "self" && !start.is_empty());
        let name = name.map(str::to_owned).or_else(|| path.last().cloned());
        return found.extend(name.map(|name| (name, path)));
    };
    let start = joined(start, &names(start_of_list));
    let list = list.trim_end().strip_suffix('}').unwrap_or(list);
    let (mut depth, mut from) = (0_usize, 0);
    for (at, character) in list.char_indices().chain([(list.len(), ',')]) {
        match character {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                let one = list[from..at].trim();
                if !one.is_empty() {
                    expand(one, &start, found);
                }
                from = at + 1;
            }
            _ => {}
        }
    }
}

fn names(path: &str) -> Names {
    path.split("::").map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// The paths that the code names, in imports and elsewhere.
fn paths(code: &str) -> Vec<Names> {
    let is_of_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let elsewhere = code.split(|c| !is_of_path(c)).filter(|path| path.contains("::")).map(names);
    imports(code).into_iter().map(|(_, path)| path).chain(elsewhere).collect()
}

/// Which module uses which, in each folder of a crate, by the files' paths and by what their folders import for them.
fn uses(files: &[File]) -> Uses {
    let modules: BTreeSet<&Names> = files.iter().map(|file| &file.module).collect();
    let imported: BTreeMap<Names, Names> = files
        .iter()
        .flat_map(|file| {
            let imports = imports(&file.code).into_iter();
            imports.filter(|(name, _)| name != "*").filter_map(|(name, path)| {
                Some((joined(&file.module, &[name]), from_root(&path, &file.module, &modules)?))
            })
        })
        .collect();
    let mut uses = Uses::new();
    for file in files {
        for mut used in paths(&file.code).iter().filter_map(|path| from_root(path, &file.module, &modules)) {
            // A name that is handed on by another module, or by several, and not for ever.
            for _ in 0..modules.len() {
                let found = (1..=used.len())
                    .filter(|&end| !modules.contains(&used[..end].to_vec()))
                    .find_map(|end| Some((end, imported.get(&used[..end])?)));
                let Some((end, target)) = found else { break };
                used = joined(target, &used[end..]);
            }
            // The module alone, without what is named of it.
            let length = (0..=used.len()).rev().find(|&end| modules.contains(&used[..end].to_vec()));
            used.truncate(length.unwrap_or(0));
            let common = used.iter().zip(&file.module).take_while(|(one, other)| one == other).count();
            if let (Some(user), Some(used)) = (file.module.get(common), used.get(common)) {
                let folder = uses.entry(file.module[..common].to_vec()).or_default();
                folder.entry(user.clone()).or_default().insert(used.clone());
            }
        }
    }
    uses
}

/// A path as it is from the crate's root, or `None` if it is of another crate.
fn from_root(path: &[String], module: &[String], modules: &BTreeSet<&Names>) -> Option<Names> {
    let (first, rest) = path.split_first()?;
    match first.as_str() {
        "crate" => Some(rest.to_vec()),
        "self" => Some(joined(module, rest)),
        "super" => {
            let (_, parent) = module.split_last()?;
            let again = rest.first().is_some_and(|next| next == "super");
            if again { from_root(rest, parent, modules) } else { Some(joined(parent, rest)) }
        }
        child if modules.contains(&joined(module, &[child.to_owned()])) => Some(joined(module, path)),
        _ => None,
    }
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
    let crates = ["src", "runtime/src", "tests/fault", "benches/peers", "benches/programs", "fake-workload"];
    let mut circles = Vec::new();
    for root in crates {
        let uses = uses(&files(root));
        assert!(!uses.is_empty(), "{root}: what uses what is seen");
        for (folder, uses) in uses {
            let circle = in_circles(uses.clone());
            if !circle.is_empty() {
                circles.push(format!("{root}/{}: {circle:?} of {uses:?}", folder.join("/")));
            }
        }
    }
    assert!(circles.is_empty(), "{}", circles.join("\n"));
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

fn file(module: &str, code: &str) -> File {
    File { module: names(module), code: code.to_owned() }
}

#[test]
fn a_circle_is_found_at_every_depth() {
    let found = |files: &[File]| {
        let circles = uses(files).into_iter().map(|(folder, uses)| (folder, in_circles(uses)));
        let circles = circles.filter(|(_, circle)| !circle.is_empty());
        circles.map(|(folder, circle)| format!("{}: {circle:?}", folder.join("/"))).collect::<Vec<_>>()
    };
    let deep = |c: &str| {
        let (a, b) = (file("x::y::a", "use super::{b, c};"), file("x::y::b", "fn f() { super::c::g(); }"));
        found(&[file("x", ""), file("x::y", "pub mod a;"), a, b, file("x::y::c", c)])
    };
    assert_eq!(deep("use std::process::Command;\nuse super::Thing;"), [""; 0]);
    assert_eq!(deep("use super::a::Thing;"), [r#"x/y: {"a", "b", "c"}"#]);
    assert_eq!(deep("use crate::{signal, x::{y::{a::Thing as Other}}};"), [r#"x/y: {"a", "b", "c"}"#]);

    let parts =
        [file("x::a", "use crate::z::Thing;"), file("z::b", "use crate::x::c::Other;"), file("x::c", "")];
    assert_eq!(found(&parts), [""; 0], "z is no module here");
    let whole = [file("x", ""), file("z", "mod b;\npub use b::Thing;")].into_iter().chain(parts);
    assert_eq!(found(&whole.collect::<Vec<_>>()), [r#": {"x", "z"}"#]);

    let handed_on = [file("x", "mod a;\nmod b;\npub use a::Thing;"), file("x::a", "use super::b;")];
    let handed_on = handed_on.into_iter().chain([file("x::b", "fn f(thing: super::Thing) {}")]);
    assert_eq!(found(&handed_on.collect::<Vec<_>>()), [r#"x: {"a", "b"}"#]);

    let each_other = [file("a", "use super::b::Thing;"), file("b", "use super::a::Thing;")];
    assert_eq!(found(&each_other), [r#": {"a", "b"}"#]);
}

#[test]
fn what_is_for_tests_does_not_count() {
    let text = "a\n// b\n#[cfg(test)]\nmod c;\nd\n    #[cfg(test)]\n    fn e() {\n        f\n    }\ng\n#[cfg(test)]\nmod tests {\n}";
    assert_eq!(without_tests(text), ("a\nd\ng\n".to_owned(), vec!["c".to_owned(), "tests {".to_owned()]));
}
