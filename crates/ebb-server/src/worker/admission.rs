//! Connections that come: accepted, let in or turned away, and handed to a worker.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ebb_config::id;
use ebb_engine::{Peer, Server, Session, unix_ms};
use mio::{Interest, Token};
use socket2::{SockRef, TcpKeepalive};

use super::{Arrival, Worker, inbox};
use crate::connection::{Connection, Socket};
use crate::listener::Listener;

impl Worker {
    /// Accepts connections, of each listener as many as may come in one round.
    pub(super) fn accept(&mut self) {
        for listener in std::mem::take(&mut self.knocking) {
            self.accept_from(listener);
        }
    }

    fn accept_from(&mut self, number: usize) {
        for _ in 0..self.server.config.get(id::MAX_NEW_CONNECTIONS_PER_CYCLE) {
            let Some(listener) = self.listeners.get(number) else { return };
            let accepted = match listener {
                Listener::Tcp(listener) => listener.accept().map(|(socket, peer)| {
                    let local =
                        socket.local_addr().map_or_else(|_| String::new(), |a| a.to_string());
                    (Socket::Tcp(socket), peer.to_string(), local)
                }),
                Listener::Unix(listener, path) => listener.accept().map(|(socket, _)| {
                    let address = format!("{}:0", path.display());
                    (Socket::Unix(socket), address.clone(), address)
                }),
            };
            match accepted {
                Ok((socket, address, local_address)) => self.admit(socket, address, local_address),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    tracing::warn!("Accepting client connection: {error}");
                    // What failed (no descriptors are left, say) may be over by then.
                    self.turned_away.insert(number);
                    return;
                }
            }
        }
        self.knocking.insert(number);
    }

    /// Takes a connection in, or turns it away, and hands it to a worker.
    fn admit(&mut self, mut socket: Socket, address: String, local_address: String) {
        let server = self.server;
        let refuse = |socket: &mut Socket, text: &str| {
            use io::Write;
            server.counters.rejected_connections.fetch_add(1, Ordering::Relaxed);
            // The client may be gone; it is turned away either way.
            let _ = socket.write(text.as_bytes());
        };
        let connected: usize =
            server.workers.iter().map(|worker| worker.connections.load(Ordering::Relaxed)).sum();
        if connected >= server.config.get(id::MAXCLIENTS) as usize {
            refuse(&mut socket, "-ERR max number of clients reached\r\n");
            return;
        }
        if is_protected(server, &socket) {
            refuse(&mut socket, PROTECTED);
            return;
        }
        let (fd, is_unix) = match &socket {
            Socket::Tcp(tcp) => {
                configure(tcp, server.config.get(id::TCP_KEEPALIVE));
                (tcp.as_raw_fd(), false)
            }
            Socket::Unix(unix) => (unix.as_raw_fd(), true),
        };
        server.counters.connections.fetch_add(1, Ordering::Relaxed);
        let load = |&worker: &usize| server.workers[worker].connections.load(Ordering::Relaxed);
        let worker = (0..server.serving_workers()).min_by_key(load).unwrap_or(0);
        server.workers[worker].connections.fetch_add(1, Ordering::Relaxed);
        let peer = Peer { worker, fd, address, local_address, is_unix };
        if worker == self.number {
            self.adopt(socket, peer);
        } else {
            inbox(worker).arrivals.lock().push(Arrival::New(socket, peer));
            server.workers[worker].wake();
        }
    }

    pub(super) fn adopt(&mut self, mut socket: Socket, peer: Peer) {
        let at = self.vacancy();
        let source = socket.source();
        if let Err(error) = self.poll.registry().register(source, Token(at), Interest::READABLE) {
            tracing::warn!("Error registering fd event for the new client: {error}");
            self.vacant.push(at);
            self.server.workers[self.number].connections.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        let client = self.server.clients.add(peer, unix_ms());
        self.by_id.insert(client.id, at);
        let authenticated = !self.server.acl.needs_password();
        let session = Session::new(client, authenticated);
        self.connections[at] = Some(Box::new(Connection::new(socket, session)));
    }
}

fn configure(socket: &mio::net::TcpStream, keepalive_s: u32) {
    // A socket without these options still works.
    let _ = socket.set_nodelay(true);
    if keepalive_s > 0 {
        let keepalive = TcpKeepalive::new()
            .with_time(Duration::from_secs(keepalive_s.into()))
            .with_interval(Duration::from_secs((keepalive_s / 3).max(1).into()))
            .with_retries(3);
        let _ = SockRef::from(socket).set_tcp_keepalive(&keepalive);
    }
}

const PROTECTED: &str = "-DENIED Ebb is running in protected mode because protected mode is \
enabled and no password is set for the default user. In this mode connections are only accepted \
from the loopback interface. To connect from elsewhere, set a password with 'CONFIG SET \
requirepass' or the requirepass directive, or disable protected mode with 'CONFIG SET \
protected-mode no' if no one outside can reach this server.\r\n";

/// Whether protected mode turns this connection away.
fn is_protected(server: &Server, socket: &Socket) -> bool {
    let Socket::Tcp(tcp) = socket else { return false };
    let remote = tcp.peer_addr().is_ok_and(|peer| !peer.ip().to_canonical().is_loopback());
    remote && server.config.get(id::PROTECTED_MODE) && server.acl.has_no_password()
}
