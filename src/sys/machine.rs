//! The machine itself, if this process is its init: the kernel panics when that exits.

use std::io;
use std::path::Path;

use super::{check, process};

/// The link `/proc/self/ns/pid` in the first pid namespace (`PID_NS_INIT_INO` in the kernel's `linux/nsfs.h`).
const FIRST_PID_NAMESPACE: &str = "pid:[4026531836]";
/// The kernel thread that starts all others. Its number is fixed, and its process group is the kernel's own, 0.
const KTHREADD: libc::pid_t = 2;

/// Whether this process is PID 1 of the machine itself, not of a container.
///
/// In a container this is one system call: PID 1 has no process 2 there yet, or process 2 has a process group with a number. Group 0 is
/// also shown for a group outside of the namespace (under unshare), so it is no proof.
#[must_use]
pub fn is_its_init() -> bool {
    // SAFETY: getpgid takes a number and touches no memory.
    let group = unsafe { libc::getpgid(KTHREADD) };
    group == 0 && process::is_pid_one() && is_first_pid_namespace()
}

/// The kernel starts its init without /proc. Then the call that such an init makes anyway decides: in another pid namespace the kernel
/// refuses it (EINVAL, since Linux 3.4).
fn is_first_pid_namespace() -> bool {
    match std::fs::read_link("/proc/self/ns/pid") {
        Ok(namespace) => namespace.as_os_str() == FIRST_PID_NAMESPACE,
        Err(_) => take_ctrl_alt_del(),
    }
}

/// Makes Ctrl-Alt-Del send INT to PID 1, instead of restarting the machine at once.
///
/// Returns whether that worked: it does not in a container (EINVAL), nor without the capability to restart the machine (EPERM).
pub fn take_ctrl_alt_del() -> bool {
    reboot(libc::RB_DISABLE_CAD).is_ok()
}

/// Writes out the file systems' buffers, and switches the machine off. Returns only if that failed.
///
/// # Errors
/// EPERM without the capability for it.
pub fn power_off() -> io::Result<()> {
    // SAFETY: sync takes nothing and returns nothing.
    unsafe { libc::sync() };
    reboot(if can_power_off(Path::new("/sys")) { libc::RB_POWER_OFF } else { libc::RB_AUTOBOOT })
}

/// A small virtual machine may have no ACPI and so no power switch. The kernel would then stop the processor and leave the machine on for
/// ever; the monitor of such a machine takes a restart as its end. Xen has a switch of its own.
///
/// If /sys is not mounted this is not known, and the kernel does what it can.
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
    fn without_acpi_there_is_no_switch_and_without_sys_it_is_tried() {
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
