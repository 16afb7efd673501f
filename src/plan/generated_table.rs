//! Documents that tests generate from the rules.

const BLESS: &str = "DRAINIT_BLESS";

/// Fails if the file is not what the test of this name generates, after writing it if that is wanted.
#[track_caller]
pub(in crate::plan) fn assert_current(file: &str, current: &str, test: &str) {
    if std::env::var_os(BLESS).is_some() {
        std::fs::write(file, current).expect("the tree can be written");
    }
    let known = std::fs::read_to_string(file).unwrap_or_default();
    assert!(
        known == current,
        "a rule has changed: look at it with {BLESS}=1 cargo test {test}, then git diff"
    );
}
