//! A folder and a port that belong to one run.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::{fs, io};

use tempfile::TempDir;

/// The file that says that the work is in flight. The program's side writes it, or else its client.
pub(crate) const BEGUN: &str = "begun";

/// What the names of the files begin with by which workers say that they are there.
pub(crate) const UP: &str = "up-";

/// Where one run has its files and listens.
pub(crate) struct Place {
    folder: TempDir,
    port: u16,
}

impl Place {
    pub(crate) fn new() -> io::Result<Self> {
        let folder = TempDir::with_prefix("drainit-program-")?;
        // Some programs change their user and write here.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777))?;
        Ok(Self { folder, port: free_port()? })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The text with this place's folder and port in it.
    pub(crate) fn fill(&self, text: &str) -> String {
        let folder = self.folder.path().to_str().unwrap_or_default();
        text.replace("@FOLDER@", folder).replace("@PORT@", &self.port.to_string())
    }

    /// Writes a file, filled.
    pub(crate) fn write(&self, name: &str, text: &str) -> io::Result<()> {
        fs::write(self.path(name), self.fill(text))
    }

    /// What the file says; nothing if it is not there.
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read(self.path(name)).map_or_else(|_| String::new(), |text| String::from_utf8_lossy(&text).into())
    }

    /// How many workers have said that they are there.
    pub(crate) fn workers(&self) -> usize {
        let names = fs::read_dir(self.folder.path()).into_iter().flatten().flatten();
        names.filter(|entry| entry.file_name().to_string_lossy().starts_with(UP)).count()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.path(name).exists()
    }
}

/// A port of the loopback that is free now.
pub(crate) fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
