//! The programs under test. Cargo builds this package's own; the others are made before they are needed.

use std::process::Command;
use std::sync::{LazyLock, OnceLock};

pub(crate) const WRAPPER: &str = env!("CARGO_BIN_EXE_drainit-runtime");

const FOLDER: &str = WRAPPER.split_at(WRAPPER.len() - "drainit-runtime".len()).0;

macro_rules! beside {
    ($name:literal) => {{
        const BYTES: [u8; FOLDER.len() + $name.len()] = {
            let mut bytes = [0; FOLDER.len() + $name.len()];
            let (folder, name) = bytes.split_at_mut(FOLDER.len());
            folder.copy_from_slice(FOLDER.as_bytes());
            name.copy_from_slice($name.as_bytes());
            bytes
        };
        match std::str::from_utf8(&BYTES) {
            Ok(path) => path,
            Err(_) => panic!("it is made of text"),
        }
    }};
}

/// Lazy as the one of drainit's own tests, whose harness is shared.
pub(crate) static DRAINIT: LazyLock<&str> = LazyLock::new(|| beside!("drainit"));
pub(crate) const WORKLOAD: &str = beside!("fake-workload");

/// The name by which the kernel knows it while it runs.
pub(crate) fn name() -> String {
    "drainit".to_owned()
}

/// Has drainit and the fake workload built, beside the wrapper.
pub(crate) fn build() {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        let mut command = Command::new(env!("CARGO"));
        command.args(["build", "--quiet", "--locked", "--package", "drainit", "--bins"]);
        command.args(["--features", "fake-workload"]);
        if !cfg!(debug_assertions) {
            command.arg("--release");
        }
        let output = command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        let output = output.output().expect("cargo can be run");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    });
}
