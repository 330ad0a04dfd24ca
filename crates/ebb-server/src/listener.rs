//! Listening sockets.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

use ebb_config::{Config, id};
use mio::net::{TcpListener, UnixListener};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// A socket that connections come from.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Listener::Unix(_, path) = self {
            // It may be gone already; there is nothing else to do about it.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Opens all sockets that the configuration names. The text of an error says which failed.
pub(crate) fn bind(config: &Config) -> Result<Vec<Listener>, String> {
    let mut listeners = bind_tcp(config, config.get(id::PORT))?;
    let path = config.get(id::UNIXSOCKET);
    if !path.is_empty() {
        let listener = bind_unix(config, Path::new(&*path));
        listeners.push(
            listener
                .map_err(|error| format!("Failed opening Unix socket: bind: {path}: {error}"))?,
        );
    }
    Ok(listeners)
}

/// Opens the TCP sockets for a port; none for port 0.
fn bind_tcp(config: &Config, port: u16) -> Result<Vec<Listener>, String> {
    let failed = || format!("Failed listening on port {port} (TCP), aborting.");
    let mut listeners = Vec::new();
    let addresses = config.bind_addresses();
    if port == 0 || addresses.is_empty() {
        return Ok(listeners);
    }
    if config.get(id::MPTCP) {
        let probe = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::MPTCP));
        probe.map_err(|error| format!("The system has no Multipath TCP (mptcp): {error}"))?;
    }
    for (address, optional) in addresses {
        match listen(config, &address, port) {
            Ok(listener) => listeners.push(Listener::Tcp(listener)),
            Err(error) if optional && is_unavailable(&error) => {}
            Err(error) => {
                tracing::warn!(
                    "Warning: Could not create server TCP listening socket {address}:{port}: \
                     bind: {error}"
                );
                return Err(failed());
            }
        }
    }
    if listeners.is_empty() { Err(failed()) } else { Ok(listeners) }
}

fn is_unavailable(error: &io::Error) -> bool {
    let codes =
        [libc::EADDRNOTAVAIL, libc::EAFNOSUPPORT, libc::EPROTONOSUPPORT, libc::ESOCKTNOSUPPORT];
    error.raw_os_error().is_some_and(|code| codes.contains(&code))
}

fn listen(config: &Config, address: &str, port: u16) -> io::Result<TcpListener> {
    let address: SocketAddr = match address {
        "*" => ([0, 0, 0, 0], port).into(),
        "::*" => (std::net::Ipv6Addr::UNSPECIFIED, port).into(),
        name => (name, port)
            .to_socket_addrs()?
            .next()
            .ok_or_else(|| io::Error::from(io::ErrorKind::AddrNotAvailable))?,
    };
    let protocol = if config.get(id::MPTCP) { Protocol::MPTCP } else { Protocol::TCP };
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(protocol))?;
    let mark = config.get(id::SOCKET_MARK_ID);
    if mark != 0 {
        // Connections inherit it.
        socket.set_mark(mark)?;
    }
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(config.get(id::TCP_BACKLOG) as i32)?;
    Ok(TcpListener::from_std(socket.into()))
}

fn bind_unix(config: &Config, path: &Path) -> io::Result<Listener> {
    // A socket that a process left behind when it died.
    let _ = std::fs::remove_file(path);
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(path)?)?;
    socket.listen(config.get(id::TCP_BACKLOG) as i32)?;
    let permissions = config.get(id::UNIXSOCKETPERM);
    if permissions != 0 {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(permissions))?;
    }
    let group = config.get(id::UNIXSOCKETGROUP);
    if !group.is_empty() {
        let unknown = || io::Error::other(format!("there is no group '{group}'"));
        let group = crate::io::group_id(&group).ok_or_else(unknown)?;
        std::os::unix::fs::chown(path, None, Some(group))?;
    }
    Ok(Listener::Unix(UnixListener::from_std(socket.into()), path.to_owned()))
}
