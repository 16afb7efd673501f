//! The name that the program was started under.

use std::ffi::OsString;

/// Runtimes have the path of their init built in. Under another init's name drainit behaves like that init.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvokedAs {
    /// Its own name, or an unknown one.
    Drainit,
    /// The name of an init that signals the command alone.
    TiniLike,
    /// The name of dumb-init, which signals the command's group.
    DumbInit,
}

impl InvokedAs {
    /// tini's and catatonit's own names, and those under which Docker and Podman install them.
    pub const TINI_LIKE: [&str; 5] = ["docker-init", "tini", "tini-static", "podman-init", "catatonit"];

    /// By the file's name, whatever its folder.
    pub(super) fn of(program: Option<&OsString>) -> Self {
        let path = program.map(|path| path.as_encoded_bytes()).unwrap_or_default();
        let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        if Self::TINI_LIKE.iter().any(|peer| peer.as_bytes() == name) {
            Self::TiniLike
        } else if name == b"dumb-init" {
            Self::DumbInit
        } else {
            Self::Drainit
        }
    }

    /// What `--version` prints.
    ///
    /// dockerd runs its init with `--version` and understands only tini's answer, `tini version NUMBER`. tini may add a commit, which old
    /// versions of Docker compare with the one they were built with, and warn if it differs; so drainit adds none.
    pub(super) fn version(self) -> &'static str {
        match self {
            Self::Drainit | Self::DumbInit => concat!("drainit ", env!("CARGO_PKG_VERSION"), "\n"),
            Self::TiniLike => concat!("tini version ", env!("CARGO_PKG_VERSION"), "_drainit\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_known_by_the_file_s_name_alone() {
        for path in
            ["tini", "/sbin/docker-init", "./podman-init", "/usr/libexec/podman/catatonit", "//tini-static"]
        {
            assert_eq!(InvokedAs::of(Some(&path.into())), InvokedAs::TiniLike, "{path}");
        }
        for path in ["drainit", "/tini/drainit", "", "/", "tini/", "mytini", "tini2", "dumb-init2"] {
            assert_eq!(InvokedAs::of(Some(&path.into())), InvokedAs::Drainit, "{path}");
        }
        assert_eq!(InvokedAs::of(Some(&"/usr/bin/dumb-init".into())), InvokedAs::DumbInit);
        assert_eq!(InvokedAs::of(None), InvokedAs::Drainit);
    }
}
