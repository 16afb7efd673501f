//! docs/options.md and the README's short table: made from the command line's definition, with what a line of help has no room for.

use clap::Arg;
use drainit::cli;

use crate::docs::{options, spellings, variable};
use crate::generated::part_is_current;

pub(crate) const FILE: &str = "docs/options.md";

/// An option by its name, what holds without it, and what it means.
struct Entry(&'static str, &'static str, &'static str);

const ENTRIES: &[Entry] = &[
    Entry(
        "stop-signal",
        "`TERM`",
        "Signals that begin a stop. Any other signal is forwarded and begins no drain.",
    ),
    Entry(
        "rewrite",
        "none",
        "Receive FROM, forward TO; `0` or `none` drops FROM. A process that does not handle TO gets FROM. A target, as in `HUP:HUP@main`, \
         is for this signal only. Repeatable.",
    ),
    Entry(
        "forward-to",
        "`auto`",
        "Which processes get the signals. `auto`: a stop goes to the command and further down by one rule: a process that handles the \
         signal answers for its descendants. Any other signal goes to the command if the command handles it, otherwise, and on \
         Ctrl-C, to its process group. `group`: the command's process group. `main`: the command alone. `all`: every descendant.",
    ),
    Entry("group", "", "Same as `--forward-to group`."),
    Entry("single-child", "", "Same as `--forward-to main`."),
    Entry(
        "pre-stop",
        "none",
        "Pre-stop step: run COMMAND before processes are signalled. Words are split as a shell splits them; no shell runs, and nothing is \
         expanded. Repeatable.",
    ),
    Entry("pre-stop-sleep", "none", "Pre-stop step: wait. Repeatable."),
    Entry(
        "pre-stop-http",
        "none",
        "Pre-stop step: send a plain HTTP request to an IP address or localhost, GET if no method is given. 2xx and 3xx are success. \
         Repeatable.",
    ),
    Entry(
        "pre-stop-idle",
        "none",
        "Pre-stop step: wait until no TCP connection on this local port is left. Repeatable.",
    ),
    Entry("pre-stop-timeout", "`5s`", "Limit for all pre-stop steps together."),
    Entry(
        "grace-period",
        "none",
        "Time from the stop request to KILL, the drain included. `0` kills at once.",
    ),
    Entry(
        "stop-schedule",
        "none",
        "Signals to send in turn instead of the one stop signal, and how long to wait after each: `TERM/10s/QUIT/5s/KILL`. A signal may \
         name its target: `TERM@main/5s/TERM@group/10s/KILL`. KILL comes last unless the last word is `forever`.",
    ),
    Entry(
        "ignored-after",
        "`2s`",
        "When to give up on processes that ignore the signal; `never` waits for them as for others.",
    ),
    Entry("stop-after", "never", "Begin a stop this long after the start."),
    Entry("post-exit", "none", "Run COMMAND after the last process has ended. Repeatable."),
    Entry("post-exit-sleep", "none", "Wait after the last process has ended. Repeatable."),
    Entry(
        "post-exit-http",
        "none",
        "Send a plain HTTP request after the last process has ended. Repeatable.",
    ),
    Entry(
        "wait-for-all",
        "off",
        "If the command exits by itself, signal nothing and wait until the last child has ended. For commands that put themselves into \
         the background.",
    ),
    Entry(
        "remap-exit",
        "none",
        "Exit with TO (0 if left out) if the command's exit code is CODE. Repeatable.",
    ),
    Entry(
        "parent-death-signal",
        "none",
        "drainit gets SIG when its parent dies, and the command gets it when drainit dies.",
    ),
    Entry(
        "subreaper",
        "automatic",
        "Accepted for tini's sake, and always on: if it is not PID 1, drainit adopts the orphans among its descendants.",
    ),
    Entry(
        "propagate-signal",
        "off",
        "If the command died of a signal, die of the same one, so that the parent sees the signal rather than 128 + N. Has no effect if \
         drainit is PID 1, which cannot die of its own signal, or if `--remap-exit` changes the code.",
    ),
    Entry("warn-on-reap", "off", "Warn of each orphan that is reaped."),
    Entry(
        "pause",
        "",
        "Run no command: reap, and exit with 0 when TERM or INT arrives. For the pause container of a pod. Most other options are refused \
         beside it, and their variables have no effect.",
    ),
    Entry(
        "user",
        "drainit's own",
        "Run the command as this user and group, with no supplementary groups. Numbers only; GID is 0 if left out.",
    ),
    Entry("workdir", "drainit's own", "Run the command in this directory."),
    Entry(
        "poweroff",
        "off",
        "For PID 1 of a machine, such as a micro VM, whose kernel panics when PID 1 exits: power the machine off instead. Refused \
         everywhere else.",
    ),
    Entry(
        "report",
        "none",
        "Write what happened to FILE as JSON; `-` is stderr. If FILE cannot be written, nothing is started.",
    ),
    Entry(
        "termination-log",
        "none",
        "If a process was killed or a step failed, say so in PATH (`/dev/termination-log` if left out; the variable takes `1` for that).",
    ),
    Entry(
        "rehearse",
        "none",
        "Begin a stop after this time, draw it on stderr, and exit with 0 if it went well, else with 124. If no grace period is set, \
         it is 30s.",
    ),
    Entry(
        "log-format",
        "`text`",
        "Format of lines on stderr: `text`, or `json` for log collectors, one object with `level` and `message` per line.",
    ),
    Entry(
        "verbose",
        "`warn`",
        "Log more on stderr: `-v` is `info`, `-vv` `debug`, `-vvv` `trace`. The variable takes these words, and `off`.",
    ),
    Entry("quiet", "`warn`", "Log errors only: `error`."),
    Entry(
        "copy-to",
        "",
        "Copy this program to PATH, by rename and with mode 755, and exit with 0: an init container hands it to a container whose image \
         has no drainit.",
    ),
    Entry("short-help", "", "Print the options that most people need on stdout and exit with 0."),
    Entry("help", "", "Print all options on stdout and exit with 0."),
    Entry("version", "", "Print the version on stdout and exit with 0."),
    Entry("license", "", "Print the licence on stdout and exit with 0."),
];

fn entry(option: &Arg) -> &'static Entry {
    let id = option.get_id().as_str();
    ENTRIES
        .iter()
        .find(|entry| entry.0 == id)
        .unwrap_or_else(|| panic!("tests/it/options.rs does not describe {id}"))
}

/// What an option means, and what holds without it.
pub(crate) fn meaning(option: &Arg) -> String {
    let Entry(_, default, meaning) = entry(option);
    match *default {
        "" | "none" => (*meaning).to_owned(),
        default => format!("{meaning} Default: {default}."),
    }
}

/// `-r`, `--rewrite FROM:TO`, short ones first.
fn typed(option: &Arg) -> String {
    let mut spellings: Vec<String> = spellings(option).into_iter().collect();
    spellings.sort_by_key(String::len);
    let value = if option.get_action().takes_values() {
        let names: String =
            option.get_value_names().unwrap_or_default().iter().map(ToString::to_string).collect();
        if option.is_require_equals_set() { format!("[={names}]") } else { format!(" {names}") }
    } else {
        String::new()
    };
    let last = spellings.len() - 1;
    spellings[last].push_str(&value);
    spellings.iter().map(|spelling| format!("`{spelling}`")).collect::<Vec<_>>().join(", ")
}

/// A table for each heading of `--help`.
fn tables() -> String {
    let mut text = String::new();
    let mut heading = String::new();
    for option in options() {
        let own = option.get_help_heading().unwrap_or_default();
        if own != heading {
            own.clone_into(&mut heading);
            text.push_str(&format!(
                "\n### {own}\n\n| option | environment | default | meaning |\n|---|---|---|---|\n"
            ));
        }
        let Entry(_, default, meaning) = entry(&option);
        let variable = variable(&option).map(|variable| format!("`{variable}`")).unwrap_or_default();
        text.push_str(&format!("| {} | {variable} | {default} | {meaning} |\n", typed(&option)));
    }
    text + "\n"
}

/// The options that `-h` shows, with its words.
fn key_options() -> String {
    let mut text = "| option | meaning |\n|---|---|\n".to_owned();
    let definition = cli::short_definition();
    for option in definition.get_arguments().filter(|option| !option.is_positional() && !option.is_hide_set())
    {
        let help = option.get_help().map(ToString::to_string).unwrap_or_default();
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        text.push_str(&format!("| {} | {help} |\n", typed(option)));
    }
    text
}

#[test]
fn each_table_of_options_is_current() {
    part_is_current(FILE, "options", &tables());
    part_is_current("README.md", "key options", &key_options());
}

#[test]
fn nothing_is_described_that_is_no_option() {
    let names: Vec<String> = options().iter().map(|option| option.get_id().to_string()).collect();
    for Entry(id, ..) in ENTRIES {
        assert!(names.iter().any(|name| name == id), "{id} is no option");
    }
}

#[test]
fn the_ten_key_options_are_ten() {
    assert_eq!(key_options().lines().skip(2).count(), 10, "{}", key_options());
}
