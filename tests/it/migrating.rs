//! docs/migrating.md: every flag and variable of the peers is one of drainit's, and its tables say which.

use std::ffi::OsString;
use std::fmt::Write;

use clap::Arg;
use drainit::cli::{self, EarlyExit};
use drainit::settings::Settings;

use crate::docs::{options, read, spellings};
use crate::generated::{is_current, run};

const FILE: &str = "docs/migrating.md";

/// A flag: its spellings, the value that it is tried with, and what is different here.
struct Flag(&'static [&'static str], Option<&'static str>, &'static str);

/// A variable: a value, the flags that say the same here, what this value and others mean.
struct Variable(&'static str, &'static str, &'static [&'static str], &'static str);

struct Peer {
    name: &'static str,
    /// Its help, which lists its flags.
    help: &'static str,
    flags: &'static [Flag],
    variables: &'static [Variable],
}

const PEERS: [Peer; 3] = [
    Peer {
        name: "tini",
        help: "-h",
        flags: &[
            Flag(&["-s"], None, ""),
            Flag(&["-p"], Some("SIGKILL"), "Any spelling of a signal."),
            Flag(&["-v"], None, "On stderr."),
            Flag(&["-w"], None, ""),
            Flag(&["-g"], None, "Not the default, which is `auto`; tini's default is `-c`."),
            Flag(&["-e"], Some("143"), "Also to another code than 0."),
            Flag(&["-h"], None, ""),
            Flag(&["-l"], None, "drainit's."),
            Flag(&["--version"], None, "Also beside other options."),
        ],
        variables: &[
            Variable("TINI_SUBREAPER", "", &["-s"], "Whatever its value."),
            Variable("TINI_KILL_PROCESS_GROUP", "", &["-g"], "Whatever its value."),
            Variable("TINI_VERBOSITY", "0", &["-q"], "Also if it is no number."),
            Variable("TINI_VERBOSITY", "1", &[], "The default."),
            Variable("TINI_VERBOSITY", "2", &["-v"], ""),
            Variable("TINI_VERBOSITY", "3", &["-vv"], ""),
            Variable("TINI_VERBOSITY", "4", &["-vvv"], "And above."),
        ],
    },
    Peer {
        name: "dumb-init",
        help: "--help",
        flags: &[
            Flag(&["-c", "--single-child"], None, ""),
            Flag(&["-r", "--rewrite"], Some("15:3"), "Names and real-time signals too."),
            Flag(&["-v", "--verbose"], None, "dumb-init's is `-vv` here."),
            Flag(&["-h", "--help"], None, "On stdout."),
            Flag(&["-V", "--version"], None, "On stdout, and another text."),
        ],
        variables: &[
            Variable("DUMB_INIT_DEBUG", "1", &["-vv"], "No other value means anything."),
            Variable("DUMB_INIT_SETSID", "0", &["-c"], "No other value means anything."),
        ],
    },
    Peer {
        name: "catatonit",
        help: "-h",
        flags: &[
            Flag(&["-g"], None, "Not the default, which is `auto`; catatonit's default is `-c`."),
            Flag(&["-h"], None, "On stdout."),
            Flag(&["-L"], None, "drainit's."),
            Flag(&["-P"], None, "A command beside it is refused."),
            Flag(&["-V", "--version"], None, ""),
        ],
        variables: &[
            Variable("CATATONIT_DEBUG", "", &["-vv"], "Whatever its value."),
            Variable("CATATONIT_LOG", "x", &[], "Not read; catatonit does not start."),
        ],
    },
];

/// The option of drainit that is spelt so.
fn option_of(spelling: &str) -> Arg {
    let found = options().into_iter().find(|option| spellings(option).contains(spelling));
    found.unwrap_or_else(|| panic!("drainit has no {spelling}"))
}

/// Its long name, which says most; `-g` has none.
fn own_name(option: &Arg) -> String {
    let spellings = spellings(option);
    spellings.iter().max_by_key(|spelling| spelling.len()).expect("it is spelt somehow").clone()
}

fn code(words: &[&str]) -> String {
    if words.is_empty() { String::new() } else { format!("`{}`", words.join(" ")) }
}

fn rows(peer: &Peer) -> String {
    let mut rows = "| theirs | here | what it does here | different |\n|---|---|---|---|\n".to_owned();
    for Flag(theirs, value, note) in peer.flags {
        let option = option_of(theirs[0]);
        let theirs: Vec<String> =
            theirs.iter().map(|flag| code(&[&[*flag], value.as_slice()].concat())).collect();
        let help = option.get_help().map(ToString::to_string).unwrap_or_default().replace('\n', " ");
        writeln!(rows, "| {} | `{}` | {help}. | {note} |", theirs.join(", "), own_name(&option))
            .expect("memory");
    }
    for Variable(name, value, flags, note) in peer.variables {
        let help =
            flags.first().map(|flag| option_of(&flag[..2])).and_then(|option| option.get_help().cloned());
        let help = help.map(|help| format!("{help}.")).unwrap_or_default();
        writeln!(rows, "| `{name}={value}` | {} | {help} | {note} |", code(flags)).expect("memory");
    }
    rows
}

/// The page with its tables as they are made now.
fn page() -> String {
    let mut page = read(FILE);
    for peer in &PEERS {
        let (begin, end) =
            (format!("<!-- {}:begin -->\n", peer.name), format!("<!-- {}:end -->\n", peer.name));
        let (before, rest) = page.split_once(&begin).expect("the table's begin is marked");
        let (_, after) = rest.split_once(&end).expect("the table's end is marked");
        page = format!("{before}{begin}{}{end}{after}", rows(peer));
    }
    page
}

#[test]
fn each_table_of_flags_is_current() {
    is_current(FILE, &page());
}

fn settings(line: &[&str], variable: Option<(&str, &str)>) -> Settings {
    let typed = cli::parse(line.iter().map(OsString::from).collect());
    let typed = typed.unwrap_or_else(|instead| panic!("{line:?}: {instead:?}"));
    let find = |name: &str| variable.filter(|(known, _)| *known == name).map(|(_, value)| value.into());
    Settings::new(typed, find).unwrap_or_else(|error| panic!("{line:?}: {error}"))
}

#[test]
fn every_flag_is_taken_in_each_spelling() {
    for Flag(theirs, value, _) in PEERS.iter().flat_map(|peer| peer.flags) {
        for flag in *theirs {
            let mut line = vec!["drainit", flag];
            line.extend(value);
            line.extend((*flag != "-P").then_some("true"));
            match cli::parse(line.iter().map(OsString::from).collect()) {
                Ok(_) => drop(settings(&line, None)),
                Err(EarlyExit::Print(text)) => assert!(!text.is_empty()),
                Err(EarlyExit::Copy(path)) => panic!("{line:?} copies to {path:?}"),
                Err(EarlyExit::Refuse(problem)) => panic!("{line:?}: {problem}"),
            }
        }
    }
}

#[test]
fn every_variable_says_what_its_flags_say() {
    for Variable(name, value, flags, _) in PEERS.iter().flat_map(|peer| peer.variables) {
        for program in ["drainit", "docker-init"] {
            let line = |flags: &[&'static str]| [&[program], flags, &["true"]].concat();
            let set = settings(&line(&[]), Some((name, value)));
            let typed = settings(&line(flags), None);
            assert_eq!(format!("{set:?}"), format!("{typed:?}"), "{program} {name}={value}");
        }
    }
}

/// The flags and variables in a help text: words that begin as such.
fn named(help: &str) -> Vec<&str> {
    let words =
        help.split(|character: char| !(character.is_ascii_alphanumeric() || "-_".contains(character)));
    let is_flag = |word: &&str| word.starts_with('-') && !word.trim_start_matches('-').is_empty();
    let is_variable = |word: &&str| word.starts_with("TINI_");
    words.filter(|word| is_flag(word) || is_variable(word)).collect()
}

#[test]
fn the_tables_have_every_flag_that_the_peers_have() {
    for peer in &PEERS {
        let Some(output) = run(peer.name, &[peer.help]) else { continue };
        let help =
            [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        let known = |word: &str| {
            peer.flags.iter().any(|Flag(flags, ..)| flags.contains(&word))
                || peer.variables.iter().any(|Variable(name, ..)| *name == word)
        };
        let found = named(&help);
        assert!(found.len() > 4, "{}: {help}", peer.name);
        for word in found {
            // The usage line of catatonit has them in one.
            assert!(known(word) || word == "-ghLPV", "{}: {word} is not in the table", peer.name);
        }
    }
}

#[test]
fn every_variable_that_is_read_is_in_a_table() {
    let named: Vec<&str> = PEERS.iter().flat_map(|peer| peer.variables).map(|variable| variable.0).collect();
    for name in drainit::settings::COMPAT_VARIABLES {
        assert!(named.contains(&name), "{name}");
        assert!(read("docs/options.md").contains(&format!("`{name}`")), "{name}");
    }
}
