//! The name that the program was started under.

use std::ffi::OsString;

/// Runtimes have the path of their init built in. Whoever puts drainit there wants it to be what was there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// Its own, or one that means nothing.
    Own,
    /// That of an init whose signals go to the command alone.
    Peer,
}

impl Name {
    /// tini's and catatonit's own names, and those under which Docker and Podman install them.
    pub const OF_PEERS: [&str; 5] = ["docker-init", "tini", "tini-static", "podman-init", "catatonit"];

    /// By the file's name, whatever its folder.
    pub(super) fn of(program: Option<&OsString>) -> Self {
        let path = program.map(|path| path.as_encoded_bytes()).unwrap_or_default();
        let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        let is_peer = Self::OF_PEERS.iter().any(|peer| peer.as_bytes() == name);
        if is_peer { Self::Peer } else { Self::Own }
    }

    /// What `--version` prints.
    ///
    /// dockerd runs its init with `--version` and understands only tini's answer, `tini version NUMBER`. tini's may have a
    /// commit behind it, which old versions of Docker compare with the one that they were built with, and warn; so there is none.
    pub(super) fn version(self) -> &'static str {
        match self {
            Self::Own => concat!("drainit ", env!("CARGO_PKG_VERSION"), "\n"),
            Self::Peer => concat!("tini version ", env!("CARGO_PKG_VERSION"), "_drainit\n"),
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
            assert_eq!(Name::of(Some(&path.into())), Name::Peer, "{path}");
        }
        for path in ["drainit", "/tini/drainit", "", "/", "tini/", "mytini", "tini2", "dumb-init"] {
            assert_eq!(Name::of(Some(&path.into())), Name::Own, "{path}");
        }
        assert_eq!(Name::of(None), Name::Own);
    }
}
