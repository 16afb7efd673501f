//! This program's own commands: `configure` tells an engine of it, `install` puts both programs into a folder.
//!
//! No runtime has commands of these names.

#![forbid(unsafe_code)]

mod containerd;
mod crio;
mod docker;
mod files;

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The handler's name, for engines and for a RuntimeClass.
const HANDLER: &str = "drainit";

const USAGE: &str = "\
Usage: drainit-runtime configure --containerd|--docker|--crio [OPTIONS]
       drainit-runtime install FOLDER

configure prints what tells the engine of a runtime `drainit`.
  --write          Write it
  --uninstall      Take it out again
  --config FILE    The engine's configuration [default: where it usually is]
  --binary PATH    drainit-runtime on the node [default: this program]

install copies drainit-runtime and the drainit beside it into FOLDER, each by
rename: what runs keeps its own.

Nothing is restarted. With any other command this is an OCI runtime.
";

/// An engine that can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Engine {
    Containerd,
    Docker,
    Crio,
}

impl Engine {
    /// Where its configuration usually is.
    fn file(self) -> &'static str {
        match self {
            Self::Containerd => "/etc/containerd/config.toml",
            Self::Docker => "/etc/docker/daemon.json",
            Self::Crio => "/etc/crio/crio.conf.d/99-drainit.conf",
        }
    }

    /// How it comes to read it.
    fn restart(self) -> &'static str {
        match self {
            Self::Containerd => "containerd reads it when it starts: systemctl restart containerd",
            Self::Docker => "dockerd reads it on SIGHUP: systemctl reload docker",
            Self::Crio => "CRI-O reads it when it starts: systemctl restart crio",
        }
    }
}

/// A file in the making: its text, or `None` if nothing is left of it; and what is printed instead of writing it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Change {
    text: Option<String>,
    shown: String,
    /// What the file's owner should know.
    note: Option<String>,
}

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
struct Wish {
    engine: Engine,
    write: bool,
    uninstall: bool,
    config: PathBuf,
    binary: Option<PathBuf>,
}

/// Does it and returns the exit code; `None` if something else was asked for.
#[must_use]
pub fn run(words: &[OsString]) -> Option<u8> {
    let (command, words) = words.split_first()?;
    let done = if command == "configure" {
        if words.iter().any(|word| word == "--help" || word == "-h") {
            return Some(print(USAGE));
        }
        read(words).and_then(|wish| configure(&wish))
    } else if command == "install" {
        match words {
            [word] if word == "--help" || word == "-h" => return Some(print(USAGE)),
            [folder] => files::install(Path::new(folder)),
            _ => Err("install needs one folder".to_owned()),
        }
    } else {
        return None;
    };
    Some(match done {
        Ok(()) => 0,
        Err(problem) => {
            say(&format!("error: {problem}"));
            crate::FAILED
        }
    })
}

fn print(text: &str) -> u8 {
    let _ = std::io::stdout().write_all(text.as_bytes());
    0
}

fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "drainit-runtime: {text}");
}

fn read(words: &[OsString]) -> Result<Wish, String> {
    let (mut engine, mut write, mut uninstall, mut config, mut binary) = (None, false, false, None, None);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let text = word.to_string_lossy();
        let (name, glued) = match text.split_once('=') {
            Some((name, value)) => (name, Some(OsString::from(value))),
            None => (&*text, None),
        };
        let mut set = |chosen| match engine.replace(chosen) {
            Some(other) if other != chosen => Err("one engine at a time".to_owned()),
            _ => Ok(()),
        };
        match (name, &glued) {
            ("--containerd", None) => set(Engine::Containerd)?,
            ("--docker", None) => set(Engine::Docker)?,
            ("--crio", None) => set(Engine::Crio)?,
            ("--write", None) => write = true,
            ("--uninstall", None) => uninstall = true,
            ("--config" | "--binary", _) => {
                let value = glued.or_else(|| words.next().cloned()).filter(|value| !value.is_empty());
                let value = PathBuf::from(value.ok_or_else(|| format!("{name} needs a value"))?);
                if name == "--config" { config = Some(value) } else { binary = Some(value) }
            }
            _ => return Err(format!("unknown option '{text}' (see drainit-runtime configure --help)")),
        }
    }
    let engine = engine.ok_or("which engine: --containerd, --docker or --crio?")?;
    if let Some(path) = binary.as_ref().filter(|path| !path.is_absolute()) {
        return Err(format!("--binary {}: not an absolute path", path.display()));
    }
    let config = config.unwrap_or_else(|| engine.file().into());
    Ok(Wish { engine, write, uninstall, config, binary })
}

fn configure(wish: &Wish) -> Result<(), String> {
    let binary = match &wish.binary {
        Some(path) => path.clone(),
        None => std::fs::read_link("/proc/self/exe").map_err(|error| format!("/proc/self/exe: {error}"))?,
    };
    let binary = binary.to_str().ok_or("the path of drainit-runtime is no UTF-8")?;
    let path = wish.config.display();
    let old = files::read(&wish.config).map_err(|error| format!("{path}: {error}"))?;
    let change = change(wish, old.as_deref().unwrap_or_default(), binary);
    let change = change.map_err(|why| format!("{path}: {why}"))?;
    if let Some(note) = &change.note {
        say(&format!("{path}: {note}"));
    }
    if !wish.write {
        print(&change.shown);
        return Ok(());
    }
    if change.text == old {
        say(&format!("{path}: nothing to change"));
        return Ok(());
    }
    files::write(&wish.config, change.text.as_deref()).map_err(|error| format!("{path}: {error}"))?;
    say(&format!("{path}: written; {}", wish.engine.restart()));
    Ok(())
}

fn change(wish: &Wish, old: &str, binary: &str) -> Result<Change, String> {
    match (wish.engine, wish.uninstall) {
        (Engine::Containerd, false) => containerd::add(old, binary),
        (Engine::Containerd, true) => containerd::uninstall(old).map(left),
        (Engine::Docker, false) => docker::add(old, binary),
        (Engine::Docker, true) => docker::remove(old).map(left),
        (Engine::Crio, false) => crio::add(old, binary),
        (Engine::Crio, true) => crio::remove(old).map(left),
    }
}

/// What is left of a file.
fn left(text: String) -> Change {
    let is_empty = text.trim().is_empty();
    Change { shown: text.clone(), text: (!is_empty).then_some(text), note: None }
}

/// The name of the command's own options, for tests of the documents.
#[must_use]
pub fn usage() -> &'static str {
    USAGE
}

/// As TOML and JSON both write it.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(line: &str) -> Result<Wish, String> {
        read(&line.split_whitespace().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn the_command_line_is_read() {
        let read = wish("--write --containerd --config=/c --binary /b/drainit-runtime").expect("good");
        let expected = Wish {
            engine: Engine::Containerd,
            write: true,
            uninstall: false,
            config: "/c".into(),
            binary: Some("/b/drainit-runtime".into()),
        };
        assert_eq!(read, expected);
        assert_eq!(wish("--crio --uninstall").expect("good").config, Path::new(Engine::Crio.file()));
        for (line, said) in [
            ("", "which engine"),
            ("--docker --crio", "one engine at a time"),
            ("--docker --config", "--config needs a value"),
            ("--docker --config=", "--config needs a value"),
            ("--docker --write=yes", "unknown option '--write=yes'"),
            ("--podman", "unknown option '--podman'"),
            ("--docker --binary bin/x", "--binary bin/x: not an absolute path"),
        ] {
            let problem = wish(line).expect_err("refused");
            assert!(problem.starts_with(said), "{line}: {problem}");
        }
    }

    #[test]
    fn only_these_two_are_its_own_commands() {
        for word in ["create", "--version", "--runtime", "config"] {
            assert_eq!(run(&[word.into()]), None, "{word}");
        }
        assert_eq!(run(&[]), None);
        assert_eq!(run(&["configure".into()]), Some(1));
        assert_eq!(run(&["install".into()]), Some(1));
    }

    #[test]
    fn the_usage_names_every_option() {
        for option in ["--containerd", "--docker", "--crio", "--write", "--uninstall", "--config", "--binary"]
        {
            assert!(usage().contains(option), "{option}");
        }
    }
}
