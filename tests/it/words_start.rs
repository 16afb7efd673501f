//! A command that cannot be started: one line that says what to change, and nothing of it runs.

use std::path::{Path, PathBuf};

use crate::harness::{BOTH, Init};

/// A file with these bytes that may be executed.
fn program(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.join(name);
    std::fs::write(&path, bytes).expect("a file");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("our own file");
    path
}

/// The head of an ELF file for this processor, and what a shell would take for a command behind it.
fn elf(machine: u16, length: usize) -> Vec<u8> {
    let mut file =
        [&b"\x7fELF\x02\x01\x01\0"[..], &[0; 8], &[2, 0], &machine.to_le_bytes(), &[0; 44]].concat();
    file.extend(b"\necho started\n");
    file.truncate(length);
    file
}

const AARCH64: u16 = 183;
const X86_64: u16 = 62;
const THIS: &str = std::env::consts::ARCH;

/// Runs it as the command, and returns what drainit says.
#[track_caller]
fn refused(command: &str, code: i32) -> String {
    for mode in BOTH {
        let run = Init::new(mode).command(&[command]).run();
        run.exits(code);
        assert!(run.stdout.is_empty(), "something ran: {run:?}");
        let start = format!("drainit: error: cannot run {command:?}: ");
        assert!(run.complaint().starts_with(&start), "{run:?}");
        assert!(!run.complaint().contains("os error"), "{run:?}");
    }
    let run = Init::subreaper().command(&[command]).run();
    run.complaint().to_owned()
}

fn said_of(bytes: &[u8], code: i32) -> String {
    let folder = tempfile::tempdir().expect("a scratch folder");
    refused(program(folder.path(), "app", bytes).to_str().expect("text"), code)
}

#[test]
fn a_program_for_another_processor_is_named_and_never_given_to_a_shell() {
    let (machine, name) = if THIS == "x86_64" { (AARCH64, "aarch64") } else { (X86_64, "x86_64") };
    let expected = format!("built for {name}, this is {THIS}");
    assert!(said_of(&elf(machine, 64), 126).ends_with(&expected));
    assert!(said_of(&elf(machine, 1000), 126).ends_with(&expected), "whatever follows");
    assert!(said_of(&elf(22, 64), 126).contains("built for "));
}

#[test]
fn a_program_that_is_cut_off_is_never_given_to_a_shell() {
    let own = if THIS == "x86_64" { X86_64 } else { AARCH64 };
    for length in [4, 5, 18, 20, 63] {
        let said = said_of(&elf(own, length), 126);
        assert!(said.ends_with("its ELF file is truncated or damaged"), "{said}");
    }
    // The magic is there, and the shell would find a command in the next line.
    assert!(said_of(b"\x7fELF\necho started\n", 126).contains("truncated"));
}

#[test]
fn what_other_systems_run_is_never_given_to_a_shell() {
    for (bytes, part) in [
        (&b"\xcf\xfa\xed\xfe\x0c\0\0\x01\necho started\n"[..], "built for macOS"),
        (b"MZ\x90\0\necho started\n", "built for Windows"),
        (b"\0asm\x01\0\0\0\necho started\n", "WebAssembly"),
        (b"\x01\0\x02\necho started\n", "neither a program for this system nor a script"),
    ] {
        let said = said_of(bytes, 126);
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn a_script_that_carries_data_behind_its_text_is_still_a_script() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let script = program(folder.path(), "app", b"echo started; exit 5\n\0\0\x7fELF");
    let run = Init::subreaper().command(&[&script]).run();
    run.exits(5).in_order(&["started"]);
}

#[test]
fn a_script_whose_interpreter_is_for_another_processor_is_not_run_by_another_one() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let interpreter = program(folder.path(), "python", &elf(22, 64));
    let text = format!("#!{}\necho started\n", interpreter.display());
    let script = program(folder.path(), "app", text.as_bytes());
    let said = refused(script.to_str().expect("text"), 126);
    let part = format!("its interpreter \"{}\" cannot be executed here", interpreter.display());
    assert!(said.ends_with(&part), "{said}");
}

#[test]
fn a_directory_is_said_to_be_one() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    for directory in ["/", folder.path().to_str().expect("text")] {
        assert!(refused(directory, 126).ends_with(": is a directory"));
    }
    // Along PATH too.
    std::fs::create_dir(folder.path().join("app")).expect("a folder");
    let run = Init::subreaper().env("PATH", folder.path()).command(&["app"]).run();
    run.exits(126);
    assert!(run.complaint().ends_with("\"app\": is a directory"), "{run:?}");
}

#[test]
fn windows_line_endings_are_shown_and_named() {
    for text in ["#!/bin/sh\r\necho started\r\n", "#! /bin/sh\r\n", "#!/bin/sh\r"] {
        let said = said_of(text.as_bytes(), 127);
        assert!(said.contains("\"/bin/sh\\r\" is not there") && said.contains("line endings"), "{said}");
    }
    let said = said_of(b"#!/nowhere/bash\n", 127);
    assert!(said.ends_with("its interpreter \"/nowhere/bash\" is not there"), "{said}");
}

#[test]
fn a_whole_line_in_one_word_is_to_be_split() {
    let said = refused("echo hello world", 127);
    assert!(said.contains("split it, as in drainit -- echo hello world"), "{said}");
    assert!(said.contains(r#""echo", "hello", "world""#), "{said}");
    assert!(refused("/bin/echo hello", 127).contains("drainit -- /bin/echo hello"));
    assert!(refused("cd / && ls", 127).contains("sh -c"));
    // A program may have such a name.
    let folder = tempfile::tempdir().expect("a scratch folder");
    program(folder.path(), "echo hello world", b"#!/bin/sh\nexit 6\n");
    Init::subreaper().env("PATH", folder.path()).command(&["echo hello world"]).run().exits(6).silently();
}

#[test]
fn a_file_without_permission_and_one_that_is_not_there_differ() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let plain = folder.path().join("plain");
    std::fs::write(&plain, "x").expect("a file");
    assert!(refused(plain.to_str().expect("text"), 126).ends_with("is not executable (chmod +x)"));
    assert!(refused("no-such-command-anywhere", 127).ends_with("not found in PATH"));
    assert!(refused("/nowhere/x", 127).ends_with("no such file"));
    assert!(refused("/etc/passwd/x", 127).ends_with("not a directory"));
    assert!(refused("", 127).ends_with("the name is empty"));
}

#[test]
fn a_step_that_cannot_be_executed_says_why_in_the_same_words() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let machine = if THIS == "x86_64" { AARCH64 } else { X86_64 };
    for (bytes, part) in [
        (elf(machine, 100), "built for "),
        (b"#!/bin/sh\r\necho started\r\n".to_vec(), "line endings"),
        (b"#!/nowhere/bash\n".to_vec(), "its interpreter \"/nowhere/bash\" is not there"),
    ] {
        let step = program(folder.path(), "step", &bytes);
        for mode in BOTH {
            let run = Init::new(mode)
                .flags(&["--post-exit", step.to_str().expect("text")])
                .workload("exit=3")
                .run();
            run.exits(3).warns(&["post-exit command ", "cannot be started: ", part]);
            assert!(run.stdout.is_empty(), "something ran: {run:?}");
        }
    }
}

#[test]
fn no_error_at_the_start_has_the_system_s_number() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let folder = folder.path().to_str().expect("text");
    for flags in [
        &["--report", "/nowhere/report"][..],
        &["--report", folder],
        &["--workdir", "/nowhere"],
        &["--workdir", "/etc/passwd"],
    ] {
        let run = Init::subreaper().flags(flags).workload("say=started").run();
        run.exits(125);
        assert!(run.stdout.is_empty(), "{run:?}");
        assert!(!run.complaint().contains("os error"), "{run:?}");
    }
    let run = Init::subreaper().flags(&[
        &format!("--termination-log={folder}"),
        "--grace-period",
        "0",
        "--stop-after",
        "0",
    ]);
    let run = run.workload("hold").run();
    assert!(run.stderr.iter().all(|line| !line.contains("os error")), "{run:?}");
}
