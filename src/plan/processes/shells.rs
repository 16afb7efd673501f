//! Which programs are shells, and of which kind.

/// The shells that differ in how they wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shell {
    /// dash, and busybox's ash: the system call shows what it waits for.
    Ash,
    Bash,
    Zsh,
    /// A shell of another kind (ksh, mksh, fish): it cannot be seen what it waits for.
    Other,
}

/// Programs in busybox's one file that are no shells, but have children and may catch signals.
const APPLETS: [&[u8]; 17] = [
    b"chpst",
    b"cron",
    b"crond",
    b"flock",
    b"httpd",
    b"inetd",
    b"init",
    b"linuxrc",
    b"nice",
    b"runsv",
    b"runsvdir",
    b"script",
    b"setsid",
    b"su",
    b"tcpsvd",
    b"timeout",
    b"watch",
];

/// The names of their files.
const SHELLS: [(&[u8], Shell); 20] = [
    (b"sh", Shell::Ash),
    (b"dash", Shell::Ash),
    (b"ash", Shell::Ash),
    (b"busybox", Shell::Ash),
    (b"busybox.static", Shell::Ash),
    (b"bash", Shell::Bash),
    (b"rbash", Shell::Bash),
    (b"bash-static", Shell::Bash),
    (b"zsh", Shell::Zsh),
    (b"zsh5", Shell::Zsh),
    (b"rzsh", Shell::Zsh),
    (b"zsh-static", Shell::Zsh),
    (b"zsh5-static", Shell::Zsh),
    (b"ksh", Shell::Other),
    (b"ksh93", Shell::Other),
    (b"mksh", Shell::Other),
    (b"oksh", Shell::Other),
    (b"lksh", Shell::Other),
    (b"yash", Shell::Other),
    (b"fish", Shell::Other),
];

impl Shell {
    /// By the name of the program's file or, if that is ambiguous, by the process's own name.
    #[must_use]
    pub fn of(file: Option<&[u8]>, name: &[u8]) -> Option<Self> {
        // A login shell's name begins with a dash; a file that was replaced ends in " (deleted)".
        let name = name.strip_prefix(b"-").unwrap_or(name);
        let file = file.unwrap_or(name);
        let file = file.strip_suffix(b" (deleted)").unwrap_or(file);
        let file = file.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        if file.starts_with(b"busybox") && APPLETS.contains(&name) {
            return None;
        }
        SHELLS.iter().find(|(known, _)| *known == file).map(|&(_, shell)| shell)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_is_known_by_its_file_and_else_by_its_name() {
        for (file, name, shell) in [
            (Some("/usr/bin/dash"), "entrypoint.sh", Some(Shell::Ash)),
            (Some("/bin/busybox"), "sh", Some(Shell::Ash)),
            (Some("/bin/busybox"), "run.sh", Some(Shell::Ash)),
            (Some("/bin/busybox"), "timeout", None),
            (Some("/bin/busybox"), "runsvdir", None),
            (Some("/usr/bin/bash (deleted)"), "bash", Some(Shell::Bash)),
            (Some("/bin/zsh5"), "zsh", Some(Shell::Zsh)),
            (Some("/bin/mksh"), "mksh", Some(Shell::Other)),
            (Some("/usr/sbin/nginx"), "sh", None),
            (None, "-bash", Some(Shell::Bash)),
            (None, "fish", Some(Shell::Other)),
            (None, "", None),
            (None, "nginx", None),
        ] {
            assert_eq!(Shell::of(file.map(str::as_bytes), name.as_bytes()), shell, "{file:?} {name}");
        }
    }
}
