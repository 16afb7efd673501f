//! drainit's options as annotations and as node-wide defaults: by their names, with the values that drainit itself would take. Pure.

#![forbid(unsafe_code)]

use std::ffi::OsString;

use drainit::cli::{self, Setting};
use drainit::settings::Settings;

/// An option, as it reaches drainit: a variable of the container's environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    pub setting: Setting,
    pub value: String,
}

impl Chosen {
    /// The option of that name with that value, as drainit would take it.
    ///
    /// # Errors
    /// Why it would not, in words that follow the place where it stands.
    pub fn new(name: &str, value: &str) -> Result<Self, String> {
        let setting = Setting::ALL.into_iter().find(|setting| setting.name() == name);
        let setting = setting.ok_or("drainit has no option of that name")?;
        if setting == Setting::POWEROFF {
            return Err("that is for the init of a machine".to_owned());
        }
        // The environment ends a value there.
        if value.contains('\0') {
            return Err("a zero byte is in the value".to_owned());
        }
        let line = ["drainit", "--", "command"].map(OsString::from).to_vec();
        let Ok(typed) = cli::parse(line) else { return Err("drainit takes no command line".to_owned()) };
        let find = |variable: &str| (variable == setting.variable()).then(|| OsString::from(value));
        match Settings::new(typed, find) {
            Ok(_) => Ok(Self { setting, value: value.to_owned() }),
            Err(error) => Err(error.to_string().replace(&format!(" in {}", setting.variable()), "")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_can_be_named_but_that_of_a_machine() {
        for setting in Setting::ALL {
            // Nothing at all is no value, and so no wrong one, except for a path.
            let chosen = Chosen::new(setting.name(), "1");
            match setting.name() {
                "poweroff" => assert_eq!(chosen, Err("that is for the init of a machine".to_owned())),
                "stop-signal" | "pre-stop" | "grace-period" | "wait-for-all" | "user" | "report" => {
                    assert_eq!(chosen, Ok(Chosen { setting, value: "1".to_owned() }));
                }
                _ => assert!(chosen != Err("drainit has no option of that name".to_owned()), "{chosen:?}"),
            }
        }
    }

    #[test]
    fn what_drainit_would_refuse_is_refused_with_its_words() {
        let refusal = |name: &str, value: &str| Chosen::new(name, value).expect_err("refused");
        for (name, value, start) in [
            ("grace-period", "soon", "invalid value 'soon': "),
            ("stop-signal", "NOPE", "invalid value 'NOPE': "),
            ("pre-stop", "sh -c 'x", "invalid value 'sh -c 'x': "),
            ("pre-stop-http", "https://127.0.0.1", "invalid value 'https://127.0.0.1': "),
            ("wait-for-all", "perhaps", "invalid value 'perhaps': "),
            ("user", "root\nx", "invalid value 'root\\nx': "),
            ("workdir", "/a\0b", "a zero byte is in the value"),
            ("grace-perod", "1s", "drainit has no option of that name"),
            ("GRACE-PERIOD", "1s", "drainit has no option of that name"),
            ("pause", "true", "drainit has no option of that name"),
            ("copy-to", "/x", "drainit has no option of that name"),
            ("", "x", "drainit has no option of that name"),
        ] {
            let said = refusal(name, value);
            assert!(said.starts_with(start) && !said.contains('\n'), "{name}={value}: {said}");
        }
    }
}
