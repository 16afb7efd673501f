//! What can be set, and the name of each setting on the command line and in the environment.

use super::FORWARD_TO;

/// An option that takes a value, or that is on or off, and its environment twin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    name: &'static str,
    variable: &'static str,
}

impl Setting {
    pub const STOP_SIGNAL: Self = Self::new("stop-signal", "DRAINIT_STOP_SIGNAL");
    pub const REWRITE: Self = Self::new("rewrite", "DRAINIT_REWRITE");
    pub const FORWARD_TO: Self = Self::new(FORWARD_TO, "DRAINIT_FORWARD_TO");
    pub const GRACE_PERIOD: Self = Self::new("grace-period", "DRAINIT_GRACE_PERIOD");
    pub const PRE_STOP: Self = Self::new("pre-stop", "DRAINIT_PRE_STOP");
    pub const PRE_STOP_SLEEP: Self = Self::new("pre-stop-sleep", "DRAINIT_PRE_STOP_SLEEP");
    pub const PRE_STOP_HTTP: Self = Self::new("pre-stop-http", "DRAINIT_PRE_STOP_HTTP");
    pub const PRE_STOP_IDLE: Self = Self::new("pre-stop-idle", "DRAINIT_PRE_STOP_IDLE");
    pub const PRE_STOP_TIMEOUT: Self = Self::new("pre-stop-timeout", "DRAINIT_PRE_STOP_TIMEOUT");
    pub const STOP_SCHEDULE: Self = Self::new("stop-schedule", "DRAINIT_STOP_SCHEDULE");
    pub const IGNORED_AFTER: Self = Self::new("ignored-after", "DRAINIT_IGNORED_AFTER");
    pub const STOP_AFTER: Self = Self::new("stop-after", "DRAINIT_STOP_AFTER");
    pub const POST_EXIT: Self = Self::new("post-exit", "DRAINIT_POST_EXIT");
    pub const POST_EXIT_SLEEP: Self = Self::new("post-exit-sleep", "DRAINIT_POST_EXIT_SLEEP");
    pub const POST_EXIT_HTTP: Self = Self::new("post-exit-http", "DRAINIT_POST_EXIT_HTTP");
    pub const WAIT_FOR_ALL: Self = Self::new("wait-for-all", "DRAINIT_WAIT_FOR_ALL");
    pub const REMAP_EXIT: Self = Self::new("remap-exit", "DRAINIT_REMAP_EXIT");
    pub const PARENT_DEATH_SIGNAL: Self = Self::new("parent-death-signal", "DRAINIT_PARENT_DEATH_SIGNAL");
    pub const SUBREAPER: Self = Self::new("subreaper", "DRAINIT_SUBREAPER");
    pub const PROPAGATE_SIGNAL: Self = Self::new("propagate-signal", "DRAINIT_PROPAGATE_SIGNAL");
    pub const WARN_ON_REAP: Self = Self::new("warn-on-reap", "DRAINIT_WARN_ON_REAP");
    pub const USER: Self = Self::new("user", "DRAINIT_USER");
    pub const WORKDIR: Self = Self::new("workdir", "DRAINIT_WORKDIR");
    pub const REPORT: Self = Self::new("report", "DRAINIT_REPORT");
    pub const TERMINATION_LOG: Self = Self::new("termination-log", "DRAINIT_TERMINATION_LOG");
    pub const POWEROFF: Self = Self::new("poweroff", "DRAINIT_POWEROFF");
    pub const REHEARSE: Self = Self::new("rehearse", "DRAINIT_REHEARSE");
    pub const LOG_FORMAT: Self = Self::new("log-format", "DRAINIT_LOG_FORMAT");
    /// The only setting without a flag of its name: its flags are `-v` and `-q`.
    pub const LOG: Self = Self::new("log", "DRAINIT_LOG");

    /// Every setting.
    pub const ALL: [Self; 29] = [
        Self::STOP_SIGNAL,
        Self::REWRITE,
        Self::FORWARD_TO,
        Self::GRACE_PERIOD,
        Self::PRE_STOP,
        Self::PRE_STOP_SLEEP,
        Self::PRE_STOP_HTTP,
        Self::PRE_STOP_IDLE,
        Self::PRE_STOP_TIMEOUT,
        Self::STOP_SCHEDULE,
        Self::IGNORED_AFTER,
        Self::STOP_AFTER,
        Self::POST_EXIT,
        Self::POST_EXIT_SLEEP,
        Self::POST_EXIT_HTTP,
        Self::WAIT_FOR_ALL,
        Self::REMAP_EXIT,
        Self::PARENT_DEATH_SIGNAL,
        Self::SUBREAPER,
        Self::PROPAGATE_SIGNAL,
        Self::WARN_ON_REAP,
        Self::USER,
        Self::WORKDIR,
        Self::REPORT,
        Self::TERMINATION_LOG,
        Self::POWEROFF,
        Self::REHEARSE,
        Self::LOG_FORMAT,
        Self::LOG,
    ];

    const fn new(name: &'static str, variable: &'static str) -> Self {
        Self { name, variable }
    }

    /// Its name: `stop-signal`, which is typed as `--stop-signal`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.name
    }

    /// The environment variable that says the same: `DRAINIT_STOP_SIGNAL`.
    #[must_use]
    pub fn variable(self) -> &'static str {
        self.variable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variable_is_named_after_its_option() {
        for setting in Setting::ALL {
            let name = setting.name().to_ascii_uppercase().replace('-', "_");
            assert_eq!(setting.variable(), format!("DRAINIT_{name}"));
        }
    }
}
