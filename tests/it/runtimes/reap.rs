//! Orphans in a container.

use super::{Bundle, runtimes};
use crate::harness::wait_until;

#[test]
fn orphans_leave_no_zombie() {
    for runtime in runtimes() {
        let mut container =
            Bundle::new(runtime, "drainit -- fake-workload orphan*50{ exit=1 } name=main ready hold").start();
        container.ready(&["main"]);
        wait_until("all orphans are reaped", || (container.family().len() == 1).then_some(()));
        container.kill("TERM");
        container.finish().exits(143).silently();
    }
}
