//! A copy of the program itself.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Copies the program to that path by rename: a process that runs the file that was there before keeps it, and no process finds half a
/// program.
///
/// # Errors
/// What could not be read, written or renamed; then nothing is left beside the path.
pub fn program_to(path: &OsStr) -> io::Result<()> {
    let path = Path::new(path);
    let name = path.file_name().filter(|_| !path.as_os_str().as_bytes().ends_with(b"/"));
    let mut new = OsString::from(".");
    new.push(name.ok_or(io::ErrorKind::IsADirectory)?);
    new.push(format!(".{}", std::process::id()));
    let new = path.with_file_name(new);
    let program = File::open("/proc/self/exe")?;
    let file = OpenOptions::new().write(true).create_new(true).mode(0o700).open(&new)?;
    let copied = copy(program, file).and_then(|()| fs::rename(&new, path));
    if copied.is_err() {
        let _ = fs::remove_file(&new);
    }
    copied
}

fn copy(mut program: File, mut file: File) -> io::Result<()> {
    let mut buffer = [0; 16 << 10];
    loop {
        match program.read(&mut buffer)? {
            0 => break,
            count => file.write_all(buffer.get(..count).unwrap_or_default())?,
        }
    }
    // Independent of the umask.
    file.set_permissions(Permissions::from_mode(0o755))
}
