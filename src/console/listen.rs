//! Where connections arrive: an address, the socket of the machine, or what systemd hands over.

use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use listenfd::ListenFd;
use tokio::net::{TcpListener, UnixListener};

use super::config::ServerConfig;

/// Why nothing arrives.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address cannot be listened on.
    #[error("server.listen: failed to listen on {address}: {cause}")]
    Address {
        /// As configured.
        address: String,
        /// What the system answered.
        cause: io::Error,
    },
    /// The socket of the machine cannot be made.
    #[error("server.socket: failed to make {}: {cause}", path.display())]
    Socket {
        /// As configured.
        path: PathBuf,
        /// What the system answered.
        cause: io::Error,
    },
    /// Another process serves the socket.
    #[error("server.socket: {} is served by another process, expected it to be stopped first", .0.display())]
    Taken(PathBuf),
    /// systemd handed over something else.
    #[error(
        "socket {number} of those that systemd handed over cannot be used, expected a stream socket: {cause}"
    )]
    Handed {
        /// Its number, from 0.
        number: usize,
        /// What the system answered.
        cause: io::Error,
    },
}

/// Open sockets, ready to be served.
#[derive(Debug, Default)]
pub struct Listeners {
    pub(super) net: Vec<TcpListener>,
    pub(super) machine: Vec<Machine>,
}

/// The socket of the machine.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) listener: UnixListener,
    /// The user who may use it, beside root: whoever made it.
    pub(super) owner: u32,
    /// The file, where it is ours to remove at the end.
    path: Option<PathBuf>,
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // A file that is gone already, or that is left, harms nobody: the next start takes its place.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Listeners {
    /// Opens what the configuration names; a TCP or Unix socket that systemd hands over takes the place of the one
    /// configured. Must be called inside a runtime.
    ///
    /// # Errors
    /// See [`ListenError`].
    pub async fn open(config: &ServerConfig) -> Result<Listeners, ListenError> {
        let mut listeners = Listeners::handed(ListenFd::from_env())?;
        if listeners.net.is_empty() {
            let address = config.listen.clone();
            let listener = TcpListener::bind(&address).await;
            listeners.net.push(listener.map_err(|cause| ListenError::Address { address, cause })?);
        }
        if let Some(path) = config.socket.as_ref().filter(|_| listeners.machine.is_empty()) {
            listeners.machine.push(Machine::open(path)?);
        }
        Ok(listeners)
    }

    fn handed(mut sockets: ListenFd) -> Result<Listeners, ListenError> {
        let mut listeners = Listeners::default();
        for number in 0..sockets.len() {
            let told = |cause| ListenError::Handed { number, cause };
            if let Ok(Some(socket)) = sockets.take_tcp_listener(number) {
                socket.set_nonblocking(true).map_err(told)?;
                listeners.net.push(TcpListener::from_std(socket).map_err(told)?);
            } else if let Some(socket) = sockets.take_unix_listener(number).map_err(told)? {
                socket.set_nonblocking(true).map_err(told)?;
                let owner = own_user().map_err(told)?;
                let listener = UnixListener::from_std(socket).map_err(told)?;
                listeners.machine.push(Machine { listener, owner, path: None });
            }
        }
        Ok(listeners)
    }

    /// The addresses that are listened on.
    pub fn addresses(&self) -> Vec<std::net::SocketAddr> {
        self.net.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }
}

/// The user that runs this process, as the system tells it of a file that the process has open.
fn own_user() -> io::Result<u32> {
    Ok(std::fs::metadata("/proc/self")?.uid())
}

impl Machine {
    /// Makes the socket under a name of its own, for its owner only, and then puts it in its place: there is no moment
    /// at which others could connect.
    fn open(path: &Path) -> Result<Machine, ListenError> {
        let failed = |cause| ListenError::Socket { path: path.to_owned(), cause };
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(ListenError::Taken(path.to_owned()));
        }
        let is_socket =
            |meta: std::fs::Metadata| std::os::unix::fs::FileTypeExt::is_socket(&meta.file_type());
        if std::fs::symlink_metadata(path).is_ok_and(|meta| !is_socket(meta)) {
            return Err(failed(io::Error::other("there is a file of this name that is no socket")));
        }
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}", std::process::id()));
        let beside = path.with_file_name(name);
        // Left by a process of the same number that was killed in between, if at all.
        let _ = std::fs::remove_file(&beside);
        let made = || -> io::Result<(UnixListener, u32)> {
            let listener = UnixListener::bind(&beside)?;
            std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o600))?;
            let owner = std::fs::metadata(&beside)?.uid();
            std::fs::rename(&beside, path)?;
            Ok((listener, owner))
        };
        let (listener, owner) = made().map_err(|cause| {
            let _ = std::fs::remove_file(&beside);
            failed(cause)
        })?;
        Ok(Machine { listener, owner, path: Some(path.to_owned()) })
    }
}
