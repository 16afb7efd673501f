//! The program's own commands, on files that a test makes. What engines make of them is in `runtimes`.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};

use crate::binary::{DRAINIT, WRAPPER, build};
use crate::bundle::{code, said};

fn run(line: &[&str]) -> Output {
    Command::new(WRAPPER).args(line).output().expect("it can be run")
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a scratch folder")
}

#[test]
fn each_configuration_is_printed_then_written_then_left_as_it_is_then_taken_out() {
    for (engine, old) in [
        ("--containerd", "version = 2\n"),
        ("--containerd", ""),
        ("--docker", "{\n  \"bip\": \"10.0.0.1/24\"\n}\n"),
        ("--docker", ""),
        ("--crio", ""),
    ] {
        let folder = folder();
        let file = folder.path().join("deeper/config");
        let name = file.to_str().expect("text");
        if !old.is_empty() {
            fs::create_dir(folder.path().join("deeper")).expect("our own folder");
            fs::write(&file, old).expect("our own folder");
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("our own file");
        }
        let line = ["configure", engine, "--config", name, "--binary=/opt/drainit/bin/drainit-runtime"];
        let printed = run(&line);
        assert_eq!((code(&printed), said(&printed.stderr)), (0, String::new()), "{printed:?}");
        assert!(said(&printed.stdout).contains("/opt/drainit/bin/drainit-runtime"), "{printed:?}");
        assert_eq!(fs::read_to_string(&file).unwrap_or_default(), old, "printing writes nothing");

        let write = [&line[..], &["--write"]].concat();
        let written = run(&write);
        assert_eq!((code(&written), said(&written.stdout)), (0, String::new()), "{written:?}");
        assert!(said(&written.stderr).contains(": written; "), "{written:?}");
        let text = fs::read_to_string(&file).expect("it was written");
        assert!(text.ends_with(&said(&printed.stdout)), "{text}");
        let again = run(&write);
        assert!(said(&again.stderr).ends_with(": nothing to change\n"), "{again:?}");
        assert_eq!(fs::read_to_string(&file).expect("it is there"), text);
        if !old.is_empty() {
            let mode = fs::metadata(&file).expect("it is there").permissions().mode();
            assert_eq!(mode & 0o7777, 0o600);
        }

        for times in ["once", "twice"] {
            let removed = run(&["configure", engine, "--uninstall", "--write", "--config", name]);
            assert_eq!(code(&removed), 0, "{times}: {removed:?}");
            assert_eq!(fs::read_to_string(&file).unwrap_or_default(), old, "{engine} {times}");
            assert_eq!(file.exists(), !old.is_empty(), "{engine} {times}");
        }
    }
}

#[test]
fn what_cannot_be_done_is_one_line_and_writes_nothing() {
    let folder = folder();
    let file = folder.path().join("config");
    let name = file.to_str().expect("text");
    for (engine, old, reason) in [
        ("--containerd", "version = 1\n", "version 1 is not known here"),
        ("--docker", "[]", "invalid type"),
        ("--crio", "[crio]\n", "was not written by this command"),
    ] {
        fs::write(&file, old).expect("our own folder");
        let output = run(&["configure", engine, "--write", "--config", name]);
        assert_eq!(code(&output), 1, "{output:?}");
        let line = said(&output.stderr);
        assert!(line.starts_with("drainit-runtime: error: ") && line.contains(reason), "{line}");
        assert_eq!(
            (line.lines().count(), fs::read_to_string(&file).expect("it is there")),
            (1, old.to_owned())
        );
    }
}

#[test]
fn a_link_to_the_configuration_stays_one() {
    let folder = folder();
    let (real, link) = (folder.path().join("real"), folder.path().join("link"));
    fs::write(&real, "{}").expect("our own folder");
    symlink("real", &link).expect("our own folder");
    run(&["configure", "--docker", "--write", "--config", link.to_str().expect("text")]);
    assert!(link.is_symlink() && fs::read_to_string(real).expect("it is there").contains("drainit-runtime"));
}

/// As a DaemonSet's container sees one that leads out of the folder that it has mounted.
#[test]
fn a_link_that_leads_nowhere_is_not_replaced() {
    let folder = folder();
    let link = folder.path().join("link");
    symlink("/nowhere/config.toml", &link).expect("our own folder");
    for engine in ["--containerd", "--docker", "--crio"] {
        for more in [&["--write"][..], &["--uninstall", "--write"], &[]] {
            let line = ["configure", engine, "--config", link.to_str().expect("text")];
            let output = run(&[&line[..], more].concat());
            assert_eq!(code(&output), 1, "{output:?}");
            assert!(said(&output.stderr).ends_with("link: a link to what is not there\n"), "{output:?}");
        }
    }
    assert_eq!(fs::read_link(&link).expect("a link"), Path::new("/nowhere/config.toml"));
}

#[test]
fn the_help_is_on_stdout() {
    for line in [&["configure", "--help"][..], &["install", "-h"]] {
        let output = run(line);
        assert!(said(&output.stdout).starts_with("Usage: drainit-runtime configure "), "{output:?}");
        assert_eq!((code(&output), said(&output.stderr)), (0, String::new()));
    }
}

/// What runs keeps its program: a container has the old file mounted.
#[test]
fn both_programs_are_installed_by_rename() {
    build();
    let folder = folder();
    let to = folder.path().join("opt/bin");
    let name = to.to_str().expect("text");
    let output = run(&["install", name]);
    assert_eq!((code(&output), said(&output.stderr)), (0, String::new()), "{output:?}");
    let same =
        |one: &Path, other: &str| fs::read(one).expect("it is there") == fs::read(other).expect("built");
    assert!(same(&to.join("drainit"), *DRAINIT) && same(&to.join("drainit-runtime"), WRAPPER));
    let old = fs::File::open(to.join("drainit")).expect("it is there");
    let number = |file: &fs::Metadata| std::os::unix::fs::MetadataExt::ino(file);
    // The installed one installs too, onto itself.
    let output =
        Command::new(to.join("drainit-runtime")).args(["install", name]).output().expect("it can be run");
    assert_eq!(code(&output), 0, "{output:?}");
    let new = fs::metadata(to.join("drainit")).expect("it is there");
    assert_ne!(number(&old.metadata().expect("it is open")), number(&new));
    assert_eq!(new.permissions().mode() & 0o7777, 0o755);
    assert_eq!(fs::read_dir(&to).expect("our own folder").count(), 2, "nothing is left beside them");
    assert_eq!(code(&run(&["install", "/dev/null/x"])), 1);
}
