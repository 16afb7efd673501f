//! The command line of an OCI runtime: which container is created, and where the runtime writes its log. Pure.
//!
//! What runc, crun and youki take is read: options of two dashes, Go's with one, values behind `=` or in the next word. Everything
//! else is the runtime's own business and is passed on as it came.

#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// What was asked of the runtime.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invocation {
    /// The real runtime, if `--runtime` names it.
    pub runtime: Option<OsString>,
    /// What the real runtime is given: everything but `--runtime`.
    pub words: Vec<OsString>,
    /// Where the runtime writes its log, if that is a file.
    pub log: Option<OsString>,
    /// How it writes it.
    pub log_format: LogFormat,
    /// Debug lines are wanted.
    pub debug: bool,
    /// What is to be done.
    pub task: Task,
}

/// What becomes of the container's configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Task {
    /// Nothing: not a command that makes a container.
    #[default]
    Pass,
    /// `create` and `run`: it is rewritten.
    Create(Bundle),
    /// `restore`: the processes are there already, and need the mount.
    Restore(Bundle),
}

/// Where a container's configuration is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bundle {
    /// The current directory if it is left out.
    pub folder: Option<OsString>,
    /// The name of the configuration (crun's `--config`), if it is not `config.json`.
    pub config: Option<OsString>,
}

/// How a line of the runtime's log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

/// This program's own option.
const RUNTIME: &str = "runtime";

/// Options in front of the subcommand that take a value, of any of the three.
const GLOBAL: [&str; 10] =
    [RUNTIME, "root", "log", "log-format", "log-level", "criu", "rootless", "cgroup-manager", "r", "l"];

/// Options behind `create`, `run` or `restore` that take a value. A value may look like an option.
const LOCAL: [&str; 19] = [
    "bundle",
    "config",
    "console-socket",
    "pid-file",
    "pidfd-socket",
    "preserve-fds",
    "image-path",
    "work-path",
    "parent-path",
    "manage-cgroups-mode",
    "empty-ns",
    "lsm-profile",
    "lsm-mount-context",
    "status-fd",
    "page-server",
    "b",
    "f",
    "c",
    "p",
];

/// Go takes these with one dash too; other words with one dash are short options.
const GO: [&str; 4] = ["bundle", "console-socket", "pid-file", "preserve-fds"];

/// Commands of a runtime. A word that is none of them, behind an option that is not known here, is that option's value.
const COMMANDS: [&str; 19] = [
    "checkpoint",
    "create",
    "delete",
    "events",
    "exec",
    "features",
    "help",
    "info",
    "kill",
    "list",
    "pause",
    "ps",
    "restore",
    "resume",
    "run",
    "spec",
    "start",
    "state",
    "update",
];

/// Asks for the help of a command in place of the command.
const HELP: [&str; 6] = ["--help", "-help", "--h", "-h", "-?", "--usage"];

/// An option, as it was typed.
struct Typed<'a> {
    /// Without dashes.
    name: &'a OsStr,
    /// What is behind `=`, or glued to a short one.
    value: Option<&'a OsStr>,
}

/// Reads it, without the program's name.
///
/// # Errors
/// `--runtime` has no value.
pub fn read(words: &[OsString]) -> Result<Invocation, String> {
    let mut invocation = Invocation::default();
    let mut rest = words;
    let mut may_be_value = false;
    while let [word, others @ ..] = rest {
        if word == "--" {
            invocation.words.push(word.clone());
            rest = others;
            break;
        }
        let Some(typed) = option(word) else {
            if !may_be_value || COMMANDS.iter().any(|command| word == command) {
                break;
            }
            may_be_value = false;
            invocation.words.push(word.clone());
            rest = others;
            continue;
        };
        let (taken, behind) = rest.split_at(width(&typed, &GLOBAL).min(rest.len()));
        let value = typed.value.or_else(|| taken.get(1).map(OsString::as_os_str));
        may_be_value = value.is_none();
        rest = behind;
        if typed.name == RUNTIME {
            let value = value.filter(|value| !value.is_empty());
            invocation.runtime = Some(value.ok_or("--runtime needs a value")?.to_owned());
        } else {
            invocation.note(typed.name, value);
            invocation.words.extend(taken.iter().cloned());
        }
    }
    invocation.words.extend(rest.iter().cloned());
    if let [command, arguments @ ..] = rest {
        invocation.task = match (command.as_bytes(), bundle(arguments)) {
            (b"create" | b"run", Some(bundle)) => Task::Create(bundle),
            (b"restore", Some(bundle)) => Task::Restore(bundle),
            _ => Task::Pass,
        };
    }
    Ok(invocation)
}

impl Invocation {
    /// Takes note of a global option.
    fn note(&mut self, name: &OsStr, value: Option<&OsStr>) {
        match (name.as_bytes(), value.map(OsStr::as_bytes)) {
            (b"log" | b"l", Some(value)) => self.log = log_file(value).map(OsStr::to_owned),
            (b"log-format", Some(value)) => {
                self.log_format = if value == b"json" { LogFormat::Json } else { LogFormat::Text };
            }
            (b"log-level", Some(value)) => self.debug = value.eq_ignore_ascii_case(b"debug"),
            (b"debug", value) => self.debug = value != Some(b"false"),
            _ => {}
        }
    }
}

/// crun's log may be somewhere else than in a file.
fn log_file(value: &[u8]) -> Option<&OsStr> {
    if value.is_empty() || value.starts_with(b"journald:") || value.starts_with(b"syslog:") {
        return None;
    }
    Some(OsStr::from_bytes(value.strip_prefix(b"file:").unwrap_or(value)))
}

/// `None` for a word that is no option.
fn option(word: &OsStr) -> Option<Typed<'_>> {
    let bytes = word.as_bytes();
    let long = bytes.strip_prefix(b"--").or_else(|| {
        let rest = bytes.strip_prefix(b"-")?;
        let name = rest.split(|&byte| byte == b'=').next().unwrap_or_default();
        let is_long = GO.iter().chain(&GLOBAL).any(|known| known.len() > 1 && known.as_bytes() == name);
        (is_long || name == b"debug").then_some(rest)
    });
    if let Some(long) = long {
        let mut parts = long.splitn(2, |&byte| byte == b'=');
        let name = OsStr::from_bytes(parts.next().unwrap_or_default());
        return Some(Typed { name, value: parts.next().map(OsStr::from_bytes) });
    }
    let (short, glued) = bytes.strip_prefix(b"-").filter(|rest| !rest.is_empty())?.split_at(1);
    // Go takes `-b=DIR` too.
    let glued = glued.strip_prefix(b"=").unwrap_or(glued);
    let value = (!glued.is_empty()).then_some(OsStr::from_bytes(glued));
    Some(Typed { name: OsStr::from_bytes(short), value })
}

/// How many words the option takes.
fn width(typed: &Typed<'_>, valued: &[&str]) -> usize {
    let takes_value = valued.iter().any(|known| stands_for(typed.name, known));
    if takes_value && typed.value.is_none() { 2 } else { 1 }
}

/// crun takes an option by the beginning of its name, as far as that is one option's alone.
fn stands_for(name: &OsStr, known: &str) -> bool {
    let name = name.as_bytes();
    let least = match known {
        "bundle" => 1,
        "config" => "conf".len(),
        _ => known.len(),
    };
    name.len() >= least && known.as_bytes().starts_with(name)
}

/// The options behind `create`, `run` or `restore`, which may come behind the container's name too. The last one wins. `None` if nothing is
/// made.
fn bundle(words: &[OsString]) -> Option<Bundle> {
    let mut found = Bundle::default();
    let mut words = words.iter().take_while(|word| *word != "--");
    while let Some(word) = words.next() {
        if HELP.iter().any(|help| word == help) {
            return None;
        }
        let Some(typed) = option(word).map(behind_detach) else { continue };
        let value = match width(&typed, &LOCAL) {
            2 => words.next().map(OsString::as_os_str),
            _ => typed.value,
        };
        let value = value.filter(|value| !value.is_empty()).map(OsStr::to_owned);
        if typed.name == "b" || stands_for(typed.name, "bundle") {
            found.folder = value;
        } else if typed.name == "f" || stands_for(typed.name, "config") {
            found.config = value;
        }
    }
    Some(found)
}

/// crun takes short options in one word: `-db DIR`.
fn behind_detach(typed: Typed<'_>) -> Typed<'_> {
    let Some(glued) = typed.value.filter(|_| typed.name == "d") else { return typed };
    match glued.as_bytes().split_at_checked(1) {
        Some((name @ (b"b" | b"f"), value)) => {
            let value = (!value.is_empty()).then_some(OsStr::from_bytes(value));
            Typed { name: OsStr::from_bytes(name), value }
        }
        _ => typed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    fn invocation(line: &str) -> Invocation {
        read(&words(line)).expect("a good command line")
    }

    fn created(folder: Option<&str>) -> Task {
        Task::Create(Bundle { folder: folder.map(OsString::from), config: None })
    }

    #[test]
    fn each_spelling_of_the_bundle_is_read() {
        for line in [
            "create --bundle /b id",
            "create --bundle=/b id",
            "create -b /b id",
            "create -b=/b id",
            "create -b/b id",
            "create -bundle /b id",
            "create -bundle=/b id",
            "create --bund /b id",
            "create --bu /b id",
            "create --b=/b id",
            "run -db /b id",
            "run -db/b id",
            "run -detach -b /b id",
            "create id --bundle /b",
            "create --pid-file /p --bundle /b --console-socket=/s id",
            "create --console-socket --bundle -b /b id",
            "create --pid-file --help -b /b id",
            "create -b /b id -- --help",
            "create --bundle /a -b /b id",
            "run --detach --no-pivot -b /b id",
            "run -d --preserve-fds 3 -b /b id",
            "--root /r --log /l --log-format json create --bundle /b id",
            "--root=/r --systemd-cgroup --debug create -b /b id",
            "-root /r -debug create -b /b id",
            "--cgroup-manager=disabled --log-level debug run -b /b id",
            "--rootless true create -b /b id",
            "-- create -b /b id",
            "--unknown-flag create -b /b id",
            "--unknown value create -b /b id",
            "--unknown=value create -b /b id",
            "-s -r /r -l /l create -b /b id",
            "--root create create -b /b id",
            "create -b /b -- id",
        ] {
            assert_eq!(invocation(line).task, created(Some("/b")), "{line}");
            assert_eq!(invocation(line).words, words(line));
        }
    }

    #[test]
    fn a_bundle_that_is_left_out_is_the_current_directory() {
        for line in ["create id", "run id", "create --bundle= id", "create -- -b /b", "--bundle /b create id"]
        {
            assert_eq!(invocation(line).task, created(None), "{line}");
        }
    }

    #[test]
    fn restore_is_told_apart_and_crun_s_name_of_the_configuration_is_read() {
        let bundle = |folder: &str, config: Option<&str>| Bundle {
            folder: Some(folder.into()),
            config: config.map(OsString::from),
        };
        let line = "restore --image-path /i --work-path -b --bundle /b id";
        assert_eq!(invocation(line).task, Task::Restore(bundle("/b", None)));
        for line in [
            "run -f other.json -b /b id",
            "run --config=other.json -b /b id",
            "run --conf other.json -b /b id",
            "run -dfother.json -b /b id",
        ] {
            assert_eq!(invocation(line).task, Task::Create(bundle("/b", Some("other.json"))), "{line}");
        }
    }

    #[test]
    fn everything_else_is_passed() {
        for line in [
            "",
            "--version",
            "-v",
            "--help",
            "exec --tty id create -b /b",
            "start id",
            "kill id TERM",
            "delete --force create",
            "state create",
            "--debug state run",
            "--systemd-cgroup update create",
            "create --help",
            "run -b /b -h",
            "run --detach -? id",
            "restore --usage",
            "features",
            "checkpoint --image-path /i id",
            "update --resources - id",
            "frobnicate -b /b",
            "--root /r state id",
            "--",
            "-",
        ] {
            let read = invocation(line);
            assert_eq!((read.task, read.words), (Task::Pass, words(line)), "{line}");
        }
    }

    #[test]
    fn the_log_is_where_the_runtime_writes_it() {
        let log = |line: &str| {
            let read = invocation(line);
            (read.log.map(|path| path.into_string().expect("text")), read.log_format, read.debug)
        };
        let file = |name: &str| Some(name.to_owned());
        assert_eq!(log("--log /l --log-format json create id"), (file("/l"), LogFormat::Json, false));
        assert_eq!(log("--log=/l --log-format=text --debug run id"), (file("/l"), LogFormat::Text, true));
        assert_eq!(log("--debug=false --log file:/l run id"), (file("/l"), LogFormat::Text, false));
        assert_eq!(log("--log journald:x --log-level=debug run id"), (None, LogFormat::Text, true));
        assert_eq!(
            log("run --log /l id"),
            (None, LogFormat::Text, false),
            "there is none behind the command"
        );
    }

    #[test]
    fn the_runtime_is_this_program_s_own_option() {
        for line in ["--runtime crun --root /r create -b /b id", "--root /r --runtime=crun create -b /b id"] {
            let read = invocation(line);
            assert_eq!(read.runtime, Some("crun".into()), "{line}");
            assert_eq!(read.words, words("--root /r create -b /b id"));
            assert_eq!(read.task, created(Some("/b")));
        }
        let behind = invocation("exec id --runtime x");
        assert_eq!((behind.runtime, behind.words), (None, words("exec id --runtime x")));
        for line in ["--runtime", "--runtime= create"] {
            assert_eq!(read(&words(line)), Err("--runtime needs a value".to_owned()));
        }
    }
}
