//! Files that are made from the command line's definition and checked in, so that the program need not carry them.

use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};

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
    assert!(known == made, "{file} is not current: {BLESS}=1 and this test write it, then git diff");
}

/// What is between `<!-- NAME:begin -->` and `<!-- NAME:end -->`: before, inside, after.
#[track_caller]
pub(crate) fn part<'a>(text: &'a str, name: &str) -> (&'a str, &'a str, &'a str) {
    let (begin, end) = (format!("<!-- {name}:begin -->\n"), format!("<!-- {name}:end -->"));
    let at = text.find(&begin).unwrap_or_else(|| panic!("no {begin}")) + begin.len();
    let (before, rest) = text.split_at(at);
    let (inside, after) = rest.split_at(rest.find(&end).unwrap_or_else(|| panic!("no {end}")));
    (before, inside, after)
}

/// As [`is_current`], for the marked part of a file. Several tests write to one file.
#[track_caller]
pub(crate) fn part_is_current(file: &str, name: &str, made: &str) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let text = crate::docs::read(file);
    let (before, _, after) = part(&text, name);
    is_current(file, &format!("{before}{made}{after}"));
}

/// Runs a program that may not be installed here. If it is not, a line says so, and that is an error if everything has to run.
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
    let made = if shell == Shell::Bash {
        let (function, _) = made.split_once("\nif [[").expect("it registers its function at the end");
        format!("{function}\n{}", BASH_COMMAND.replace("VALUED", &valued().join(" | ")))
    } else if shell == Shell::Fish {
        let command = format!("(__fish_complete_subcommand -- {})", valued().join(" "));
        format!("{made}complete -c drainit -x -a \"{command}\"\n")
    } else {
        made
    };
    // Some lines end in blanks, which are not wanted in a file that is checked in.
    made.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// The options whose value is the next word.
fn valued() -> Vec<String> {
    let takes_a_word =
        |option: &clap::Arg| option.get_action().takes_values() && !option.is_require_equals_set();
    let options = crate::docs::options();
    options.iter().filter(|option| takes_a_word(option)).flat_map(crate::docs::spellings).collect()
}

/// clap_complete's bash function knows the options alone. This one finds the command behind them, and leaves that to the command's own
/// completion if there is one.
const BASH_COMMAND: &str = r#"
_drainit_or_command() {
    local at=1 prev="$3"
    while ((at < COMP_CWORD)); do
        case "${COMP_WORDS[at]}" in
            --)
                ((at += 1))
                break
                ;;
            VALUED)
                ((at += 2))
                [[ "${COMP_WORDS[at - 1]}" == "=" ]] && ((at += 1))
                ;;
            -*)
                ((at += 1))
                [[ "${COMP_WORDS[at]}" == "=" ]] && ((at += 2))
                ;;
            *)
                break
                ;;
        esac
    done
    if ((at > COMP_CWORD)) || [[ "${at}" -eq "${COMP_CWORD}" && "$2" == -* && "$3" != "--" ]]; then
        [[ "${prev}" == "=" ]] && prev="${COMP_WORDS[COMP_CWORD - 2]}"
        _drainit "$1" "$2" "${prev}"
    elif declare -F _comp_command_offset >/dev/null; then
        _comp_command_offset "${at}"
    elif declare -F _command_offset >/dev/null; then
        _command_offset "${at}"
    elif ((at == COMP_CWORD)); then
        COMPREPLY=($(compgen -c -- "$2"))
    else
        COMPREPLY=($(compgen -f -- "$2"))
    fi
}

complete -F _drainit_or_command -o bashdefault -o default drainit
"#;

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
        "compopt() {{ :; }}; source {}; complete -p drainit >/dev/null || exit 1; COMP_WORDS=({}); COMP_CWORD={last}; \
         _drainit_or_command drainit \"${{COMP_WORDS[{last}]}}\" \"${{COMP_WORDS[{}]}}\"; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
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
fn bash_completes_values() {
    let offers = |line: &str, expected: &[&str]| {
        let Some(offered) = bash_offers(line) else { return };
        assert_eq!(offered, expected, "{line}");
    };
    offers("drainit --forward-to ", &["auto", "group", "main", "all"]);
    offers("drainit --forward-to g", &["group"]);
    offers("drainit --forward-to = m", &["main"]);
    offers("drainit -v --log-format ", &["text", "json"]);
    offers("drainit --stop-signal QU", &["QUIT"]);
    offers("drainit -p KI", &["KILL"]);
    offers("drainit --grace-period ", &[]);
}

#[test]
fn bash_completes_the_command_behind_the_options() {
    for line in [
        "drainit basenam",
        "drainit -g basenam",
        "drainit -- basenam",
        "drainit --grace-period 5s basenam",
        "drainit --grace-period = 5s -v basenam",
        "drainit --termination-log basenam",
        "drainit --termination-log = /x basenam",
        "drainit -u 1 -r TERM:QUIT --wait-for-all -- basenam",
    ] {
        let Some(offered) = bash_offers(line) else { return };
        assert!(offered.contains(&"basename".to_owned()), "{line}: {offered:?}");
    }
    let Some(offered) = bash_offers("drainit -g ls /etc/passw") else { return };
    assert!(offered.contains(&"/etc/passwd".to_owned()), "{offered:?}");
    let Some(offered) = bash_offers("drainit -g ls --grace") else { return };
    assert!(offered.is_empty(), "what follows the command is the command's: {offered:?}");
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
fn zsh_has_the_values_and_the_command() {
    let text = crate::docs::read(ZSH);
    for part in
        [":TARGET:(auto group main all)'", ":FORMAT:(text json)'", ":_cmdambivalent'", ":COMMAND:_cmdstring'"]
    {
        assert!(text.contains(part), "{part} is not in {ZSH}");
    }
}

#[test]
fn fish_completes_values_and_commands() {
    for (line, expected) in [
        ("drainit --forward-to ", "group"),
        ("drainit --log-format ", "json"),
        ("drainit --stop-signal QU", "QUIT"),
        ("drainit -g basenam", "basename"),
        ("drainit --grace-period 5s basenam", "basename"),
        ("drainit -g -- basenam", "basename"),
    ] {
        let script = format!("source {}; complete --do-complete '{line}'", path(FISH));
        let Some(output) = run("fish", &["--no-config", "-c", &script]) else { return };
        let offered = text(&output);
        assert!(offered.lines().any(|line| line.split('\t').next() == Some(expected)), "{line}: {offered}");
    }
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
