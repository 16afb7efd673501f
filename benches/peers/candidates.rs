//! The inits that are compared.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use crate::process::run_to_end;
use crate::tools::{Tools, find_program, plain_command};
use crate::watchdog::Watchdog;

/// A program that the table compares.
pub(crate) struct Candidate {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) version: String,
    pub(crate) side: Side,
    how: How,
}

/// How a peer is run.
#[derive(Clone, Copy)]
struct How {
    /// Those that signal the command's group as drainit does, if it can.
    flags: &'static [&'static str],
    /// Those that make it a subreaper, as drainit is, if it is not PID 1.
    subreaper_flags: &'static [&'static str],
    /// Elsewhere it becomes its command, and is no init.
    only_as_pid_one: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Ours,
    Peer,
}

const PLAIN: How = How { flags: &[], subreaper_flags: &[], only_as_pid_one: false };

/// Without its `-s` tini does less than the others but prints three lines about it.
const PEERS: [(&str, How); 4] = [
    ("tini-static", How { flags: &["-g"], subreaper_flags: &["-s"], ..PLAIN }),
    ("dumb-init", PLAIN),
    ("catatonit", How { flags: &["-g"], ..PLAIN }),
    ("pid1", How { only_as_pid_one: true, ..PLAIN }),
];

/// The program as `cargo build --release` makes it. The one that Cargo has made for this benchmark has in it what only tests need.
fn build() -> io::Result<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("plain");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let host = Command::new("rustc").args(["--print", "host-tuple"]).output()?;
    let host = String::from_utf8_lossy(&host.stdout).trim().to_owned();
    let status = Command::new(cargo)
        .args(["build", "--release", "--bin", "drainit", "--target", &host, "--target-dir"])
        .arg(&folder)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()?;
    if !status.success() {
        return Err(io::Error::other("drainit cannot be built"));
    }
    Ok(folder.join(host).join("release/drainit"))
}

impl Candidate {
    fn new(name: String, path: PathBuf, side: Side, how: How) -> Self {
        Self { name, path, version: String::new(), side, how }
    }

    /// From now on it is a copy that is measured.
    fn prepare(&mut self, tools: &Tools) -> io::Result<()> {
        self.path = copy(&self.path, &tools.scratch(&self.name))
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", self.path.display())))?;
        self.version = version(&self.path)?;
        Ok(())
    }

    /// The init as an ordinary process.
    pub(crate) fn command(&self, command: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut init = plain_command(&self.path);
        init.args(self.how.flags).args(self.how.subreaper_flags).arg("--").args(command);
        init
    }

    /// The init at the end of a command line that makes it PID 1.
    pub(crate) fn command_after(
        &self,
        line: &[PathBuf],
        command: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Command {
        let mut wrapped = plain_command(&line[0]);
        wrapped.args(&line[1..]).arg(&self.path).args(self.how.flags).arg("--").args(command);
        wrapped
    }

    /// Whether it is an init even if it is not PID 1.
    pub(crate) fn serves_anywhere(&self) -> bool {
        !self.how.only_as_pid_one
    }

    /// How it is run, for the reader.
    pub(crate) fn usage(&self) -> String {
        let line: Vec<&str> =
            [self.name.as_str()].into_iter().chain(self.how.flags.iter().copied()).collect();
        match self.how.subreaper_flags {
            [] if self.how.only_as_pid_one => format!("`{}` (only measured as PID 1)", line.join(" ")),
            [] => format!("`{}`", line.join(" ")),
            more => format!("`{}` (and `{}` if it is not PID 1)", line.join(" "), more.join(" ")),
        }
    }

    /// Why it cannot be measured, if so.
    fn defect(&self, tools: &Tools, watchdog: &Watchdog) -> Option<String> {
        const CODE: i32 = 7;
        let helper = tools.helper.as_os_str();
        let code = CODE.to_string();
        match run_to_end(&mut self.command([helper, "exit".as_ref(), code.as_ref()]), watchdog) {
            Ok(status) if status.code() == Some(CODE) => None,
            Ok(status) => Some(format!("its command exits with {CODE}, but it ends with {status}")),
            Err(error) => Some(error.to_string()),
        }
    }
}

/// Every init that is there and works, and whether all that are there do. What is missing is said on stderr.
pub(crate) fn find(
    extra: Vec<(String, PathBuf)>,
    tools: &Tools,
    watchdog: &Watchdog,
) -> io::Result<(Vec<Candidate>, bool)> {
    let built = ("drainit".into(), build()?);
    let mut candidates: Vec<Candidate> = [built]
        .into_iter()
        .chain(extra)
        .map(|(name, path)| Candidate::new(name, path, Side::Ours, PLAIN))
        .collect();
    for (name, how) in PEERS {
        match find_program(name) {
            Some(path) => candidates.push(Candidate::new(name.into(), path, Side::Peer, how)),
            None => eprintln!("peers: {name} is not installed"),
        }
    }
    for candidate in &mut candidates {
        candidate.prepare(tools)?;
    }
    candidates[0].version.push_str(if cfg!(target_env = "musl") { ", with musl" } else { ", with glibc" });
    let found = candidates.len();
    candidates.retain(|candidate| match candidate.defect(tools, watchdog) {
        None => true,
        Some(defect) => {
            eprintln!("peers: {} is left out: {defect}", candidate.name);
            false
        }
    });
    let all_work = candidates.len() == found;
    Ok((candidates, all_work))
}

/// Puts it into `folder` under its own name, which it may act upon: all programs are then on one file system, in the
/// page cache, and written in the same way.
fn copy(program: &Path, folder: &Path) -> io::Result<PathBuf> {
    let copy = folder.join(program.file_name().unwrap_or_default());
    fs::create_dir(folder)?;
    fs::copy(program, &copy)?;
    File::open(&copy)?.sync_all()?;
    Ok(copy)
}

/// What it says about itself, on whichever of the two outputs.
fn version(path: &Path) -> io::Result<String> {
    let output = plain_command(path).arg("--version").output()?;
    if !output.status.success() {
        return Ok("does not tell its version".into());
    }
    let said = [output.stdout, output.stderr].concat();
    Ok(String::from_utf8_lossy(&said).lines().next().unwrap_or("unknown version").into())
}
