//! The two programs: the real runtime, which this process becomes, and the drainit that is mounted into containers.

#![forbid(unsafe_code)]

use std::ffi::{CString, OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::{FsFlags, fstatvfs};

use crate::command_line::Invocation;
use crate::node::Node;

/// The real runtime, if neither the command line nor the node's settings name one.
const RUNTIME: &str = "DRAINIT_RUNTIME_RUNTIME";
/// The drainit that is injected, if the node's settings do not name one.
const DRAINIT: &str = "DRAINIT_RUNTIME_DRAINIT";

/// Looked for in PATH, in this order.
const RUNTIMES: [&str; 2] = ["runc", "crun"];

/// Where engines look for runtimes if they are started without a PATH.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Where the real runtime is.
///
/// # Errors
/// It is not there, or is this program.
pub fn runtime(invocation: &Invocation, node: &Node) -> Result<PathBuf, String> {
    let named = (invocation.runtime.clone())
        .or_else(|| node.runtime.clone().map(OsString::from))
        .or_else(|| std::env::var_os(RUNTIME).filter(|value| !value.is_empty()));
    let own = fs::metadata("/proc/self/exe").ok();
    let is_own = |path: &Path| {
        let found = fs::metadata(path).ok();
        let number = |file: &Option<Metadata>| file.as_ref().map(|file| (file.dev(), file.ino()));
        number(&found).is_some() && number(&found) == number(&own)
    };
    match named {
        Some(name) => {
            let found = look_up(&name, |_| false);
            let path = found.ok_or_else(|| format!("the runtime {name:?} is not there"))?;
            if is_own(&path) {
                return Err(format!("the runtime {name:?} is drainit-runtime itself"));
            }
            Ok(path)
        }
        // Under a runtime's own name it may be the first one in PATH.
        None => RUNTIMES
            .iter()
            .find_map(|name| look_up(OsStr::new(name), is_own))
            .ok_or_else(|| "neither runc nor crun is in PATH (see --runtime)".to_owned()),
    }
}

/// A name with a slash is a path, any other is looked for in PATH.
fn look_up(name: &OsStr, is_not_it: impl Fn(&Path) -> bool) -> Option<PathBuf> {
    let is_program = |path: &PathBuf| {
        fs::metadata(path).is_ok_and(|file| file.is_file() && file.mode() & 0o111 != 0) && !is_not_it(path)
    };
    if name.as_bytes().contains(&b'/') {
        return Some(PathBuf::from(name)).filter(is_program);
    }
    let path = std::env::var_os("PATH").filter(|path| !path.is_empty()).unwrap_or_else(|| PATH.into());
    // A relative folder would be one of the bundle, which this process is in.
    let folders = std::env::split_paths(&path).filter(|folder| folder.is_absolute());
    folders.map(|folder| folder.join(name)).find(is_program)
}

/// This process becomes the runtime, with the environment, the descriptors, the dispositions and the mask that it was given. Returns the
/// reason if it does not.
pub fn become_runtime(runtime: &Path, words: &[OsString], held: Vec<File>) -> io::Error {
    let text = |word: &OsStr| CString::new(word.as_bytes()).map_err(|_| io::ErrorKind::InvalidInput.into());
    let line = std::iter::once(runtime.as_os_str()).chain(words.iter().map(OsString::as_os_str));
    let line: io::Result<Vec<CString>> = line.map(text).collect();
    let error = match line.as_deref() {
        Ok(line @ [path, ..]) => match nix::unistd::execv(path, line) {
            Ok(never) => match never {},
            Err(error) => error.into(),
        },
        _ => io::ErrorKind::InvalidInput.into(),
    };
    drop(held);
    error
}

/// The drainit that is injected: a path for a bind mount. `mapped`: the container's root is an ordinary user of the host.
///
/// # Errors
/// It is not there, another user could change it, or containers could not run it.
pub fn drainit(node: &Node, mapped: bool) -> Result<String, String> {
    let named = (node.drainit.clone())
        .or_else(|| std::env::var_os(DRAINIT).filter(|value| !value.is_empty()).map(PathBuf::from));
    let beside = || Some(fs::read_link("/proc/self/exe").ok()?.parent()?.join("drainit"));
    let is_beside = named.is_none();
    let path = named.or_else(beside).ok_or("no place is known for drainit")?;
    let found = if is_beside { beside_without_links(&path) } else { fs::canonicalize(&path) };
    found
        .map_err(|error| error.to_string())
        .and_then(|found| check(found, mapped))
        .map_err(|why| format!("cannot inject {}: {why}", path.display()))
}

/// The kernel names the folder of this program without links, so that only the last part is looked at.
fn beside_without_links(path: &Path) -> io::Result<PathBuf> {
    if fs::symlink_metadata(path)?.is_symlink() { fs::canonicalize(path) } else { Ok(path.to_owned()) }
}

/// The path, which has no links, if it may be mounted.
fn check(path: PathBuf, mapped: bool) -> Result<String, String> {
    for folder in path.ancestors().skip(1) {
        let metadata = fs::metadata(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        // In a sticky folder others make files, but do not replace them.
        let is_open = metadata.mode() & 0o022 != 0 && metadata.mode() & 0o1000 == 0;
        check_owner(&metadata, is_open).map_err(|why| format!("{} {why}", folder.display()))?;
        if mapped && metadata.mode() & 0o001 == 0 {
            return Err(format!("{} is closed to the root of a user namespace", folder.display()));
        }
    }
    let file = File::open(&path).map_err(|error| error.to_string())?;
    let metadata = file.metadata().map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("it is not a plain file".to_owned());
    }
    check_owner(&metadata, metadata.mode() & 0o022 != 0).map_err(|why| format!("it {why}"))?;
    if metadata.mode() & 0o005 != 0o005 {
        return Err("not every user may read and run it (chmod 755)".to_owned());
    }
    if fstatvfs(&file).is_ok_and(|system| system.flags().contains(FsFlags::ST_NOEXEC)) {
        return Err("its file system is mounted noexec".to_owned());
    }
    check_static(file)?;
    path.into_os_string().into_string().map_err(|_| "its path is no UTF-8".to_owned())
}

/// Only root's files are mounted into containers, and our own if we are not root.
fn check_owner(metadata: &Metadata, is_open: bool) -> Result<(), String> {
    let owner = metadata.uid();
    if owner != 0 && owner != nix::unistd::geteuid().as_raw() && !stands_for_root(owner) {
        return Err(format!("belongs to user {owner}, not to root"));
    }
    if is_open { Err("can be written by others than its owner".to_owned()) } else { Ok(()) }
}

/// In a user namespace without the host's root its files belong to a number that stands for all users that are not there.
fn stands_for_root(owner: u32) -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let overflow = fs::read_to_string("/proc/sys/kernel/overflowuid").unwrap_or_default();
    map.split_whitespace().ne(["0", "0", "4294967295"]) && overflow.trim().parse() == Ok(owner)
}

/// In a container there may be no loader for it (elf(5)).
fn check_static(mut file: File) -> Result<(), String> {
    let mut head = Vec::with_capacity(4097);
    file.by_ref().take(4096).read_to_end(&mut head).map_err(|error| error.to_string())?;
    match is_static(&head) {
        Some(true) => Ok(()),
        Some(false) => Err("it is not static".to_owned()),
        None => Err("it is not a program".to_owned()),
    }
}

/// Whether no segment names a loader. `None` if this is not the beginning of a 64-bit little-endian program.
fn is_static(head: &[u8]) -> Option<bool> {
    const LOADER: u64 = 3;
    let number = |at: usize, size: usize| -> Option<u64> {
        let bytes = head.get(at..at.checked_add(size)?)?;
        Some(bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    };
    if !head.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let (table, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
    let mut is_static = true;
    for row in 0..count {
        let at = usize::try_from(table.checked_add(row * size)?).ok()?;
        is_static &= number(at, 4)? != LOADER;
    }
    Some(is_static)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_static_or_not_or_none() {
        let head =
            |path: &str| fs::read(path).expect("it is there").into_iter().take(4096).collect::<Vec<u8>>();
        // Tests of the host's build are static as drainit is.
        assert_eq!(is_static(&head("/proc/self/exe")), Some(cfg!(target_feature = "crt-static")));
        for text in [&b""[..], b"#!/bin/sh\n", b"\x7fELF\x02\x01", b"\x7fELF\x01\x01"] {
            assert_eq!(is_static(text), None);
        }
        let mut program = vec![0; 4096];
        program[..6].copy_from_slice(b"\x7fELF\x02\x01");
        program[32] = 64;
        program[54] = 56;
        program[56] = 2;
        assert_eq!(is_static(&program), Some(true));
        program[64 + 56] = 3;
        assert_eq!(is_static(&program), Some(false));
        program[32..40].fill(0xff);
        assert_eq!(is_static(&program), None);
    }

    #[test]
    fn a_name_is_looked_for_in_path_and_a_path_is_not() {
        assert!(look_up(OsStr::new("sh"), |_| false).is_some_and(|path| path.is_absolute()));
        assert_eq!(look_up(OsStr::new("sh"), |_| true), None);
        assert_eq!(look_up(OsStr::new("./sh"), |_| false), None);
        assert_eq!(look_up(OsStr::new("/etc/passwd"), |_| false), None);
        assert_eq!(look_up(OsStr::new("/bin/sh"), |_| false), Some("/bin/sh".into()));
    }
}
