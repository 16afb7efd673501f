//! Why a program could not be executed, in words: derived from the kernel's error and the beginning of the file. Pure.

#![forbid(unsafe_code)]

use std::env::consts::ARCH;
use std::ffi::OsStr;
use std::io::ErrorKind;

use crate::sys::spawn::{ProgramFile, SpawnError};
use crate::text::{has, plain};

/// Why this program could not be executed.
#[must_use]
pub fn why_not_executed(program: &OsStr, failure: &SpawnError) -> String {
    match &failure.file {
        Some(file) => of_file(file, failure),
        None => not_there(program, failure),
    }
}

fn of_file(file: &ProgramFile, failure: &SpawnError) -> String {
    if file.is_directory {
        return "is a directory".to_owned();
    }
    if failure.is_no_program() {
        return no_program(&file.beginning);
    }
    let kind = failure.error.kind();
    if kind == ErrorKind::NotFound {
        interpreter_missing(&file.beginning)
    } else if kind == ErrorKind::PermissionDenied && !file.is_executable {
        "is not executable (chmod +x)".to_owned()
    } else {
        plain(&failure.error)
    }
}

fn not_there(program: &OsStr, failure: &SpawnError) -> String {
    let name = program.to_string_lossy();
    if failure.error.kind() != ErrorKind::NotFound {
        return plain(&failure.error);
    }
    let what = if name.is_empty() {
        "the name is empty"
    } else if name.contains('/') {
        "no such file"
    } else {
        "not found in PATH"
    };
    format!("{what}{}", advice(&name))
}

/// A whole command line as one word: the exec form was given the text of the shell form, or quotes around everything.
fn advice(name: &str) -> String {
    let words: Vec<&str> = name.split_whitespace().collect();
    if words.len() < 2 {
        return String::new();
    }
    if name.contains(['|', '&', ';', '<', '>', '$', '`', '*', '\'', '"', '\\']) {
        return "; this is one word, the name of a program: to run it as a shell's line, put sh -c before it"
            .to_owned();
    }
    format!(
        "; this is one word, the name of a program: split it, as in drainit -- {0}, or \"{1}\" in exec form",
        words.join(" "),
        words.join("\", \""),
    )
}

/// The kernel does not take the file for a program, and it is no script for the shell either.
fn no_program(file: &[u8]) -> String {
    if let Some(header) = file.strip_prefix(b"\x7fELF") {
        return match processor(header) {
            Some(other) if other != ARCH => format!("built for {other}, this is {ARCH}"),
            _ => "its ELF file is truncated or damaged".to_owned(),
        };
    }
    if let Some(interpreter) = interpreter(file) {
        return format!("its interpreter \"{interpreter}\" cannot be executed here");
    }
    match file {
        [0xcf | 0xce, 0xfa, 0xed, 0xfe, ..] | [0xca, 0xfe, 0xba, 0xbe, ..] => {
            "built for macOS, this is Linux"
        }
        [b'M', b'Z', ..] => "built for Windows, this is Linux",
        [0, b'a', b's', b'm', ..] => "is WebAssembly, which needs a runtime of its own",
        _ if file.contains(&0) => "is neither a program for this system nor a script",
        _ => "has no #! line, and /bin/sh cannot be executed",
    }
    .to_owned()
}

/// The processor that an ELF file is for, from what follows its magic; `None` if the file ends before that.
fn processor(header: &[u8]) -> Option<String> {
    /// Where `e_machine` is, counted from the end of the magic (elf(5)).
    const MACHINE: usize = 14;
    let &[class, order] = header.first_chunk()?;
    let number = header.get(MACHINE..)?.first_chunk().copied()?;
    let number = if order == 2 { u16::from_be_bytes(number) } else { u16::from_le_bytes(number) };
    let is_long = class == 2;
    let name = match (number, is_long, order) {
        (3, ..) => "x86 (32 bits)",
        (62, true, _) => "x86_64",
        (62, false, _) => "x32",
        (40, ..) => "arm (32 bits)",
        (183, ..) => "aarch64",
        (243, true, _) => "riscv64",
        (243, false, _) => "riscv32",
        (21, _, 1) => "ppc64le",
        (21, ..) => "ppc64",
        (20, ..) => "ppc",
        (22, ..) => "s390x",
        (8, ..) => "mips",
        (43, ..) => "sparc64",
        (258, ..) => "loongarch64",
        // A file that was cut off, or never written, may have zeros there.
        (0, ..) => return None,
        _ => return Some(format!("processor {number} of ELF's list")),
    };
    Some(name.to_owned())
}

/// The file exists, but the interpreter or loader that it needs does not.
fn interpreter_missing(file: &[u8]) -> String {
    if let Some(interpreter) = interpreter(file) {
        let line_endings = if interpreter.ends_with('\r') {
            ": the script has Windows line endings (CRLF), Linux needs LF"
        } else {
            ""
        };
        return format!("its interpreter \"{interpreter}\" is not there{line_endings}");
    }
    if !file.starts_with(b"\x7fELF") {
        return "has no #! line, and there is no /bin/sh to run it".to_owned();
    }
    let Some(loader) = loader(file) else { return "the loader that it needs is not there".to_owned() };
    let library = if has(&loader, "musl") {
        " (built for musl)"
    } else if has(&loader, "ld-linux") || has(&loader, "ld64") {
        " (built for glibc)"
    } else {
        ""
    };
    format!("its loader \"{loader}\" is not there{library}")
}

/// What a script's first line names, without its argument.
fn interpreter(file: &[u8]) -> Option<String> {
    let line = file.strip_prefix(b"#!")?.split(|&byte| byte == b'\n').next()?;
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let path = line.split(is_blank).find(|word| !word.is_empty())?;
    Some(String::from_utf8_lossy(path).into_owned())
}

/// The path of a dynamic program's loader: a text in the file that begins like one and ends in NUL.
fn loader(file: &[u8]) -> Option<String> {
    let pieces = file.split(|&byte| byte == 0);
    let path = pieces.filter(|piece| piece.starts_with(b"/")).find(|piece| piece.contains(&b'.'))?;
    std::str::from_utf8(path).ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::sys::spawn::SpawnStage;

    const ENOENT: i32 = 2;
    const ENOEXEC: i32 = 8;
    const EACCES: i32 = 13;

    fn why(program: &str, errno: i32, file: Option<&[u8]>) -> String {
        let file = file.map(|beginning| ProgramFile {
            is_directory: false,
            is_executable: errno != EACCES,
            beginning: beginning.to_vec(),
        });
        let error = io::Error::from_raw_os_error(errno);
        why_not_executed(OsStr::new(program), &SpawnError { stage: SpawnStage::Exec, error, file })
    }

    fn elf(class: u8, order: u8, machine: u16) -> Vec<u8> {
        let mut file = [&b"\x7fELF"[..], &[class, order, 1, 0], &[0; 8], &[2, 0]].concat();
        file.extend(if order == 2 { machine.to_be_bytes() } else { machine.to_le_bytes() });
        file.resize(64, 0);
        file
    }

    #[test]
    fn a_program_for_another_processor_names_it() {
        for (class, order, machine, name) in [
            (2, 1, 183, "aarch64"),
            (1, 1, 40, "arm (32 bits)"),
            (1, 1, 3, "x86 (32 bits)"),
            (2, 2, 22, "s390x"),
            (2, 1, 21, "ppc64le"),
            (2, 2, 21, "ppc64"),
            (2, 1, 243, "riscv64"),
            (2, 1, 9999, "processor 9999 of ELF's list"),
        ] {
            let said = why("/app", ENOEXEC, Some(&elf(class, order, machine)));
            let expected = if name == ARCH {
                "its ELF file is truncated or damaged".to_owned()
            } else {
                format!("built for {name}, this is {ARCH}")
            };
            assert_eq!(said, expected);
        }
    }

    #[test]
    fn an_elf_file_that_is_cut_off_is_said_to_be() {
        let whole = elf(2, 1, if ARCH == "x86_64" { 62 } else { 183 });
        for length in [4, 5, 16, 19, 20, 63, 64] {
            let said = why("/app", ENOEXEC, whole.get(..length));
            assert_eq!(said, "its ELF file is truncated or damaged", "{length}");
        }
    }

    #[test]
    fn what_other_systems_run_is_named() {
        for (file, part) in [
            (&b"\xcf\xfa\xed\xfe\x07\0\0\x01"[..], "built for macOS"),
            (b"MZ\x90\0", "built for Windows"),
            (b"\0asm\x01\0\0\0", "WebAssembly"),
            (b"PK\x03\x04\0\0", "neither a program"),
            (b"echo x\n", "/bin/sh cannot be executed"),
            (b"#!/app.arm64\n", "its interpreter \"/app.arm64\" cannot be executed here"),
        ] {
            let said = why("/app", ENOEXEC, Some(file));
            assert!(said.contains(part), "{said}");
        }
    }

    #[test]
    fn a_missing_interpreter_is_shown_as_it_stands() {
        for (file, expected) in [
            (
                &b"#!/bin/sh\r\necho x\r\n"[..],
                "its interpreter \"/bin/sh\r\" is not there: the script has Windows line endings (CRLF), Linux needs LF",
            ),
            (b"#! /nowhere/python3 -u\nx", "its interpreter \"/nowhere/python3\" is not there"),
            (b"#!\t/nowhere/x\targ", "its interpreter \"/nowhere/x\" is not there"),
            (b"echo x\n", "has no #! line, and there is no /bin/sh to run it"),
            (
                b"\x7fELF\0\0\0/lib/ld-musl-x86_64.so.1\0",
                "its loader \"/lib/ld-musl-x86_64.so.1\" is not there (built for musl)",
            ),
            (
                b"\x7fELF\0\0\0/lib64/ld-linux-x86-64.so.2\0",
                "its loader \"/lib64/ld-linux-x86-64.so.2\" is not there (built for glibc)",
            ),
            (b"\x7fELF\0\0\0", "the loader that it needs is not there"),
        ] {
            assert_eq!(why("/app", ENOENT, Some(file)), expected);
        }
    }

    #[test]
    fn a_line_in_one_word_is_to_be_split() {
        let said = why("echo hello world", ENOENT, None);
        assert!(said.starts_with("not found in PATH; "), "{said}");
        assert!(said.contains("drainit -- echo hello world"), "{said}");
        assert!(said.contains(r#""echo", "hello", "world""#), "{said}");
        assert!(why("/app --port 80", ENOENT, None).contains("drainit -- /app --port 80"));
        for line in ["cd /srv && ./app", "a | b", "x $HOME", "sh -c 'x y'"] {
            assert!(why(line, ENOENT, None).contains("sh -c before it"), "{line}");
        }
        assert_eq!(why("app", ENOENT, None), "not found in PATH");
        assert_eq!(why("./app", ENOENT, None), "no such file");
        assert_eq!(why("", ENOENT, None), "the name is empty");
        assert!(!why("a\nb c", ENOENT, None).contains('\n'));
    }

    #[test]
    fn a_file_without_permission_says_which_one_is_missing() {
        assert_eq!(why("/app", EACCES, Some(b"x")), "is not executable (chmod +x)");
        assert_eq!(why("/app", EACCES, None), "permission denied");
        let directory = ProgramFile { is_directory: true, is_executable: true, beginning: Vec::new() };
        let error = io::Error::from_raw_os_error(EACCES);
        let failure = SpawnError { stage: SpawnStage::Exec, error, file: Some(directory) };
        assert_eq!(why_not_executed(OsStr::new("/"), &failure), "is a directory");
    }
}
