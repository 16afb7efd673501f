//! Files that are replaced at once and whole.

#![forbid(unsafe_code)]

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The two that belong together.
const PROGRAMS: [&str; 2] = ["drainit", "drainit-runtime"];

/// `None` if it is not there. A link that leads nowhere is not taken for that: from a container, what it leads to may be out of reach.
pub(super) fn read(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound && path.is_symlink() => {
            Err(io::Error::new(error.kind(), "a link to what is not there"))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes it, with the mode that it has; or removes it. A link stays one.
pub(super) fn write(path: &Path, text: Option<&str>) -> io::Result<()> {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let Some(text) = text else { return fs::remove_file(path) };
    let mode = fs::metadata(&path).map_or(0o644, |file| file.permissions().mode() & 0o7777);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    replace(&path, mode, |file| file.write_all(text.as_bytes()))
}

/// Copies this program and the drainit beside it.
pub(super) fn install(folder: &Path) -> Result<(), String> {
    let own = fs::read_link("/proc/self/exe").map_err(|error| format!("/proc/self/exe: {error}"))?;
    let from = own.parent().map(Path::to_owned).unwrap_or_default();
    let open = |name: &str| {
        // As it runs, whatever its file has become.
        let path = if name == "drainit-runtime" { PathBuf::from("/proc/self/exe") } else { from.join(name) };
        File::open(&path).map_err(|error| format!("{}: {error}", path.display()))
    };
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for name in PROGRAMS {
        let mut program = open(name)?;
        let to = folder.join(name);
        let copied = replace(&to, 0o755, |file| io::copy(&mut program, file).map(|_| ()));
        copied.map_err(|error| format!("{}: {error}", to.display()))?;
    }
    Ok(())
}

/// Fills a new file beside it, which takes its place.
fn replace(path: &Path, mode: u32, fill: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    let new = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    let filled = fill(&mut file)
        .and_then(|()| file.set_permissions(fs::Permissions::from_mode(mode)))
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&new, path));
    if filled.is_err() {
        let _ = fs::remove_file(&new);
    }
    filled
}
