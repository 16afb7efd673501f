//! What the variables of tini, dumb-init and catatonit mean, by those programs' own rules: an image that was made for one of them is not
//! refused, whatever their values are.
//!
//! drainit's own variables win. `TINI_SUBREAPER` is not read, because it requests what drainit does anyway.

use log::LevelFilter;

use super::values::Values;
use crate::plan::Target;

const TINI_KILL_PROCESS_GROUP: &str = "TINI_KILL_PROCESS_GROUP";
const TINI_VERBOSITY: &str = "TINI_VERBOSITY";
const DUMB_INIT_DEBUG: &str = "DUMB_INIT_DEBUG";
const DUMB_INIT_SETSID: &str = "DUMB_INIT_SETSID";
const CATATONIT_DEBUG: &str = "CATATONIT_DEBUG";

/// The variables of others that are read.
pub const VARIABLES: [&str; 5] =
    [TINI_KILL_PROCESS_GROUP, TINI_VERBOSITY, DUMB_INIT_DEBUG, DUMB_INIT_SETSID, CATATONIT_DEBUG];

/// tini's is on if it is set at all; dumb-init's is off only if it is `0`.
pub(super) fn target(values: &Values<'_>) -> Option<Target> {
    if values.foreign(TINI_KILL_PROCESS_GROUP).is_some() {
        return Some(Target::Group);
    }
    values.foreign(DUMB_INIT_SETSID).is_some_and(|value| value == "0").then_some(Target::Main)
}

/// dumb-init's is on if it is `1`, catatonit's if it is set at all. The loudest wins.
pub(super) fn log_level(values: &Values<'_>) -> Option<LevelFilter> {
    let debug = values.foreign(DUMB_INIT_DEBUG).is_some_and(|value| value == "1")
        || values.foreign(CATATONIT_DEBUG).is_some();
    let tini = values.foreign(TINI_VERBOSITY).map(|value| tini_level(value.as_encoded_bytes()));
    debug.then_some(LevelFilter::Debug).max(tini)
}

/// The result of C's `atoi`: the number at the beginning, or 0; tini takes a negative one for a huge one.
fn tini_level(text: &[u8]) -> LevelFilter {
    let text = text.trim_ascii_start();
    let (is_negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let number = digits
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .fold(0_u32, |number, digit| number.saturating_mul(10).saturating_add(u32::from(digit - b'0')));
    match number {
        0 => LevelFilter::Error,
        _ if is_negative => LevelFilter::Trace,
        1 => LevelFilter::Warn,
        2 => LevelFilter::Info,
        3 => LevelFilter::Debug,
        _ => LevelFilter::Trace,
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::cli;
    use crate::settings::Settings;

    fn settings(line: &[&str], environment: &[(&str, &str)]) -> Settings {
        let typed = cli::parse(line.iter().map(OsString::from).collect()).expect("clap takes it");
        let find =
            |name: &str| environment.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
        Settings::new(typed, find).expect("good")
    }

    #[test]
    fn what_tini_s_verbosity_means() {
        for (text, level) in [
            ("0", LevelFilter::Error),
            ("1", LevelFilter::Warn),
            ("2", LevelFilter::Info),
            ("3", LevelFilter::Debug),
            ("4", LevelFilter::Trace),
            ("99999999999999999999", LevelFilter::Trace),
            (" +2x", LevelFilter::Info),
            ("-1", LevelFilter::Trace),
            ("", LevelFilter::Error),
            ("loud", LevelFilter::Error),
        ] {
            assert_eq!(settings(&["drainit", "x"], &[("TINI_VERBOSITY", text)]).log_level, level, "{text:?}");
        }
    }

    #[test]
    fn flags_win_over_drainit_s_variables_and_those_over_the_others() {
        let loud = [("TINI_VERBOSITY", "2"), ("DUMB_INIT_DEBUG", "1")];
        let level = |line: &[&str], more: &[(&str, &str)]| settings(line, &[&loud, more].concat()).log_level;
        assert_eq!(level(&["drainit", "x"], &[]), LevelFilter::Debug);
        assert_eq!(level(&["drainit", "x"], &[("DRAINIT_LOG", "warn")]), LevelFilter::Warn);
        assert_eq!(level(&["drainit", "-q", "x"], &[("DRAINIT_LOG", "warn")]), LevelFilter::Error);
        let main = [("DUMB_INIT_SETSID", "0")];
        let target =
            |line: &[&str], more: &[(&str, &str)]| settings(line, &[&main, more].concat()).stop.forward_to;
        assert_eq!(target(&["drainit", "x"], &[]), Target::Main);
        assert_eq!(target(&["drainit", "x"], &[("TINI_KILL_PROCESS_GROUP", "")]), Target::Group);
        assert_eq!(target(&["drainit", "x"], &[("DRAINIT_FORWARD_TO", "all")]), Target::All);
        assert_eq!(target(&["drainit", "-g", "x"], &[("DRAINIT_FORWARD_TO", "all")]), Target::Group);
    }

    #[test]
    fn a_peer_s_name_changes_the_default_alone() {
        for name in cli::InvokedAs::TINI_LIKE {
            let target = |line: &[&str], environment: &[(&str, &str)]| {
                settings(&[&[name], line].concat(), environment).stop.forward_to
            };
            assert_eq!(target(&["x"], &[]), Target::Main);
            assert_eq!(target(&["--", "x"], &[]), Target::Main);
            assert_eq!(target(&["-v", "x"], &[]), Target::Main);
            assert_eq!(target(&["-g", "x"], &[]), Target::Group);
            assert_eq!(target(&["x"], &[("TINI_KILL_PROCESS_GROUP", "0")]), Target::Group);
            assert_eq!(target(&["x"], &[("DRAINIT_FORWARD_TO", "all")]), Target::All);
        }
    }

    #[test]
    fn values_that_a_peer_takes_for_nothing_are_nothing() {
        for (name, value) in [
            ("DUMB_INIT_DEBUG", "0"),
            ("DUMB_INIT_DEBUG", "yes"),
            ("DUMB_INIT_SETSID", ""),
            ("DUMB_INIT_SETSID", "1"),
            ("DUMB_INIT_SETSID", "00"),
        ] {
            let settings = settings(&["drainit", "x"], &[(name, value)]);
            assert_eq!(
                (settings.log_level, settings.stop.forward_to),
                (LevelFilter::Warn, Target::Auto),
                "{name}={value}"
            );
        }
        assert_eq!(settings(&["drainit", "x"], &[("CATATONIT_DEBUG", "")]).log_level, LevelFilter::Debug);
    }
}
