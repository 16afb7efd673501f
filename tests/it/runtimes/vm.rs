//! drainit as PID 1 of a machine: a Debian kernel under emulation that has nothing but drainit, the fake workload and a busybox.
//!
//! The kernel starts it without /proc, with what stands on its own command line, and its console is what the tests read.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::Command;

use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use serde_json::Value;
use tempfile::TempDir;

use super::{installed, not_run};
use crate::harness::{DRAINIT, Finished, WORKLOAD};

/// Names the kernel, if none is installed in /boot.
const KERNEL: &str = "DRAINIT_TEST_KERNEL";
/// What the kernel says when it switches the machine off, restarts it, and cannot go on.
const OFF: &str = "reboot: Power down";
const RESTART: &str = "reboot: Restarting system";
const PANIC: &str = "Kernel panic";
/// Only a machine that hangs takes so many seconds; under emulation, and beside other tests, a start takes about ten.
const LIMIT: &str = "120";

const REFUSAL: &str = "drainit: error: this is PID 1 of a machine, not of a container: the kernel panics when it exits (see --poweroff)";

#[test]
fn when_the_command_has_ended_the_machine_is_off() {
    let Some(machine) = Machine::new() else { return };
    let console =
        machine.boot("drainit", "--poweroff -v --report - fake-workload orphan{ exit=1 } say=done exit=3");
    console.in_order(&["done", OFF]).never(PANIC);
    let report = console.report();
    assert_eq!((&report["exit_code"], &report["stop"]), (&3.into(), &Value::Null), "{report:#}");
}

#[test]
fn a_stop_drains_and_signals_and_waits_before_the_machine_is_off() {
    let Some(mut machine) = Machine::new() else { return };
    machine.script(
        "serve",
        "mount -t proc proc /proc && mount -t devtmpfs dev /dev || exit
         read on_keys < /proc/sys/kernel/ctrl-alt-del; echo Ctrl-Alt-Del $on_keys
         fake-workload name=server catch=TERM:300ms ready hold > /said &
         until busybox grep ready /said 2> /dev/null; do busybox sleep 0.1; done
         kill -TERM 1
         wait",
    );
    let options = r#"--poweroff -v --pre-stop "busybox echo draining" --post-exit "busybox cat /said""#;
    let console = machine.boot("drainit", &format!("{options} --report - serve"));
    console
        // 0: an INT for PID 1, and no restart.
        .in_order(&[
            "Ctrl-Alt-Del 0",
            "received TERM from ",
            "draining",
            "server got TERM",
            "server finished",
            OFF,
        ])
        .never(PANIC);
    let report = console.report();
    assert_eq!(report["exit_code"], 143, "{report:#}");
    assert_eq!(report["killed"], Value::Null, "{report:#}");
}

#[test]
fn without_being_told_to_it_refuses_to_be_the_machine_s_init() {
    // As the kernel starts it, and with a /proc.
    for (init, words) in
        [("drainit", "fake-workload say=started"), ("with-proc", "drainit fake-workload say=started")]
    {
        let Some(mut machine) = Machine::new() else { return };
        machine.script("with-proc", "mount -t proc proc /proc && exec \"$@\"");
        // 125 as a wait status.
        let console = machine.boot(init, words);
        console
            .in_order(&[REFUSAL, "Attempted to kill init! exitcode=0x00007d00"])
            .never("started")
            .never(OFF);
    }
}

#[test]
fn a_command_that_cannot_be_started_is_an_end_too() {
    let Some(machine) = Machine::new() else { return };
    let console = machine.boot("drainit", "--poweroff nowhere");
    console.in_order(&["drainit: error: cannot run \"nowhere\": ", OFF]).never(PANIC);
}

/// Nobody takes that right away from PID 1, but it may give it away itself.
#[test]
fn without_the_right_to_switch_it_off_that_is_said_and_the_status_is_the_command_s() {
    let Some(mut machine) = Machine::new() else { return };
    machine.script(
        "as-nobody",
        "mount -t proc proc /proc && mkdir /etc && echo nobody:x:65534:65534::/: > /etc/passwd && \
         exec busybox su -s /bin/sh nobody -c \"exec $*\"",
    );
    let console = machine.boot("as-nobody", "drainit --poweroff fake-workload say=done exit=3");
    let line = "drainit: error: cannot power the machine off: operation not permitted";
    console.in_order(&["done", line, "Attempted to kill init! exitcode=0x00000300"]).never(OFF);
}

/// The kernel's command line cannot hold the option, so it is in the environment that the kernel makes of that line.
#[test]
fn a_machine_without_a_switch_is_restarted() {
    let Some(mut machine) = Machine::new() else { return };
    machine.script("with-sys", "mount -t sysfs sysfs /sys && exec \"$@\"");
    machine.board = Board::Micro;
    machine.parameters = "DRAINIT_POWEROFF=1";
    let console = machine.boot("drainit", "with-sys fake-workload say=done exit=3");
    console.in_order(&["done", RESTART]).never(PANIC);
}

#[derive(Clone, Copy)]
enum Board {
    Pc,
    /// The same processor and a serial port, and neither PCI nor ACPI.
    Micro,
}

/// A machine in the making: its first root folder, which the kernel unpacks into memory.
struct Machine {
    folder: TempDir,
    kernel: PathBuf,
    board: Board,
    /// Further words for the kernel.
    parameters: &'static str,
}

impl Machine {
    /// `None` if there can be none here; the test has said so then.
    fn new() -> Option<Self> {
        match kernel() {
            Ok(kernel) => Some(Self::with_kernel(kernel)),
            Err(obstacle) => {
                not_run("a machine", &obstacle);
                None
            }
        }
    }

    fn with_kernel(kernel: PathBuf) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("drainit-")
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
            .expect("a scratch folder");
        let machine = Self { folder, kernel, board: Board::Pc, parameters: "" };
        let root = machine.root();
        for name in ["bin", "dev", "proc", "sys"] {
            fs::create_dir_all(root.join(name)).expect("our own folder");
        }
        let busybox = installed("busybox").expect("looked for before");
        for (program, name) in
            [(busybox, "busybox"), ((*DRAINIT).into(), "drainit"), (WORKLOAD.into(), "fake-workload")]
        {
            fs::copy(program, root.join("bin").join(name)).expect("our own folder");
        }
        for name in ["sh", "mount", "mkdir"] {
            symlink("busybox", root.join("bin").join(name)).expect("our own folder");
        }
        // The kernel opens it for its init's input and output before anything is mounted.
        let console = root.join("dev/console");
        mknod(&console, SFlag::S_IFCHR, Mode::S_IRUSR | Mode::S_IWUSR, makedev(5, 1)).expect("root may");
        machine
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// A program of the machine, for the shell.
    fn script(&mut self, name: &str, text: &str) {
        let path = self.root().join("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("our own folder");
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("our own folder");
    }

    /// Runs the machine with this program as its PID 1, until it is off, and returns what its console has shown.
    ///
    /// The kernel reads the words: those in double quotes are one, and a `--` ends them.
    fn boot(&self, init: &str, words: &str) -> Console {
        let path = |name: &str| self.folder.path().join(name).to_str().expect("text").to_owned();
        let packed = Command::new("sh")
            .args(["-c", r#"cd "$1" && find . | cpio --create --format=newc --quiet > "$2""#, "sh"])
            .args([path("root"), path("initrd")])
            .output()
            .expect("the shell can be run");
        assert!(packed.status.success(), "{packed:?}");
        let board = match self.board {
            Board::Pc => "pc",
            Board::Micro => "microvm,pit=on,pic=on,rtc=on,acpi=off",
        };
        // A panic is the machine's end, and so is a restart.
        let parameters = format!(
            "console=ttyS0 quiet panic=-1 reboot=t tsc=reliable no_timer_check PATH=/bin {} rdinit=/bin/{init} -- {words}",
            self.parameters
        );
        let output = Command::new("timeout")
            .args(["-k", "5", LIMIT, "qemu-system-x86_64", "-no-reboot", "-nodefaults", "-no-user-config"])
            .args(["-machine", &format!("{board},accel=tcg"), "-cpu", "max", "-m", "256", "-smp", "1"])
            .args(["-display", "none", "-serial", "stdio", "-kernel"])
            .arg(&self.kernel)
            .args(["-initrd", &path("initrd"), "-append", &parameters])
            .stdin(std::process::Stdio::null())
            .output()
            .expect("timeout can be run");
        let lines = |bytes: &[u8]| {
            String::from_utf8_lossy(bytes).lines().map(|line| line.trim_end().to_owned()).collect()
        };
        let run = Finished {
            code: output.status.code().unwrap_or(-1),
            stdout: lines(&output.stdout),
            stderr: lines(&output.stderr),
        };
        run.exits(0);
        Console(run)
    }
}

/// What can be booted here, or why nothing can.
fn kernel() -> Result<PathBuf, String> {
    if !cfg!(target_arch = "x86_64") {
        return Err("it would be another kind of processor".to_owned());
    }
    for (program, package) in
        [("qemu-system-x86_64", "qemu-system-x86"), ("cpio", "cpio"), ("busybox", "busybox-static")]
    {
        if installed(program).is_none() {
            return Err(format!("{package} is not installed"));
        }
    }
    if !nix::unistd::geteuid().is_root() {
        return Err("only root can make its console".to_owned());
    }
    if let Some(named) = std::env::var_os(KERNEL).filter(|name| !name.is_empty()) {
        return Ok(named.into());
    }
    let is_right = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("vmlinuz-") && name.ends_with("-cloud-amd64")
    };
    let installed = fs::read_dir("/boot").into_iter().flatten().flatten().map(|entry| entry.path());
    installed.filter(is_right).max().ok_or_else(|| "linux-image-cloud-amd64 is not installed".to_owned())
}

struct Console(Finished);

impl Console {
    /// Lines with these parts came, in this order, whatever came between them.
    #[track_caller]
    fn in_order(&self, parts: &[&str]) -> &Self {
        let mut rest = self.0.stdout.iter();
        for part in parts {
            assert!(
                rest.any(|line| line.contains(part)),
                "{part:?} is missing or out of order: {:#?}",
                self.0
            );
        }
        self
    }

    #[track_caller]
    fn never(&self, part: &str) -> &Self {
        assert!(!self.0.stdout.iter().any(|line| line.contains(part)), "{part:?}: {:#?}", self.0);
        self
    }

    /// What `--report -` has written, which is before the machine's end.
    fn report(&self) -> Value {
        let mut until_off = self.0.stdout.iter().take_while(|line| !line.contains(OFF));
        let line = until_off.find(|line| line.starts_with(r#"{"schema":"#));
        let line = line.unwrap_or_else(|| panic!("there is no report: {:#?}", self.0));
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }
}
