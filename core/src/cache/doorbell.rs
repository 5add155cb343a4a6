//! A doorbell: a socket connection that signals arrived outcomes, for event loops that watch only their own
//! connections, such as OpenResty's Lua.

use crate::error::{Error, ErrorKind};
use nix::sys::socket::{MsgFlags, getsockopt, send, sockopt};
use nix::unistd::mkdtemp;
use std::fs::{remove_dir, remove_file};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A listening socket in a private directory, which is removed with it.
pub(crate) struct Listening {
    listener: UnixListener,
    directory: PathBuf,
}

static DOORBELLS: AtomicUsize = AtomicUsize::new(0);

/// The number of queues of this process that have a doorbell ([`Queue::accept`](crate::Queue::accept)).
pub fn doorbells() -> usize {
    DOORBELLS.load(Ordering::Relaxed)
}

impl Listening {
    pub(crate) fn new() -> Result<Listening, Error> {
        let temporary = std::env::temp_dir();
        // The fallback for systems with read-only file systems.
        let made =
            Listening::within(&temporary).or_else(|_| Listening::within("/dev/shm".as_ref()));
        made.map_err(|error| {
            let places = format!("{} nor in /dev/shm", temporary.display());
            failed(&format!("cannot make a socket, neither in {places}"), error)
        })
    }

    fn within(parent: &Path) -> io::Result<Listening> {
        let directory = mkdtemp(&parent.join("credgate-XXXXXX"))?;
        let listener = UnixListener::bind(directory.join("bell")).and_then(|listener| {
            listener.set_nonblocking(true)?;
            Ok(listener)
        });
        match listener {
            Ok(listener) => Ok(Listening {
                listener,
                directory,
            }),
            Err(error) => {
                let _ = remove_dir(&directory);
                Err(error)
            }
        }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.join("bell")
    }

    /// The connection of this process, if any.
    pub(crate) fn accept(&self) -> Result<Doorbell, Error> {
        loop {
            let accepted = self.listener.accept();
            let (stream, _) =
                accepted.map_err(|error| failed("nobody has connected to the doorbell", error))?;
            let peer = getsockopt(&stream, sockopt::PeerCredentials)
                .map_err(|errno| failed("cannot tell who has connected to the doorbell", errno))?;
            if u32::try_from(peer.pid()) == Ok(std::process::id()) {
                DOORBELLS.fetch_add(1, Ordering::Relaxed);
                return Ok(Doorbell(stream));
            }
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let _ = remove_file(self.path());
        let _ = remove_dir(&self.directory);
    }
}

/// The library's end of a connection that the host watches.
pub(crate) struct Doorbell(UnixStream);

impl Doorbell {
    /// Makes the connection readable. A full one already is, and a closed one has no reader.
    pub(crate) fn ring(&self) {
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        let _ = send(self.0.as_raw_fd(), &[0], flags);
    }
}

impl Drop for Doorbell {
    fn drop(&mut self) {
        DOORBELLS.fetch_sub(1, Ordering::Relaxed);
    }
}

fn failed(what: &str, error: impl Into<io::Error>) -> Error {
    let error = error.into();
    Error::with_source(ErrorKind::System, format!("{what}: {error}"), error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn the_doorbell_signals_a_connection_and_removes_its_socket() {
        let listening = Listening::new().unwrap();
        let (path, directory) = (listening.path(), listening.directory.clone());
        assert!(listening.accept().is_err(), "nobody has connected");
        let mut host = UnixStream::connect(&path).unwrap();
        let doorbell = listening.accept().unwrap();
        drop(listening);
        assert!(!directory.exists());
        assert!(doorbells() >= 1);
        doorbell.ring();
        assert_eq!(host.read(&mut [0; 8]).unwrap(), 1);
        drop(doorbell);
        assert_eq!(host.read(&mut [0; 8]).unwrap(), 0, "hung up");
    }

    #[test]
    fn a_full_or_unread_doorbell_does_not_block() {
        let listening = Listening::new().unwrap();
        let host = UnixStream::connect(listening.path()).unwrap();
        let doorbell = listening.accept().unwrap();
        for _ in 0..1_000_000 {
            doorbell.ring();
        }
        drop(host);
        doorbell.ring();
    }

    #[test]
    fn a_connection_of_another_process_is_refused() {
        let listening = Listening::new().unwrap();
        let script =
            "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])";
        let other = std::process::Command::new("python3")
            .args(["-c", script])
            .arg(listening.path())
            .status();
        assert!(other.unwrap().success());
        assert!(listening.accept().is_err());
    }
}
