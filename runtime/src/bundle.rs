//! A bundle's configuration: read and replaced by the descriptor of its folder, beneath which nothing is followed.

#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, BufWriter, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use nix::fcntl::{AtFlags, OFlag, openat, renameat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstatat};
use nix::unistd::{UnlinkatFlags, unlinkat};
use serde_json::Value;

use crate::at;
use crate::command_line::Bundle;
use crate::place::Found;
use crate::spec::Spec;

const CONFIG: &str = "config.json";

/// The most that a configuration may have: a broken file is not to take the node's memory.
const MOST: u64 = 64 << 20;

/// The configuration's file, open.
pub struct File {
    folder: OwnedFd,
    name: OsString,
    /// For what is said of it.
    path: PathBuf,
    file: fs::File,
    size: u64,
}

impl File {
    /// Opens it.
    ///
    /// # Errors
    /// It is not there, or is no plain file in the bundle.
    pub fn open(bundle: &Bundle) -> Result<Self, String> {
        let folder_path = PathBuf::from(bundle.folder.as_deref().unwrap_or(OsStr::new(".")));
        let name = bundle.config.clone().unwrap_or_else(|| CONFIG.into());
        let path = folder_path.join(&name);
        let say = |error: io::Error| format!("{}: {error}", path.display());
        let is_name = !name.is_empty() && !name.as_bytes().contains(&b'/') && name != "." && name != "..";
        if !is_name {
            return Err(format!("the configuration {name:?} is not in the bundle"));
        }
        let folder_flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let folder = nix::fcntl::open(&folder_path, folder_flags, Mode::empty())
            .map_err(|error| format!("{}: {}", folder_path.display(), io::Error::from(error)))?;
        // A pipe is not waited for.
        let flags =
            OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let file =
            openat(&folder, name.as_os_str(), flags, Mode::empty()).map_err(|error| say(error.into()))?;
        let file = fs::File::from(file);
        let metadata = file.metadata().map_err(say)?;
        if !metadata.is_file() {
            return Err(format!("{}: not a plain file", path.display()));
        }
        if metadata.len() > MOST {
            return Err(format!("{}: larger than {} MiB", path.display(), MOST >> 20));
        }
        Ok(Self { folder, name, path, file, size: metadata.len() })
    }

    /// What it says.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(&self) -> Result<Vec<u8>, String> {
        let mut text = Vec::with_capacity(usize::try_from(self.size).unwrap_or(0) + 1);
        (&self.file).take(MOST).read_to_end(&mut text).map_err(|error| self.say(&error))?;
        Ok(text)
    }

    /// Puts another one in its place, at once and whole, with its mode and its owner.
    ///
    /// # Errors
    /// It cannot be written; it is as it was, and nothing is left beside it.
    pub fn replace(&self, spec: &Spec<'_>) -> Result<(), String> {
        let name = format!(".{CONFIG}.{}", std::process::id());
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let new = openat(&self.folder, name.as_str(), flags, Mode::S_IRUSR | Mode::S_IWUSR)
            .map_err(|error| self.say(&io::Error::from(error)))?;
        let replaced = self.fill(fs::File::from(new), spec).and_then(|()| {
            renameat(&self.folder, name.as_str(), &self.folder, self.name.as_os_str())
                .map_err(io::Error::from)
        });
        replaced.map_err(|error| {
            let _ = unlinkat(&self.folder, name.as_str(), UnlinkatFlags::NoRemoveDir);
            self.say(&error)
        })
    }

    fn fill(&self, new: fs::File, spec: &Spec<'_>) -> io::Result<()> {
        let (old, made) = (self.file.metadata()?, new.metadata()?);
        if (old.uid(), old.gid()) != (made.uid(), made.gid()) {
            fchown(&new, Some(old.uid()), Some(old.gid()))?;
        }
        new.set_permissions(fs::Permissions::from_mode(old.mode() & 0o7777))?;
        let mut text = BufWriter::with_capacity(64 << 10, new);
        spec.write(&mut text)?;
        text.flush()
    }

    /// The container's root folder, if it can be opened.
    #[must_use]
    pub fn root(&self, spec: &Value) -> Option<OwnedFd> {
        let path = at(spec, "/root/path").as_str()?;
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        openat(&self.folder, Path::new(path), flags, Mode::empty()).ok()
    }

    /// With its path in front.
    pub fn say(&self, error: &dyn std::fmt::Display) -> String {
        format!("{}: {error}", self.path.display())
    }
}

/// What is at that path below the folder. The container's links lead nowhere.
#[must_use]
pub fn look(root: BorrowedFd<'_>, path: &str) -> Found {
    let mut parts = path.split('/').filter(|part| !part.is_empty()).peekable();
    let mut folder: Option<OwnedFd> = None;
    while let Some(part) = parts.next() {
        let here = folder.as_ref().map_or(root, |folder| folder.as_fd());
        if parts.peek().is_none() {
            return match fstatat(here, part, AtFlags::AT_SYMLINK_NOFOLLOW) {
                Ok(file) if file.st_size == 0 && is_plain(&file) => Found::EmptyFile,
                Ok(_) => Found::Something,
                Err(_) => Found::Nothing,
            };
        }
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        match openat(here, part, flags, Mode::empty()) {
            Ok(next) => folder = Some(next),
            Err(_) => return Found::Nothing,
        }
    }
    Found::Something
}

fn is_plain(file: &FileStat) -> bool {
    SFlag::from_bits_truncate(file.st_mode) & SFlag::S_IFMT == SFlag::S_IFREG
}
