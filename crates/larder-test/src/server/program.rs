//! What a kind of server must say about itself, and where one lives.
//!
//! This is all that a new server needs to write; the rest is [`Server`](super::Server)'s.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Signal, User};

/// A kind of server: how to start it and how to know that it is up.
pub trait Program: Send + Sync + 'static {
    /// What to call it in messages.
    fn name(&self) -> &'static str;

    /// The command that runs it in the foreground at `place`, logging to its standard output or
    /// error.
    fn command(&self, place: &Place) -> Command;

    /// Whether the server that was started last accepts connections. Asked every few
    /// milliseconds, and only while the process lives.
    fn ready(&self, place: &Place) -> bool;

    /// How many ports it needs.
    fn ports(&self) -> usize {
        1
    }

    /// Who it runs as, if not as the user who runs the test.
    fn user(&self) -> Option<User> {
        None
    }

    /// Puts into `folder` what must be there before the first start.
    fn prepare(&self, folder: &Path) {
        let _ = folder;
    }

    /// The signal that asks it to stop in an orderly way.
    fn stop_signal(&self) -> Signal {
        Signal::TERM
    }
}

/// Where a server lives: its folder and its ports.
#[derive(Clone, Debug)]
pub struct Place {
    pub(super) folder: PathBuf,
    pub(super) ports: Vec<u16>,
    /// Where the log of the last start begins.
    pub(super) log_from: u64,
}

impl Place {
    /// The server's own folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The first port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.ports[0]
    }

    /// All ports, as many as the [`Program`] asked for.
    #[must_use]
    pub fn ports(&self) -> &[u16] {
        &self.ports
    }

    /// What the server has logged since it was last started.
    #[must_use]
    pub fn log(&self) -> String {
        let mut bytes = Vec::new();
        if let Ok(mut file) = File::open(self.log_file()) {
            // A log that can't be read says nothing; the deadline speaks instead.
            let _ = file
                .seek(SeekFrom::Start(self.log_from))
                .and_then(|_| file.read_to_end(&mut bytes));
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub(super) fn log_file(&self) -> PathBuf {
        self.folder.join("log")
    }
}
