//! The documents say what the code does: options, commands, links, measures.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::Arg;
use clap::builder::{Resettable, StyledStr};
use drainit::cli::{self, EarlyExit, Setting};
use drainit::settings::Settings;

use crate::generated::part;
use crate::harness::DRAINIT;

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
pub(crate) fn code_lines(text: &str, language: &str) -> Vec<String> {
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

/// The cells of the table in this file that begins with this line.
pub(crate) fn cells(file: &str, head: &str) -> Vec<Vec<String>> {
    let text = read(file);
    let rows = text.lines().skip_while(|line| !line.starts_with(head)).skip(2);
    let rows = rows.take_while(|line| line.starts_with('|'));
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    rows.map(cells).collect()
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

/// A variable that is read and not written down, or written down and not read, is found here whatever it is called.
#[test]
fn the_variables_of_the_options_are_those_that_are_read() {
    let source = read("src/cli/setting.rs");
    let code = source.split("#[cfg(test)]").next().unwrap_or_default();
    let read: BTreeSet<&str> =
        code.split('"').skip(1).step_by(2).filter(|text| text.starts_with("DRAINIT_")).collect();
    assert!(read.contains(Setting::GRACE_PERIOD.variable()), "{read:?}");
    let written: BTreeSet<String> = options().iter().filter_map(variable).collect();
    assert_eq!(written.iter().map(String::as_str).collect::<BTreeSet<_>>(), read);
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

/// `[text](target)`: what stands in the round brackets.
pub(crate) fn links(text: &str) -> Vec<&str> {
    text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target).collect()
}

/// As GitHub makes it: small letters, digits, `-` and `_`, a blank is a `-`.
fn anchor(heading: &str) -> String {
    let kept = |letter: &char| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_');
    let letters = heading.trim_start_matches('#').trim().chars().filter(kept);
    letters.map(|letter| if letter == ' ' { '-' } else { letter.to_ascii_lowercase() }).collect()
}

/// Those of its headings; what is in code blocks is none.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut in_code = false;
    let headings = text.lines().filter(|line| {
        in_code ^= line.starts_with("```");
        !in_code && line.starts_with('#')
    });
    headings.map(anchor).collect()
}

/// To files, to headings, and to pictures in HTML.
#[test]
fn no_link_is_dead() {
    for document in documents() {
        let text = read(&document);
        let pictures = ["src=\"", "srcset=\""].into_iter().flat_map(|start| text.split(start).skip(1));
        let pictures = pictures.filter_map(|rest| rest.split_once('"')).map(|(target, _)| target);
        for target in links(&text).into_iter().chain(pictures).filter(|target| !target.contains("://")) {
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let folder = document.parent().expect("a file has a folder");
            let path = if file.is_empty() { document.clone() } else { folder.join(file) };
            assert!(path.exists(), "{}: {target} is not there", document.display());
            if !heading.is_empty() {
                let known = anchors(&read(&path));
                assert!(known.contains(heading), "{}: {target}, among {known:?}", document.display());
            }
        }
    }
}

#[test]
fn the_readme_is_short() {
    let bytes = read("README.md").len();
    assert!(bytes <= 10 << 10, "{bytes} bytes");
}

/// The command lines of drainit in a document: lines of code that begin with it, what stands between backticks, and entrypoints.
fn command_lines(text: &str) -> Vec<Vec<String>> {
    let split = |line: &str| shlex::split(line).unwrap_or_else(|| panic!("no shell reads {line:?}"));
    let shell = code_lines(text, "sh");
    let indented = text.lines().filter_map(|line| line.strip_prefix("    "));
    let quoted = text.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    let lines = shell.iter().map(String::as_str).chain(indented).chain(quoted);
    // What is left out, or stands for something, is no command line.
    let lines = lines.filter(|line| line.starts_with("drainit ") && !line.contains(['…', '[']));
    let entrypoints = text.lines().filter_map(|line| line.strip_prefix("ENTRYPOINT "));
    let entrypoints = entrypoints.map(|list| serde_json::from_str(list).expect("the exec form"));
    lines.map(split).chain(entrypoints).collect()
}

/// drainit takes each of them, in whatever document. One without a command is given one.
#[test]
fn every_command_line_is_taken() {
    let mut count = 0;
    for document in documents() {
        for words in command_lines(&read(&document)) {
            let settings = |words: &[String]| match cli::parse(words.iter().map(OsString::from).collect()) {
                Ok(typed) => Settings::new(typed, |_| None).map(drop).map_err(|error| error.to_string()),
                Err(EarlyExit::Print(_) | EarlyExit::Copy(_)) => Ok(()),
                Err(EarlyExit::Refuse(problem)) => Err(problem),
            };
            let with_command = [&words[..], &["--".to_owned(), "true".to_owned()]].concat();
            let taken = settings(&words).or_else(|problem| settings(&with_command).map_err(|_| problem));
            assert!(taken.is_ok(), "{}: {words:?}: {taken:?}", document.display());
            count += 1;
        }
    }
    assert!(count > 45, "only {count}");
}

/// Words that a reader has to translate back.
#[test]
fn the_documents_speak_plainly() {
    for document in documents() {
        let text = read(&document).to_lowercase();
        let signals = ["term", "int", "quit", "hup", "winch"].map(|signal| format!(" at {signal}"));
        let words = ["somebody", "everybody", "whoever", "who ignores", "ends in order", "end in order"]
            .map(str::to_owned);
        for words in signals.iter().chain(&words) {
            let found = text.match_indices(words.as_str()).any(|(at, _)| {
                let rest = &text[at + words.len()..];
                !rest.starts_with(|letter: char| letter.is_alphanumeric())
            });
            assert!(!found, "{} says {words:?}", document.display());
        }
    }
}

/// The owner's name is the same wherever it is, and Cargo.toml has it.
#[test]
fn the_owner_is_one() {
    let manifest: toml::Table = read("Cargo.toml").parse().expect("TOML");
    let place = manifest["workspace"]["package"]["repository"].as_str().expect("text");
    let owner = place.strip_prefix("https://github.com/").and_then(|rest| rest.strip_suffix("/drainit"));
    let owner = owner.unwrap_or_else(|| panic!("{place} is no such place"));
    let own = [".github/workflows/ci.yml", ".github/workflows/release.yml", "Dockerfile", "Cargo.toml"];
    let own = own.iter().map(|name| root().join(name)).filter(|path| path.is_file());
    let examples = crate::examples::files().into_iter().map(|file| root().join("examples").join(file));
    for document in documents().into_iter().chain(own).chain(examples) {
        let text = read(&document);
        for (before, _) in text.match_indices("/drainit").map(|(at, _)| text.split_at(at)) {
            let Some((_, found)) = before.rsplit_once("github.com/") else { continue };
            if found != "$owner" && !found.contains(|letter: char| letter.is_whitespace() || letter == '/') {
                assert_eq!(found, owner, "{}", document.display());
            }
        }
        let placeholders = text.matches(owner).count();
        assert!(owner != "OWNER" || placeholders <= 3, "{}: {placeholders} places", document.display());
    }
}

/// Which registry an image is in is for whoever pushes it.
#[test]
fn no_image_is_named_with_its_registry() {
    let own = [".github/workflows/ci.yml", ".github/workflows/release.yml", "Dockerfile", "Cargo.toml"];
    let own = own.iter().map(|name| root().join(name)).filter(|path| path.is_file());
    let examples = crate::examples::files().into_iter().map(|file| root().join("examples").join(file));
    for file in documents().into_iter().chain(own).chain(examples) {
        let text = read(&file);
        for host in [
            "gcr.io",
            "ghcr.io",
            "quay.io",
            "docker.io/",
            "hub.docker.com",
            "registry.",
            "crates.io",
            "pypi.org",
        ] {
            assert!(!text.contains(host), "{} names {host}", file.display());
        }
    }
}

#[test]
fn what_is_shown_of_an_example_stands_there() {
    let examples: String =
        crate::examples::files().iter().map(|file| read(format!("examples/{file}"))).collect();
    for (page, least) in [("README.md", 5), ("docs/kubernetes.md", 10)] {
        let shown = code_lines(&read(page), "yaml");
        assert!(shown.len() >= least, "{page} shows some of them: {shown:?}");
        for line in shown {
            assert!(examples.lines().any(|known| known == line), "{page}: no example has {line:?}");
        }
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
    let text = read("docs/measures.md");
    for (name, parts) in [
        ("bench", &["| drainit |", "tini-static", "dumb-init", "catatonit", "Measured by `cargo bench"][..]),
        ("programs", &["| `nginx ", "`tini-static -g`", "`dumb-init`", "Measured by `cargo bench"]),
        ("processors", &["| linux/amd64 |", "| linux/s390x |"]),
    ] {
        let (_, measures, _) = part(&text, name);
        for part in parts {
            assert!(measures.contains(part), "{part} is not in the {name} measures");
        }
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
