//! A client without a socket, for the tests of commands.

use ebb_engine::{
    Batch, CommandTable, Executor, Host, Peer, Progress, Reply, Request, Server, Session, Turn,
    unix_ms,
};

/// A session on a server of its own, or on one that it shares with others.
pub(crate) struct Client {
    pub(crate) server: &'static Server,
    pub(crate) session: Session,
    executor: Executor,
}

fn new_server(options: &[(&str, &str)]) -> &'static Server {
    let text: String = options.iter().map(|(name, value)| format!("{name} {value}\n")).collect();
    let config = ebb_config::parse_bytes(text.as_bytes(), 1).unwrap();
    let commands = CommandTable::new(&crate::table::all(), config.renamed_commands()).unwrap();
    let host = Host {
        refresh_allocator: |_| {},
        purge_allocator: || {},
        allocator_report: String::new,
        resident_bytes: || 0,
        resident_pages: |_| Default::default(),
        cpu_times_us: Default::default,
        system: Default::default(),
        describe_client: crate::connection::describe,
        collation_key: |_| None,
        apply: |_, _| Ok(()),
    };
    let server = Box::leak(Box::new(Server::new(config, commands, host)));
    server.load_configured_users().unwrap();
    server.load_configured_partitions().unwrap();
    server
}

impl Client {
    /// A client of a new server.
    pub(crate) fn new() -> Client {
        Client::with_config(&[])
    }

    /// A client of a new server with some directives.
    pub(crate) fn with_config(options: &[(&str, &str)]) -> Client {
        Client::of(new_server(options))
    }

    /// Another client of the same server.
    pub(crate) fn another(&self) -> Client {
        Client::of(self.server)
    }

    fn of(server: &'static Server) -> Client {
        let peer = Peer {
            worker: 0,
            fd: -1,
            address: "127.0.0.1:1".into(),
            local_address: "127.0.0.1:6379".into(),
            is_unix: false,
        };
        let client = server.clients.add(peer, unix_ms());
        Client { server, session: Session::new(client, true), executor: Executor::new(server, 0) }
    }

    /// Runs a command and returns the encoded reply as text.
    pub(crate) fn run<A: AsRef<[u8]>>(&mut self, args: &[A]) -> String {
        String::from_utf8_lossy(&self.run_raw(args)).into_owned()
    }

    /// Runs a command and returns the encoded reply.
    pub(crate) fn run_raw<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Vec<u8> {
        let args: Vec<&[u8]> = args.iter().map(AsRef::as_ref).collect();
        let bytes = args.iter().map(|arg| arg.len()).sum();
        let requests = [Request { first: 0, count: args.len(), bytes, end: bytes }];
        let mut reply = Reply::default();
        let turn = Turn {
            session: &mut self.session,
            requests: &requests,
            reply: &mut reply,
            progress: Progress::Done,
        };
        self.executor.run(&mut [turn], &Batch { args: &args, shared: &[] }, &mut ());
        let (bytes, references) = reply.parts();
        let mut whole = Vec::new();
        let mut at = 0;
        for (offset, shared) in references {
            whole.extend_from_slice(&bytes[at..*offset]);
            whole.extend_from_slice(shared);
            at = *offset;
        }
        whole.extend_from_slice(&bytes[at..]);
        whole
    }

    /// Has somebody follow what its commands change.
    pub(crate) fn subscribe(&mut self, sink: Box<dyn ebb_engine::journal::Sink>) {
        self.executor.subscribe(sink);
    }

    /// What others have sent it.
    pub(crate) fn mail(&mut self) -> String {
        String::from_utf8_lossy(&self.session.client.take_inbox()).into_owned()
    }

    /// Looks whether the command in which it waits finds something by now.
    pub(crate) fn try_again(&mut self) {
        if let Some(blocked) = self.session.blocked.clone() {
            self.executor.try_again(&blocked, &mut ());
        }
    }

    /// Runs a command given as words.
    pub(crate) fn say(&mut self, line: &str) -> String {
        self.run(&line.split_whitespace().collect::<Vec<_>>())
    }
}

#[test]
fn a_value_comes_back() {
    let mut client = Client::new();
    assert_eq!(client.say("SET k hello"), "+OK\r\n");
    assert_eq!(client.say("GET k"), "$5\r\nhello\r\n");
    assert_eq!(client.say("GET nothing"), "$-1\r\n");
    assert_eq!(
        client.say("nothing a"),
        "-ERR unknown command 'nothing', with args beginning with: 'a' \r\n"
    );
}
