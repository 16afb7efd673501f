//! The documents say what the code does: options, commands, links, measures.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Arg;
use clap::builder::{Resettable, StyledStr};
use drainit::cli::{self, Setting};

use crate::harness::{DRAINIT, Init};

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn read(name: impl AsRef<Path>) -> String {
    let path = root().join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every Markdown file of the project.
fn documents() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder of this project") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() {
                if name != "target" && !name.starts_with('.') {
                    folders.push(path);
                }
            } else if name.ends_with(".md") {
                found.push(path);
            }
        }
    }
    assert!(found.iter().any(|path| path.ends_with("README.md")));
    found
}

/// The lines of a document's code blocks in this language.
fn code_lines(text: &str, language: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut open: Option<&str> = None;
    for line in text.lines() {
        match (open, line.strip_prefix("```")) {
            (None, Some(name)) => open = Some(name.trim()),
            (Some(_), Some(_)) => open = None,
            (Some(name), None) if name == language => lines.push(line.to_owned()),
            _ => {}
        }
    }
    lines
}

/// What stands between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// A row of the README's option table: the spellings of the option, its variables, what holds without it, and what it means.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) spellings: BTreeSet<String>,
    pub(crate) variables: Vec<String>,
    pub(crate) default: String,
    pub(crate) meaning: String,
}

/// The cells of the README's table that begins with this line.
pub(crate) fn cells(head: &str) -> Vec<Vec<String>> {
    let text = read("README.md");
    let rows = text.lines().skip_while(|line| !line.starts_with(head)).skip(2);
    let rows = rows.take_while(|line| line.starts_with('|'));
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    rows.map(cells).collect()
}

pub(crate) fn table() -> Vec<Row> {
    let row = |cells: Vec<String>| {
        let [options, variables, default, meaning] = <[String; 4]>::try_from(cells).expect("four cells");
        let spelling = |text: &str| text.split([' ', '[']).next().unwrap_or_default().to_owned();
        Row {
            spellings: quoted(&options).map(spelling).collect(),
            variables: quoted(&variables).map(str::to_owned).collect(),
            default,
            meaning,
        }
    };
    cells("| option | environment |").into_iter().map(row).collect()
}

/// `-r` and `--rewrite`, and other short ones that are shown.
pub(crate) fn spellings(option: &Arg) -> BTreeSet<String> {
    let aliases = option.get_visible_short_aliases().unwrap_or_default();
    let short = option.get_short().into_iter().chain(aliases).map(|short| format!("-{short}"));
    short.chain(option.get_long().map(|long| format!("--{long}"))).collect()
}

/// The twin of an option: named after it, but for short forms of others and for what prints and exits.
pub(crate) fn variable(option: &Arg) -> Option<String> {
    match option.get_id().as_str() {
        "help" | "short-help" | "version" | "license" | "pause" | "copy-to" => None,
        "group" | "single-child" => Some(Setting::FORWARD_TO.variable().to_owned()),
        "verbose" | "quiet" => Some(Setting::LOG.variable().to_owned()),
        name => Some(format!("DRAINIT_{}", name.to_ascii_uppercase().replace('-', "_"))),
    }
}

pub(crate) fn options() -> Vec<Arg> {
    cli::definition().get_arguments().filter(|argument| !argument.is_positional()).cloned().collect()
}

#[test]
fn every_option_is_in_the_readme_with_its_twin() {
    let table = table();
    for option in options() {
        let spellings = spellings(&option);
        let rows: Vec<&Row> = table.iter().filter(|row| row.spellings == spellings).collect();
        let [row] = rows.as_slice() else { panic!("{spellings:?}: not in exactly one row: {table:#?}") };
        let twin: Vec<String> = variable(&option).into_iter().collect();
        assert_eq!(row.variables, twin, "{spellings:?}");
    }
}

#[test]
fn each_help_is_current() {
    let helps = [
        ("--help", "src/cli/help.txt", cli::definition()),
        ("-h", "src/cli/help-short.txt", cli::short_definition()),
    ];
    let helps = helps.map(|(flag, file, definition)| {
        let made = definition.override_help(Resettable::<StyledStr>::Reset).render_help().to_string();
        crate::generated::is_current(file, &made);
        (flag, made)
    });
    for (flag, made) in helps {
        let printed = std::process::Command::new(*DRAINIT).arg(flag).output().expect("it runs");
        let text = String::from_utf8_lossy(&printed.stdout);
        assert_eq!((printed.status.code(), text.as_ref()), (Some(0), &*made), "{flag}");
    }
}

#[test]
fn every_option_in_the_readme_is_there() {
    let options: Vec<_> = options().iter().map(spellings).collect();
    for row in table() {
        assert!(options.contains(&row.spellings), "{row:?} is no option");
    }
}

/// A variable that is read and not written down, or written down and not read, is found here whatever it is called.
#[test]
fn the_variables_in_the_readme_are_those_that_are_read() {
    let source = read("src/cli/setting.rs");
    let code = source.split("#[cfg(test)]").next().unwrap_or_default();
    let read: BTreeSet<&str> =
        code.split('"').skip(1).step_by(2).filter(|text| text.starts_with("DRAINIT_")).collect();
    assert!(read.contains(Setting::GRACE_PERIOD.variable()), "{read:?}");
    let table = table();
    let written: BTreeSet<&str> = table.iter().flat_map(|row| &row.variables).map(String::as_str).collect();
    assert_eq!(written, read);
}

#[test]
fn there_is_one_command_to_run_and_one_to_test() {
    let lines = code_lines(&read("README.md"), "sh");
    let beginning = |start: &str| lines.iter().filter(|line| line.trim_start().starts_with(start)).count();
    assert_eq!(beginning("cargo run"), 1, "{lines:#?}");
    assert_eq!(beginning("cargo test"), 1, "{lines:#?}");
    if !root().join(".git").exists() {
        eprintln!("not compared with the checks: a package has no .ci");
        return;
    }
    let checks = read(".ci/run");
    // In parts, each with a line of its own.
    assert!(checks.lines().any(|line| line.starts_with("cargo test")), "the checks run no tests");
}

/// The README's lines that begin with drainit: the options, and the command behind `--`.
fn recipes() -> Vec<(Vec<String>, Vec<String>)> {
    let lines = code_lines(&read("README.md"), "sh");
    let lines = lines.iter().filter(|line| line.starts_with("drainit "));
    let recipes = lines.map(|line| {
        let words = shlex::split(line).unwrap_or_else(|| panic!("no shell reads {line:?}"));
        let end = words.iter().position(|word| word == "--");
        let end = end.unwrap_or_else(|| panic!("{line:?} does not say where the command begins"));
        (words[1..end].to_vec(), words[end + 1..].to_vec())
    });
    recipes.collect()
}

/// With a command that does nothing in the place of the real one, which is not installed here.
#[test]
fn every_recipe_is_a_good_command_line() {
    let recipes = recipes();
    assert!(recipes.len() >= 12, "{recipes:#?}");
    for (options, command) in recipes {
        assert!(!command.is_empty(), "{options:?} run nothing");
        let flags: Vec<&str> = options.iter().map(String::as_str).collect();
        let run = Init::subreaper().flags(&flags).command(&["true"]).run();
        // The server that a step would speak to is not there either, nor is a step's program.
        let is_expected = |line: &&str| {
            line.starts_with("drainit: warning: post-exit http ")
                || line.contains(" would fail: not found in PATH")
        };
        assert!(run.exits(0).warnings().iter().all(is_expected), "{options:?}: {run:?}");
    }
}

/// `[text](target)`: what stands in the round brackets.
pub(crate) fn links(text: &str) -> Vec<&str> {
    text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target).collect()
}

#[test]
fn links_point_to_files_that_are_there() {
    for document in documents() {
        let text = read(&document);
        for target in links(&text).into_iter().filter(|target| !target.contains("://")) {
            let file = target.split('#').next().unwrap_or_default();
            let folder = document.parent().expect("a file has a folder");
            assert!(folder.join(file).exists(), "{}: {target} is not there", document.display());
        }
    }
}

#[test]
fn what_the_readme_shows_of_an_example_stands_there() {
    let examples: String =
        crate::examples::files().iter().map(|file| read(format!("examples/{file}"))).collect();
    let shown = code_lines(&read("README.md"), "yaml");
    assert!(shown.len() > 10, "the README shows some of them: {shown:?}");
    for line in shown {
        assert!(examples.lines().any(|known| known == line), "no example has {line:?}");
    }
}

#[test]
fn no_document_names_a_place_of_one_machine() {
    for document in documents().into_iter().chain([root().join("Dockerfile.example")]) {
        let text = read(&document);
        for place in ["/home/", "/root/", "/Users/", "/work/", "../shared", "/tmp/"] {
            assert!(!text.contains(place), "{} names {place}", document.display());
        }
    }
}

#[test]
fn the_measures_are_filled_in() {
    let text = read("README.md");
    let parts: Vec<&str> = text.split("<!-- bench:").collect();
    let [_, begin, end] = parts.as_slice() else { panic!("the markers are not there once each") };
    let measures = begin.strip_prefix("begin -->").expect("the first marker begins");
    assert!(end.starts_with("end -->"));
    for part in ["| drainit |", "tini-static", "dumb-init", "catatonit", "Measured by `cargo bench"] {
        assert!(measures.contains(part), "{part} is not in the measures");
    }
}

#[test]
fn the_licence_is_there_under_each_of_its_names() {
    let license = env!("CARGO_PKG_LICENSE");
    assert!(read("LICENSE").contains(license));
    assert!(read("LICENSE-MIT").contains("Permission is hereby granted, free of charge"));
    assert!(read("LICENSE-APACHE").contains("Version 2.0, January 2004"));
    assert_eq!(env!("CARGO_PKG_README"), "README.md");
}
