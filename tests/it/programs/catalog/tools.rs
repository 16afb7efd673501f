//! Where the programs are.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// Names the folder in which programs are looked for first.
const PROGRAMS: &str = "DRAINIT_PROGRAMS";

/// The folders of programs, for this process and for those that it starts.
fn folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = env::var_os(PROGRAMS).map(PathBuf::from).into_iter().collect();
    folders.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    folders.extend(["/usr/sbin", "/sbin"].map(PathBuf::from));
    // Debian has a folder for each version of PostgreSQL, and the newest is the one that counts.
    let mut versions: Vec<PathBuf> =
        entries(Path::new("/usr/lib/postgresql")).map(|version| version.join("bin")).collect();
    versions.sort();
    folders.extend(versions.into_iter().rev());
    folders
}

/// What PATH is for the programs.
pub(crate) fn search_path() -> OsString {
    env::join_paths(folders()).unwrap_or_default()
}

/// The program of this name, or one with its version behind the name, as Debian's `php-fpm8.2`.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let folders = folders();
    let exact = folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file());
    exact.or_else(|| folders.iter().flat_map(|folder| entries(folder)).find(|path| is_version_of(name, path)))
}

/// As [`find`], as text.
pub(crate) fn path(name: &str) -> String {
    find(name).map_or_else(|| name.to_owned(), |path| path.display().to_string())
}

fn is_version_of(name: &str, path: &Path) -> bool {
    let file = path.file_name().and_then(|file| file.to_str());
    let version = file.and_then(|file| file.strip_prefix(name));
    version.is_some_and(|version| {
        !version.is_empty() && version.chars().all(|letter| letter.is_ascii_digit() || letter == '.')
    })
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}
