//! The report's file: opened before the command starts, and valid at every moment from the beginning of the stop on.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::UnlinkatFlags;

use super::clock::Clock;
use super::descriptors;
use super::file_system::{FileId, Place};
use super::output::{is_ready, is_standard};
use super::stderr::LONGEST_LINE;

/// A file for the report.
#[derive(Debug)]
pub struct ReportFile {
    file: File,
    kind: FileKind,
}

#[derive(Debug)]
enum FileKind {
    /// A pipe, a terminal, or a file that the command writes to as well. It is written once, at the end.
    Stream,
    /// A regular file of drainit's own, and its place, if it can be replaced by a new file.
    Regular(Option<Place>),
}

/// What has been written so far. The helper that writes may be killed at any moment, so what it is about to do is noted first.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReportState {
    /// The length of the text in the file.
    length: usize,
    /// The file that has replaced the first one, and the one that is about to replace it.
    replaced_by: [Option<FileId>; 2],
    /// It cannot be replaced any more, so it is written over.
    is_overwritten: bool,
}

impl ReportFile {
    /// Creates the file, or empties it, so that an earlier run's report is not taken for this one's.
    ///
    /// # Errors
    /// Those of open(2); also for a pipe without a reader.
    pub fn open(path: &OsStr) -> io::Result<Self> {
        let mut file = descriptors::open(path, OFlag::O_WRONLY | OFlag::O_CREAT)?;
        let kind = if is_standard(&file)? {
            // What the command writes there must stay.
            file = descriptors::open(path, OFlag::O_WRONLY | OFlag::O_APPEND)?;
            FileKind::Stream
        } else if !file.metadata()?.is_file() {
            FileKind::Stream
        } else {
            nix::unistd::ftruncate(&file, 0)?;
            // A link is written through, and stays.
            let place = Place::of(Path::new(path)).ok();
            FileKind::Regular(place.filter(|place| place.file().ok() == FileId::of(&file)))
        };
        Ok(Self { file, kind })
    }

    /// The descriptors that have to stay open.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let folder = match &self.kind {
            FileKind::Regular(Some(place)) => Some(place.folder.as_fd()),
            FileKind::Regular(None) | FileKind::Stream => None,
        };
        [Some(self.file.as_fd()), folder].into_iter().flatten()
    }

    /// Whether a write takes effect at once, and can be replaced later.
    #[must_use]
    pub fn can_be_replaced(&self) -> bool {
        matches!(self.kind, FileKind::Regular(_))
    }

    /// Replaces what was written before with this text, which ends in a newline.
    ///
    /// # Errors
    /// The file system's.
    pub fn write(&self, state: &mut ReportState, text: &[u8]) -> io::Result<()> {
        let FileKind::Regular(place) = &self.kind else { return self.append(text) };
        if let Some(place) = place.as_ref().filter(|_| !state.is_overwritten)
            && let Some(new) = place.make(&self.file, state)
        {
            // If there is no room for the new text, the old one stays.
            let written = (&new).write_all(text);
            if written.is_ok() && place.replace(&new, state) {
                state.length = text.len();
                return Ok(());
            }
            place.remove_temporary();
            written?;
        }
        // In one call, and never shorter than before: the process may be killed at any moment.
        state.is_overwritten = true;
        let mut text = text.to_vec();
        if text.len() < state.length {
            text.pop();
            text.resize(state.length - 1, b' ');
            text.push(b'\n');
        }
        let replacement = place.as_ref().zip(state.replaced_by[0]);
        match replacement.map(|(place, id)| place.open(id, OFlag::O_WRONLY)) {
            None => self.file.write_all_at(&text, 0)?,
            Some(replacement) => replacement.ok_or(Errno::EEXIST)?.write_all_at(&text, 0)?,
        }
        state.length = text.len();
        Ok(())
    }

    /// A full pipe may delay it for a moment.
    fn append(&self, text: &[u8]) -> io::Result<()> {
        let clock = Clock::start();
        for piece in text.chunks(LONGEST_LINE) {
            let written = (&self.file).write_all(piece);
            match written {
                Err(error)
                    if error.kind() == io::ErrorKind::WouldBlock
                        && is_ready(self.file.as_raw_fd(), clock) =>
                {
                    (&self.file).write_all(piece)?;
                }
                written => written?,
            }
        }
        Ok(())
    }
}

impl Place {
    /// Whether the report's name belongs to drainit's own file or to none, and not to a link or to a file of the command.
    fn is_safe_to_replace(&self, first: &File, state: &mut ReportState) -> bool {
        let there = match self.file() {
            Ok(there) => Some(there),
            Err(error) => return error == Errno::ENOENT,
        };
        // The last helper may have been killed before or after the rename.
        if state.replaced_by.contains(&there) {
            state.replaced_by = [there, None];
            return true;
        }
        state.replaced_by[0].is_none() && there == FileId::of(first)
    }

    /// Makes a new file that can take the report's name, unless another file has that name now.
    fn make(&self, first: &File, state: &mut ReportState) -> Option<File> {
        let metadata = first.metadata().ok().filter(|_| self.is_safe_to_replace(first, state))?;
        // A helper that was killed in the middle of a write may have left one.
        self.remove_temporary();
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let mode = Mode::from_bits_truncate(metadata.mode() & 0o777);
        let file = nix::fcntl::openat(&self.folder, self.temporary().as_c_str(), flags, mode).ok()?;
        let is_alike = nix::sys::stat::fchmod(&file, mode).is_ok()
            && std::os::unix::fs::fchown(&file, Some(metadata.uid()), Some(metadata.gid())).is_ok();
        if !is_alike {
            self.remove_temporary();
        }
        is_alike.then(|| File::from(file))
    }

    /// Puts the new file in place of the old one. A mount point cannot be replaced.
    fn replace(&self, new: &File, state: &mut ReportState) -> bool {
        let new = FileId::of(new);
        state.replaced_by[1] = new;
        let (folder, name) = (&self.folder, self.name.as_c_str());
        let is_there = nix::fcntl::renameat(folder, self.temporary().as_c_str(), folder, name).is_ok();
        if is_there {
            state.replaced_by = [new, None];
        }
        is_there
    }

    /// The new file's name, until it is whole.
    fn temporary(&self) -> CString {
        CString::new([b".drainit-", self.name.to_bytes()].concat()).unwrap_or_default()
    }

    fn remove_temporary(&self) {
        let _ = nix::unistd::unlinkat(&self.folder, self.temporary().as_c_str(), UnlinkatFlags::NoRemoveDir);
    }
}
