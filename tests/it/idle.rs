//! Nothing to do means no system call and no wake-up.

use std::fs;

use crate::harness::{BOTH, Init};

/// How a drainit waits for signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// In a read of its signalfd: for ever.
    ForEver,
    /// In ppoll: until something is due.
    ForATime,
    /// In rt_sigtimedwait, because it has no signalfd.
    WithoutDescriptor,
}

/// How this drainit waits; `None` while it does something else.
pub(crate) fn wait_of(pid: i32) -> Option<Wait> {
    let call = fs::read_to_string(format!("/proc/{pid}/syscall")).ok()?;
    let mut words = call.split_whitespace();
    let number: libc::c_long = words.next()?.parse().ok()?;
    match number {
        libc::SYS_read => {
            let descriptor = i32::from_str_radix(words.next()?.trim_start_matches("0x"), 16).ok()?;
            let file = fs::read_link(format!("/proc/{pid}/fd/{descriptor}")).ok()?;
            (file.as_os_str() == "anon_inode:[signalfd]").then_some(Wait::ForEver)
        }
        // For nothing else drainit waits there.
        libc::SYS_ppoll => Some(Wait::ForATime),
        libc::SYS_rt_sigtimedwait => Some(Wait::WithoutDescriptor),
        _ => None,
    }
}

#[test]
fn an_idle_init_waits_without_a_timeout() {
    for mode in BOTH {
        let mut init = Init::new(mode).flags(&["--grace-period", "5s"]).workload("ready hold").start();
        init.line_after("ready");
        assert_eq!(wait_of(init.idle().pid()), Some(Wait::ForEver));
    }
}
