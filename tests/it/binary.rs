//! What the program file says of itself, which the kernel goes by (elf(5)).

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use drainit::sys::procfs;

/// The program that is tested: what Cargo has built for the tests, or another build, whatever its file is called, if `DRAINIT_PROGRAM` names one.
pub(crate) static DRAINIT: LazyLock<&str> = LazyLock::new(|| {
    let named = std::env::var("DRAINIT_PROGRAM").ok().filter(|name| !name.is_empty());
    named.map_or(env!("CARGO_BIN_EXE_drainit"), |name| name.leak())
});

/// The name by which the kernel knows it while it runs: the first 15 bytes of the file's (proc_pid_comm(5)), as they are shown.
pub(crate) fn name() -> String {
    shown(Path::new(*DRAINIT))
}

/// The path of a copy in this folder, under the same name: what follows may look for that.
pub(crate) fn copy_in(folder: &Path) -> PathBuf {
    let copy = folder.join(Path::new(*DRAINIT).file_name().expect("a file"));
    std::fs::copy(*DRAINIT, &copy).expect("a copy");
    copy
}

fn shown(program: &Path) -> String {
    let file = program.file_name().expect("a file").as_bytes();
    file[..file.len().min(15)].escape_ascii().to_string()
}

pub(crate) const WORKLOAD: &str = env!("CARGO_BIN_EXE_fake-workload");

const LOAD: usize = 1;
const LOADER: usize = 3;
const STACK: usize = 0x6474_e551;
const READ_ONLY_AFTER_START: usize = 0x6474_e552;

const EXECUTE: usize = 1;
const WRITE: usize = 2;

/// A row of the program's table of segments.
#[derive(Debug)]
struct Segment {
    kind: usize,
    flags: usize,
}

impl Segment {
    fn may(&self, flags: usize) -> bool {
        self.flags & flags == flags
    }
}

/// A number of the file's, by its place and its size.
fn words(program: &str) -> impl Fn(usize, usize) -> usize {
    let file = std::fs::read(program).expect("it was built");
    assert_eq!(&file[..6], b"\x7fELF\x02\x01", "a 64-bit little-endian program");
    move |at, size| {
        file[at..at + size].iter().rev().fold(0_usize, |number, &byte| number << 8 | usize::from(byte))
    }
}

fn segments(program: &str) -> Vec<Segment> {
    let word = words(program);
    let (table, size, count) = (word(32, 8), word(54, 2), word(56, 2));
    let rows = (0..count).map(|row| table + row * size);
    let found: Vec<Segment> = rows.map(|at| Segment { kind: word(at, 4), flags: word(at + 4, 4) }).collect();
    assert!(found.iter().any(|segment| segment.kind == LOAD && segment.may(EXECUTE)), "no code: {found:?}");
    found
}

#[test]
fn the_programs_are_static() {
    for program in [*DRAINIT, WORKLOAD] {
        let segments = segments(program);
        assert!(segments.iter().all(|segment| segment.kind != LOADER), "{program}: {segments:?}");
    }
}

/// The tests find PID 1 by it, whatever the file that they are given is called.
#[test]
fn the_name_is_the_one_that_the_kernel_shows() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    for name in ["drainit", "drainit-v0.1.0-linux-amd64", "dräinit-программа", "(x) y) 1"] {
        let program = folder.path().join(name);
        std::fs::copy(*DRAINIT, &program).expect("a copy");
        let mut command = Command::new(&program);
        crate::gate::without_test_variables(&mut command);
        let mut running =
            command.args(["--", "cat"]).stdin(std::process::Stdio::piped()).spawn().expect("it runs");
        let stat = procfs::stat(running.id().cast_signed(), &mut procfs::buffer())
            .and_then(drainit::processes::stat::parse);
        drop(running.stdin.take());
        let ended = running.wait().expect("our own child");
        assert!(ended.success());
        assert_eq!(stat.expect("it was there").name.to_string(), shown(&program));
    }
}

/// The build script says so, in the place of a program with other numbers for its signals.
#[test]
fn a_processor_that_it_would_be_wrong_on_is_refused() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let script = folder.path().join("script");
    let source = crate::docs::root().join("build.rs");
    let compiled = Command::new("rustc").args(["--edition", "2024", "-o"]).args([&script, &source]).output();
    assert!(compiled.as_ref().is_ok_and(|output| output.status.success()), "{compiled:?}");
    for (processor, endian, width, refused) in [
        ("mips", "big", "32", true),
        ("mips64", "little", "64", true),
        ("powerpc", "big", "32", true),
        ("s390x", "big", "64", false),
        ("arm", "little", "32", false),
        ("x86_64", "little", "64", false),
    ] {
        let output = Command::new(&script)
            .envs([("CARGO_CFG_TARGET_ARCH", processor), ("CARGO_CFG_TARGET_ENDIAN", endian)])
            .env("CARGO_CFG_TARGET_POINTER_WIDTH", width)
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&output.stdout);
        let error = format!("cargo::error=drainit cannot be built for {processor}: ");
        assert_eq!(said.contains(&error), refused, "{said}");
        assert_ne!(said.contains("--entry=drainit_entry"), refused, "{said}");
    }
}

#[test]
fn nothing_can_be_both_written_and_executed() {
    let segments = segments(*DRAINIT);
    let both = segments.iter().find(|segment| segment.may(WRITE | EXECUTE));
    assert!(both.is_none(), "{both:?}");
    // Without this entry the kernel makes every page executable.
    let stack = segments.iter().find(|segment| segment.kind == STACK).expect("it says what the stack is");
    assert!(!stack.may(EXECUTE), "{stack:?}");
    let relro = segments.iter().any(|segment| segment.kind == READ_ONLY_AFTER_START);
    assert!(relro, "what is only written at the start stays writable: {segments:?}");
}
