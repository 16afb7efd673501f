//! The manual page: made from the command line's definition and the tables of docs/options.md, and checked in.

use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};
use drainit::cli;

use crate::generated::{is_current, run};
use crate::{docs, options};

const FILE: &str = "docs/drainit.1";
const ABOUT: &str = "container init that forwards signals, reaps orphans and exits last";

const DESCRIPTION: &[&str] = &[
    "`drainit` starts COMMAND in a process group of its own, as PID 1 of a container or as an ordinary process. It forwards \
     signals to COMMAND, reaps every orphan, and exits only when no child is left. Its exit status is that of COMMAND.",
    "Everything after COMMAND belongs to COMMAND, with or without `--`.",
    "A stop can begin with a drain: run a command, wait, send a request, or wait until a port has no connections. Afterwards drainit says \
     which processes were killed or kept the stop waiting. If all went well it says nothing. Once COMMAND runs, drainit never writes to \
     standard output.",
    "If an option or a value is wrong, drainit names it in one line on standard error, starts nothing, and exits with 125.",
];

/// Each is a word that stands out, and what it means.
const STOP: &[(&str, &str)] = &[
    (
        "Drain",
        "The `--pre-stop` steps run one by one, within `--pre-stop-timeout`, while the command goes on serving. The command's own exit does not \
         drain.",
    ),
    (
        "Signal",
        "The stop signal, after `--rewrite`, or the first signal of `--stop-schedule` goes to the target. Processes that are stopped, by STOP for \
         example, get CONT too.",
    ),
    (
        "Wait",
        "The command's exit is not the end. Processes that are left and were not signalled are signalled, once. If every process that is \
         left ignores the signal, the stop goes on after `--ignored-after`.",
    ),
    (
        "Kill",
        "KILL goes to every process that is left when the schedule or the `--grace-period` is over, and a warning names them.",
    ),
    ("After", "The `--post-exit` steps run after the last process has ended."),
];

const STOP_HEAD: &str = "A stop begins when a stop signal arrives, when the time of `--stop-after` or `--rehearse` is over, or when the command \
     exits by itself (not with `--wait-for-all`).";

const CLOCKS: &str = "After a stop request, only `--grace-period` and `--stop-schedule` limit the stop. After the command's own exit, the limit \
     is ten seconds if neither is set. Set the grace period a little below the runtime's own: Docker waits 10 s, Kubernetes 30 s.";

const SIGNALS: &[&str] = &[
    "Every signal that can be received is forwarded, real-time signals too, except CHLD, faults raised by the kernel, and signals that drainit \
     caused itself. A stop signal during the drain, or within a second after processes were signalled, repeats the same request.",
    "Signals are written as `15`, `TERM`, `SIGTERM`, `sigterm`, `RTMIN+3`, `SIGRTMIN+3`, `RTMAX-2` or `SIGRTMINPLUS3`. RTMIN is 34 and RTMAX is \
     64, whatever the C library says.",
];

const ENVIRONMENT: &str = "Each variable means what its option means, and the option wins. An empty variable counts as unset. Values \
     of a repeatable option are separated by commas, commands and URLs by newlines. Switches take `1`, `true`, `yes`, `on` or `0`, `false`, `no`, `off`.";

/// Variables that are not named after an option.
const OTHER_VARIABLES: &[(&str, &str)] = &[
    ("TINI_KILL_PROCESS_GROUP", "Same as `--forward-to group`, whatever its value."),
    ("TINI_VERBOSITY", "0 is `error`, 1 `warn`, 2 `info`, 3 `debug`, above that `trace`."),
    ("TINI_SUBREAPER", "Same as `--subreaper`, which is always on."),
    ("DUMB_INIT_SETSID", "Same as `--forward-to main` if it is `0`."),
    ("DUMB_INIT_DEBUG", "The log's level is `debug` if it is `1`."),
    ("CATATONIT_DEBUG", "The log's level is `debug`, whatever its value."),
    ("LISTEN_PID", "If it is drainit's pid, drainit sets it to the command's."),
    ("NO_COLOR", "If it is set, the drawing of `--rehearse` has no colour."),
];

const FOR_STEPS: &[(&str, &str)] = &[
    ("DRAINIT_MAIN_PID", "The command's pid, while the command lives."),
    ("DRAINIT_RECEIVED_SIGNAL", "The signal that began this stop."),
    ("DRAINIT_DEADLINE_MS", "The time that is left for the steps, in milliseconds."),
];

const REMAPPED: &str =
    "`--remap-exit` changes the first two kinds. It does not turn a stop that needed KILL into a success.";

const NAMES: &str = "Started as `docker-init`, `tini`, `tini-static`, `podman-init` or `catatonit`, drainit sends signals to the command alone \
     unless an option or a variable says otherwise, and `--version` prints what dockerd understands.";

const EXAMPLES: &[(&str, &str)] = &[
    ("If the shell dies of TERM, its server is signalled and waited for.", "drainit -- ./entrypoint.sh"),
    ("nginx finishes its connections on QUIT.", "drainit --rewrite TERM:QUIT -- nginx -g 'daemon off;'"),
    (
        "Connections end before the server is signalled.",
        "drainit --pre-stop-idle 8080 --grace-period 25s -- /app",
    ),
    ("See how a stop goes.", "drainit --rehearse 5s -- ./entrypoint.sh"),
];

/// What stands between backticks stands out.
fn rich(text: &str) -> Vec<Inline> {
    let parts = text.split('`').enumerate().filter(|(_, part)| !part.is_empty());
    parts.map(|(at, part)| if at % 2 == 1 { bold(part) } else { roman(part) }).collect()
}

fn paragraphs(page: &mut Roff, texts: &[&str]) {
    for text in texts {
        page.control("PP", []).text(rich(text));
    }
}

/// A list of words and what they mean.
fn list<W: AsRef<str>, M: AsRef<str>>(page: &mut Roff, entries: &[(W, M)]) {
    for (word, meaning) in entries {
        page.control("TP", []).text([bold(word.as_ref())]).text(rich(meaning.as_ref()));
    }
}

fn described_options(page: &mut Roff) {
    let definition = cli::definition();
    let mut heading = None;
    for option in definition.get_arguments().filter(|option| !option.is_positional()) {
        if option.get_help_heading() != heading {
            heading = option.get_help_heading();
            page.control("SS", heading);
        }
        let spellings = docs::spellings(option);
        let mut typed: Vec<Inline> = Vec::new();
        let mut spellings: Vec<String> = spellings.into_iter().collect();
        spellings.sort_by_key(String::len);
        for spelling in spellings {
            let separator = (!typed.is_empty()).then(|| roman(", "));
            typed.extend(separator.into_iter().chain([bold(spelling)]));
        }
        if option.get_action().takes_values() {
            let names = option.get_value_names().unwrap_or_default();
            let (before, after) = if option.is_require_equals_set() { ("[=", "]") } else { (" ", "") };
            typed.extend([
                roman(before),
                italic(names.iter().map(ToString::to_string).collect::<String>()),
                roman(after),
            ]);
        }
        page.control("TP", []).text(typed).text(rich(&options::meaning(option)));
    }
}

fn variables() -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for option in docs::options() {
        let Some(variable) = docs::variable(&option) else { continue };
        let typed = option.get_long().map_or_else(
            || option.get_short().map(|short| format!("`-{short}`")).unwrap_or_default(),
            |long| format!("`--{long}`"),
        );
        match found.iter_mut().find(|(known, _)| *known == variable) {
            Some((_, meaning)) => meaning.push_str(&format!(", {typed}")),
            None => found.push((variable, typed)),
        }
    }
    found.sort();
    found
}

fn body() -> Roff {
    let mut page = Roff::new();
    page.control("SH", ["SYNOPSIS"]);
    page.text([
        bold("drainit"),
        roman(" ["),
        italic("OPTIONS"),
        roman("] [--] "),
        italic("COMMAND"),
        roman(" ["),
        italic("ARG"),
        roman("]..."),
    ]);
    page.control("br", []).text([bold("drainit --pause"), roman(" ["), italic("OPTIONS"), roman("]")]);
    page.control("SH", ["DESCRIPTION"]);
    paragraphs(&mut page, DESCRIPTION);
    page.control("SH", ["OPTIONS"]);
    page.text(rich("Durations are `500ms`, `10s`, `1m30s`, `2h` or a bare number of seconds."));
    described_options(&mut page);
    page.control("SH", ["HOW A STOP GOES"]).text(rich(STOP_HEAD));
    list(&mut page, STOP);
    paragraphs(&mut page, &[CLOCKS]);
    page.control("SH", ["SIGNALS"]);
    paragraphs(&mut page, SIGNALS);
    page.control("SH", ["ENVIRONMENT"]).text(rich(ENVIRONMENT));
    list(&mut page, &variables());
    paragraphs(&mut page, &["Other variables that are read:"]);
    list(&mut page, OTHER_VARIABLES);
    paragraphs(&mut page, &["Commands that run as steps find these:"]);
    list(&mut page, FOR_STEPS);
    page.control("SH", ["EXIT STATUS"]);
    let codes: Vec<(String, String)> = docs::cells(options::FILE, "| code | meaning |")
        .into_iter()
        .map(|row| (row[0].clone(), row[1].clone()))
        .collect();
    list(&mut page, &codes);
    paragraphs(&mut page, &[REMAPPED]);
    page.control("SH", ["FILES"]);
    list(
        &mut page,
        &[(
            cli::TERMINATION_LOG,
            "The default file of `--termination-log`. Kubernetes shows it as the container's message.",
        )],
    );
    page.control("SH", ["NOTES"]);
    paragraphs(&mut page, &[NAMES]);
    page.control("SH", ["EXAMPLES"]);
    for (what, line) in EXAMPLES {
        page.control("PP", []).text(rich(what));
        page.control("PP", []).control("RS", ["4"]).control("nf", []).text([roman(*line)]);
        page.control("fi", []).control("RE", []);
    }
    page.control("SH", ["SEE ALSO"]).text(rich("`signal`(7), `pid_namespaces`(7), `prctl`(2)"));
    page
}

fn page() -> String {
    let man = Man::new(cli::definition().about(ABOUT)).title("DRAINIT").section("1").manual("User Commands");
    let mut head = Vec::new();
    man.render_title(&mut head).expect("memory");
    let mut name = Vec::new();
    man.render_name_section(&mut name).expect("memory");
    let preamble = Roff::new().render();
    let parts = [String::from_utf8(name).expect("text"), body().render()];
    // No date, which would be another day's difference; an empty word has to be quoted, or the next one takes its place.
    let mut page = String::from_utf8(head).expect("text").replace("DRAINIT 1  ", "DRAINIT 1 \"\" ");
    for part in parts {
        page.push_str(part.strip_prefix(&preamble).expect("each part begins in the same way"));
    }
    page
}

#[test]
fn the_manual_page_is_current() {
    is_current(FILE, &page());
}

#[test]
fn the_manual_page_has_no_errors() {
    let file = docs::root().join(FILE);
    let file = file.to_str().expect("text");
    if let Some(output) = run("groff", &["-man", "-ww", "-Tutf8", "-z", file]) {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && said.is_empty(), "{said}");
    }
    if let Some(output) = run("mandoc", &["-T", "lint", "-W", "error", file]) {
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}");
    }
}

#[test]
fn a_reader_finds_every_option_variable_and_exit_code() {
    let file = docs::root().join(FILE);
    let Some(output) = run("groff", &["-man", "-Tascii", "-P-cbou", file.to_str().expect("text")]) else {
        return;
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for option in docs::options() {
        for spelling in docs::spellings(&option) {
            assert!(text.contains(&spelling), "{spelling}");
        }
        if let Some(variable) = docs::variable(&option) {
            assert!(text.contains(&variable), "{variable}");
        }
    }
    for variable in drainit::settings::COMPAT_VARIABLES {
        assert!(text.contains(variable), "{variable}");
    }
    for code in ["124", "125", "126", "127", "128 + N"] {
        assert!(text.contains(code), "{code}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
fn the_examples_are_good_command_lines() {
    for (_, line) in EXAMPLES {
        let words = shlex::split(line).expect("a shell reads it");
        let typed = cli::parse(words.into_iter().map(Into::into).collect()).expect("it is taken");
        drainit::settings::Settings::new(typed, |_| None).expect("it makes sense");
    }
}
