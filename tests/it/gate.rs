//! A file by which a test and a workload wait for each other.

use crate::harness::wait_until;

/// A file that a `await=` directive waits for.
#[derive(Debug)]
pub(crate) struct Gate(tempfile::TempDir);

impl Gate {
    pub(crate) fn closed() -> Self {
        Self(tempfile::tempdir().expect("a scratch folder"))
    }

    pub(crate) fn path(&self) -> String {
        self.0.path().join("open").to_str().expect("text").to_owned()
    }

    pub(crate) fn open(&self) {
        std::fs::write(self.path(), "").expect("our own folder");
    }

    /// Waits until the other side has opened it.
    pub(crate) fn opened(&self) {
        wait_until("it is open", || self.0.path().join("open").exists().then_some(()));
    }

    /// Waits until the other side has written a line to it.
    pub(crate) fn text(&self) -> String {
        let read = || std::fs::read_to_string(self.path()).ok().filter(|text| text.ends_with('\n'));
        wait_until("it has been written", read)
    }
}

/// What the tests themselves are told is not for drainit, which would warn of variables that it does not read.
pub(crate) fn without_test_variables(command: &mut std::process::Command) {
    for name in
        ["BLESS", "PROGRAM", "PROGRAMS", "REQUIRE_RUNTIMES", "SHOW", "TEST_KERNEL", "TEST_RUNAWAYS", "TOOLS"]
    {
        command.env_remove(format!("DRAINIT_{name}"));
    }
}
