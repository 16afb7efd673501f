//! What the measurements need besides the inits: two commands in C, built here, and programs of the system.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

use tempfile::TempDir;

use crate::process::succeed;
use crate::trouble::Trouble;
use crate::watchdog::Watchdog;

/// A small environment, the same for all, as in a container: programs differ in what they do with a large one.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const ENVIRONMENT: [(&str, &str); 3] = [("PATH", PATH), ("HOME", "/root"), ("HOSTNAME", "bench")];

pub(crate) struct Tools {
    /// Does nothing, as fast as can be.
    pub(crate) nothing: PathBuf,
    /// See `helper.c`.
    pub(crate) helper: PathBuf,
    folder: TempDir,
}

impl Tools {
    pub(crate) fn prepare() -> io::Result<Self> {
        let folder = TempDir::with_prefix("peers-")?;
        let helper = compile("helper.c", &["-O2", "-static"], folder.path())
            .or_else(|_| compile("helper.c", &["-O2"], folder.path()))?;
        let nothing = compile("true.c", &["-O2", "-static", "-nostdlib"], folder.path())?;
        Ok(Self { nothing, helper, folder })
    }

    pub(crate) fn scratch(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The system's program of this name.
    pub(crate) fn program(&self, name: &str) -> Result<PathBuf, Trouble> {
        find_program(name).ok_or_else(|| Trouble::Missing(format!("{name} is not installed")))
    }

    /// The start of a command line that runs the rest as PID 1 of a new namespace.
    pub(crate) fn new_pid_namespace(&self, watchdog: &Watchdog) -> Result<Vec<PathBuf>, Trouble> {
        let unshare = self.program("unshare")?;
        let mut line = vec![unshare];
        line.extend(["--pid", "--fork", "--kill-child", "--mount-proc"].map(PathBuf::from));
        let mut trial = plain_command(&line[0]);
        trial.args(&line[1..]).arg(&self.nothing);
        succeed(&mut trial, watchdog)
            .map_err(|_| Trouble::Missing("no pid namespace can be made, except perhaps by root".into()))?;
        Ok(line)
    }
}

/// A command in the small environment.
pub(crate) fn plain_command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_clear().envs(ENVIRONMENT);
    command
}

/// In the system's folders first, then in the caller's, where cargo installs.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let callers = env::var_os("PATH").unwrap_or_default();
    let folders = PATH.split(':').map(PathBuf::from).chain(env::split_paths(&callers));
    folders.map(|folder| folder.join(name)).find(|path| path.is_file())
}

fn compile(source: &str, flags: &[&str], folder: &Path) -> io::Result<PathBuf> {
    let compiler = env::var_os("CC").unwrap_or_else(|| "cc".into());
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers").join(source);
    let program = folder.join(source.file_stem().unwrap_or_default());
    let output = Command::new(&compiler).args(flags).arg("-o").arg(&program).arg(&source).output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(io::Error::other(format!("{compiler:?} fails on {}: {said}", source.display())));
    }
    fs::canonicalize(program)
}
