//! What file systems report about themselves.

use std::ffi::CStr;
use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::fcntl::AtFlags;

/// File systems behind which another program or another machine has to answer (statfs(2)): NFS, SMB and CIFS, Coda, AFS, FUSE, Ceph, 9P.
const REMOTE: [u64; 10] = [
    0x6969,
    0x517b,
    0xff53_4d42,
    0xfe53_4d42,
    0x7375_7245,
    0x5346_414f,
    0x6573_5546,
    0x00c3_6400,
    0x0102_1997,
    0x6b41_4653,
];

/// Whether this very file has this name in the folder: not a link to it, nor another file that was put there.
#[must_use]
pub fn is_at(folder: &OwnedFd, name: &CStr, file: &File) -> bool {
    let there = nix::sys::stat::fstatat(folder, name, AtFlags::AT_SYMLINK_NOFOLLOW);
    let Ok((there, own)) = there.and_then(|there| Ok((there, nix::sys::stat::fstat(file)?))) else {
        return false;
    };
    (there.st_dev, there.st_ino) == (own.st_dev, own.st_ino)
}

/// Whether another party may stall a call on this file. If that is not known, it may.
#[must_use]
pub fn is_remote(file: &File) -> bool {
    let mut found = MaybeUninit::<libc::statfs>::zeroed();
    // SAFETY: the pointer is to a statfs of ours.
    let known = unsafe { libc::fstatfs(file.as_raw_fd(), found.as_mut_ptr()) } == 0;
    // SAFETY: zeroed is a valid statfs, filled in or not.
    let found = unsafe { found.assume_init() };
    // The type is signed on some processors, and 32 bits wide on others.
    !known || REMOTE.contains(&(found.f_type as u64 & 0xffff_ffff))
}
