//! What the program file says of itself, which the kernel goes by (elf(5)).

use std::path::Path;
use std::sync::LazyLock;

/// The program that is tested: what Cargo has built for the tests, or another build, whatever its file is called, if `DRAINIT_PROGRAM` names one.
pub(crate) static DRAINIT: LazyLock<&str> = LazyLock::new(|| {
    let named = std::env::var("DRAINIT_PROGRAM").ok().filter(|name| !name.is_empty());
    named.map_or(env!("CARGO_BIN_EXE_drainit"), |name| name.leak())
});

/// The name by which the kernel knows it while it runs: the first 15 bytes of the file's (proc_pid_comm(5)).
pub(crate) fn name() -> String {
    let file = Path::new(*DRAINIT).file_name().expect("a file").to_string_lossy();
    file.chars().take(15).collect()
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
