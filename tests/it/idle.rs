//! Nothing to do means no system call and no wake-up.

use crate::harness::{BOTH, Init};

#[test]
fn an_idle_init_waits_without_a_timeout() {
    for mode in BOTH {
        let mut init = Init::new(mode).flags(&["--grace-period", "5s"]).workload("ready hold").start();
        init.line_after("ready");
        let call = std::fs::read_to_string(format!("/proc/{}/syscall", init.idle().pid()))
            .expect("drainit is there");
        let words: Vec<&str> = call.split_whitespace().collect();
        // rt_sigtimedwait(set, info, timeout, size): a null timeout is for ever.
        assert_eq!(words.get(3), Some(&"0x0"), "{call}");
    }
}
