//! What the shared harness does before it starts anything: here it has the programs built.

pub(crate) fn reset() {
    crate::binary::build();
}
