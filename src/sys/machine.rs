//! The machine itself, where this process is its init: the kernel panics when that one exits.

use std::io;
use std::path::Path;

use super::{check, process};

/// What `/proc/self/ns/pid` says in the first pid namespace (`PID_NS_INIT_INO` in the kernel's `linux/nsfs.h`).
const FIRST_PID_NAMESPACE: &str = "pid:[4026531836]";
/// The first kernel thread, which starts all others. Its number is fixed, and its process group is the kernel's own, 0.
const KTHREADD: libc::pid_t = 2;

/// Whether this process is PID 1 of the machine itself, not of a container.
///
/// In a container this is one system call: there PID 1 has started nobody yet, or whom it has started has a process group with a
/// number. Group 0 is also seen where the group is one outside of the namespace (under unshare), so it is no proof.
#[must_use]
pub fn is_ours() -> bool {
    // SAFETY: getpgid takes a number and touches no memory.
    let group = unsafe { libc::getpgid(KTHREADD) };
    group == 0 && process::is_pid_one() && is_first_pid_namespace()
}

/// The kernel starts its init without /proc. Then the call that an init makes anyway tells: in another pid namespace the
/// kernel refuses it (EINVAL, since Linux 3.4).
fn is_first_pid_namespace() -> bool {
    match std::fs::read_link("/proc/self/ns/pid") {
        Ok(namespace) => namespace.as_os_str() == FIRST_PID_NAMESPACE,
        Err(_) => take_ctrl_alt_del(),
    }
}

/// From now on Ctrl-Alt-Del sends PID 1 an INT, and no longer restarts the machine under everybody's feet.
///
/// Returns whether that is so: not in a container (EINVAL), nor without the capability to restart the machine (EPERM).
pub fn take_ctrl_alt_del() -> bool {
    reboot(libc::RB_DISABLE_CAD).is_ok()
}

/// Writes out what the file systems hold back, and switches the machine off. Returns only where that failed.
///
/// # Errors
/// EPERM without the capability for it.
pub fn power_off() -> io::Result<()> {
    // SAFETY: sync takes nothing and returns nothing.
    unsafe { libc::sync() };
    reboot(if can_power_off(Path::new("/sys")) { libc::RB_POWER_OFF } else { libc::RB_AUTOBOOT })
}

/// A small virtual machine may have no ACPI and so no power switch. There the kernel would stop the processor and leave the machine
/// as it is, for ever; what runs such a machine takes a restart as its end. Xen has a switch of its own.
///
/// Where /sys is not mounted nobody knows, and the kernel does what it can.
fn can_power_off(sys: &Path) -> bool {
    let without_acpi = cfg!(any(target_arch = "x86_64", target_arch = "x86")) && sys.join("kernel").exists();
    !without_acpi || sys.join("firmware/acpi").exists() || sys.join("hypervisor/type").exists()
}

fn reboot(command: libc::c_int) -> io::Result<()> {
    // SAFETY: takes a number; what it does to the machine is what is asked for.
    check(libc::c_long::from(unsafe { libc::reboot(command) })).map(drop)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn without_acpi_there_is_no_switch_but_who_sees_nothing_tries() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let sys = folder.path();
        let with = |path: &str| fs::create_dir_all(sys.join(path)).expect("our own folder");
        assert!(can_power_off(sys), "nothing is mounted there");
        with("kernel");
        assert_eq!(can_power_off(sys), !cfg!(any(target_arch = "x86_64", target_arch = "x86")));
        with("hypervisor/type");
        assert!(can_power_off(sys), "Xen");
        fs::remove_dir_all(sys.join("hypervisor")).expect("our own folder");
        with("firmware/acpi");
        assert!(can_power_off(sys));
    }
}
