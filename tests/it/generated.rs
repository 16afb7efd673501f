//! Files that are made from the command line's definition and checked in, so that the program need not carry them.

use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::process::{Command, Output};

use clap_complete::Shell;

use crate::docs::root;

const BLESS: &str = "DRAINIT_BLESS";

/// The file is what it would be if it were made now; with the variable set it is made now.
#[track_caller]
pub(crate) fn is_current(file: &str, made: &str) {
    let path = root().join(file);
    if std::env::var_os(BLESS).is_some() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("the project can be written");
        std::fs::write(&path, made).expect("the project can be written");
    }
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(known == made, "{file} is not current: {BLESS}=1 cargo test --test it is_current, then git diff");
}

/// Runs a program that may not be installed here; then that is said, and is an error where all has to be run.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Option<Output> {
    match Command::new(program).args(arguments).env_remove("DRAINIT_LOG").output() {
        Ok(output) => Some(output),
        Err(error) => {
            assert!(
                std::env::var_os("DRAINIT_REQUIRE_RUNTIMES").is_none(),
                "{program} cannot be run: {error}"
            );
            eprintln!("not run: {program}: {error}");
            None
        }
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn completion(shell: Shell) -> String {
    let mut made = Vec::new();
    clap_complete::generate(shell, &mut drainit::cli::definition(), "drainit", &mut made);
    let made = String::from_utf8(made).expect("text");
    // Some lines end in blanks, which are not wanted in a file that is checked in.
    made.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

const BASH: &str = "completions/drainit.bash";
const ZSH: &str = "completions/_drainit";
const FISH: &str = "completions/drainit.fish";

#[test]
fn each_completion_is_current() {
    is_current(BASH, &completion(Shell::Bash));
    is_current(ZSH, &completion(Shell::Zsh));
    is_current(FISH, &completion(Shell::Fish));
}

fn path(file: &str) -> String {
    Path::new(root()).join(file).to_str().expect("text").to_owned()
}

/// What bash offers behind this line.
fn bash_offers(line: &str) -> Option<Vec<String>> {
    let words: Vec<&str> = line.split(' ').collect();
    let last = words.len() - 1;
    let script = format!(
        "source {}; complete -p drainit >/dev/null || exit 1; COMP_WORDS=({}); COMP_CWORD={last}; \
         _drainit drainit \"${{COMP_WORDS[{last}]}}\" \"${{COMP_WORDS[{}]}}\"; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        path(BASH),
        words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" "),
        last.saturating_sub(1),
    );
    let output = run("bash", &["--norc", "-c", &script])?;
    assert!(output.status.success(), "{}", text(&output));
    Some(text(&output).split_whitespace().map(str::to_owned).collect())
}

#[test]
fn bash_completes_every_option() {
    let Some(offered) = bash_offers("drainit --") else { return };
    for option in crate::docs::options() {
        let Some(long) = option.get_long() else { continue };
        assert!(offered.contains(&format!("--{long}")), "--{long} is not in {offered:?}");
    }
    assert_eq!(bash_offers("drainit --grace-p").as_deref(), Some(&["--grace-period".to_owned()][..]));
}

#[test]
fn zsh_takes_its_completion() {
    let script = format!(
        "autoload -U compinit; compinit -u -D; fpath=({} $fpath); autoload -U _drainit; compdef _drainit drainit; \
         print -r -- $_comps[drainit]; whence -v _drainit >/dev/null && zsh -n {} && print good",
        path("completions"),
        path(ZSH)
    );
    let Some(output) = run("zsh", &["-f", "-c", &script]) else { return };
    assert!(output.status.success() && text(&output) == "_drainit\ngood\n", "{}", text(&output));
    // What compinit remembers it renames to the name that it is given with `-d`, whatever is there: root would lose the device.
    let null = std::fs::metadata("/dev/null").expect("every system has one");
    assert!(null.file_type().is_char_device(), "/dev/null has been replaced");
}

#[test]
fn fish_completes_every_option() {
    let script = format!("source {}; complete --do-complete 'drainit --'", path(FISH));
    let Some(output) = run("fish", &["--no-config", "-c", &script]) else { return };
    let offered = text(&output);
    assert!(output.status.success() && output.stderr.is_empty(), "{offered}");
    for option in crate::docs::options() {
        let Some(long) = option.get_long() else { continue };
        let is_it = |line: &str| line.split('\t').next() == Some(&format!("--{long}"));
        assert!(offered.lines().any(is_it), "--{long} is not in {offered}");
    }
}
