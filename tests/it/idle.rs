//! Nothing to do means no system call, no wake-up, and no file that anything has to be loaded from.

use crate::harness::{BOTH, DRAINIT, Init, WORKLOAD};

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

#[test]
fn the_programs_are_static() {
    const PT_INTERP: u32 = 3;
    for program in [DRAINIT, WORKLOAD] {
        let file = std::fs::read(program).expect("it was built");
        let word = |at: usize, size: usize| {
            file[at..at + size].iter().rev().fold(0_usize, |number, &byte| number << 8 | usize::from(byte))
        };
        assert_eq!(&file[..6], b"\x7fELF\x02\x01", "a 64-bit little-endian program");
        let (table, size, count) = (word(32, 8), word(54, 2), word(56, 2));
        assert!(count > 0);
        let kinds: Vec<_> = (0..count).map(|at| word(table + at * size, 4)).collect();
        assert!(!kinds.contains(&usize::try_from(PT_INTERP).expect("small")), "{program} needs a loader");
    }
}
