//! The fake program: what the tests run as the workload of a container, and what others may run for theirs.
#![doc = include_str!("../docs/fake-workload.md")]
#![cfg_attr(not(test), no_main)]

mod catch;
mod directive;
mod line;
mod look;
mod start;
mod workload;

use std::ffi::OsString;

#[cfg(not(test))]
drainit::entry!(run);

const MANUAL: &str = include_str!("../docs/fake-workload.md");

/// EX_USAGE and EX_OSERR of sysexits.h.
const WRONG_DIRECTIVE: u8 = 64;
const REFUSED: u8 = 71;

fn run(mut args: Vec<OsString>) -> u8 {
    let directives = args.split_off(args.len().min(1));
    if directives.first().is_some_and(|first| first == "--help") {
        line::print(MANUAL.trim_end().as_bytes());
        return 0;
    }
    let program = args.pop().unwrap_or_default();
    match directive::parse(&directives) {
        Ok(directives) => workload::Workload::new(program).run(&directives),
        Err(wrong) => {
            line::complain(&wrong.to_string());
            WRONG_DIRECTIVE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit_code(directives: &[&str]) -> u8 {
        run(["fake-workload"].iter().chain(directives).map(OsString::from).collect())
    }

    #[test]
    fn the_exit_code_is_what_the_directives_say() {
        assert_eq!(exit_code(&[]), 0);
        assert_eq!(exit_code(&["sleep=1ms", "exit=3", "exit=4"]), 3);
    }

    #[test]
    fn every_directive_is_documented_and_every_documented_one_is_known() {
        const SAMPLES: [&str; 34] = [
            "name=x",
            "ignore=TERM",
            "default=all",
            "block=TERM",
            "catch=TERM",
            "catch=TERM:1s",
            "once=TERM:1s:3",
            "take=33",
            "child{ }",
            "group{ }",
            "session{ }",
            "orphan{ }",
            "daemon{ }",
            "child*2{ }",
            "bomb*2{ }",
            "zombies=1",
            "ready",
            "say=x",
            "state",
            "fds",
            "env=X",
            "cwd",
            "ids",
            "argv",
            "sleep=1s",
            "wait",
            "await=/x",
            "hold",
            "stop",
            "exit=1",
            "die=TERM",
            "default=HUP,INT",
            "catch=TERM:1s:3",
            "bomb{ }",
        ];
        let head = |text: &str| {
            let end = text.find(['=', '{', '*', ' ']).unwrap_or(text.len());
            text[..end].to_owned()
        };
        for sample in SAMPLES {
            let words: Vec<OsString> = sample.split(' ').map(OsString::from).collect();
            assert!(directive::parse(&words).is_ok(), "{sample}");
        }
        let rows = MANUAL.lines().filter(|line| line.starts_with("| `"));
        let documented: std::collections::BTreeSet<String> = rows
            .flat_map(|row| row.split('|').nth(1).unwrap_or_default().split('`').skip(1).step_by(2))
            .map(head)
            .collect();
        assert_eq!(documented, SAMPLES.iter().map(|sample| head(sample)).collect());
    }

    #[test]
    fn nothing_is_carried_out_if_a_later_directive_is_wrong() {
        assert_eq!(exit_code(&["exit=3", "hodl"]), WRONG_DIRECTIVE);
        assert_eq!(exit_code(&["exit=3", "child{", "sleep=1", "}"]), WRONG_DIRECTIVE);
    }
}
