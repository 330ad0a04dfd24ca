//! The directives whose value is one word of a list, as types.

use crate::store::{Stored, Value};
use crate::value::Kind;

/// A value that is one word of a fixed list. The discriminant is the word's place in the list.
pub trait Word: Value {
    /// The words, in the order in which an error message lists them.
    const WORDS: &'static [&'static str];
    /// The word of this value.
    fn word(self) -> &'static str;
}

macro_rules! words {
    ($( $(#[$meta:meta])* $name:ident { $( $variant:ident = $word:literal, )+ } )+) => { $(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $( #[doc = concat!("`", $word, "`")] $variant, )+ }

        impl Word for $name {
            const WORDS: &'static [&'static str] = &[$($word),+];

            fn word(self) -> &'static str {
                Self::WORDS[self as usize]
            }
        }

        impl $name {
            /// The word at a place in the list.
            pub fn at(place: usize) -> Option<$name> {
                const ALL: &[$name] = &[$($name::$variant),+];
                ALL.get(place).copied()
            }
        }

        impl Value for $name {
            fn load(stored: &Stored) -> Self {
                const FIRST: $name = [$($name::$variant),+][0];
                // The store only keeps places of words; should that ever break, the first word is the answer.
                usize::try_from(stored.bits()).ok().and_then($name::at).unwrap_or(FIRST)
            }

            fn fits(kind: &Kind) -> bool {
                matches!(kind, Kind::Word(words) if *words == Self::WORDS)
            }
        }
    )+ };
}

words! {
    /// How much is logged.
    LogLevel { Debug = "debug", Verbose = "verbose", Notice = "notice", Warning = "warning", Nothing = "nothing", }
    /// Which init system started the server.
    Supervised { Upstart = "upstart", Systemd = "systemd", Auto = "auto", No = "no", }
    /// The facility of the system log.
    SyslogFacility {
        User = "user", Local0 = "local0", Local1 = "local1", Local2 = "local2", Local3 = "local3",
        Local4 = "local4", Local5 = "local5", Local6 = "local6", Local7 = "local7",
    }
    /// How a line of the log looks.
    LogFormat { Legacy = "legacy", Logfmt = "logfmt", Json = "json", }
    /// How the log writes times.
    LogTimestampFormat { Legacy = "legacy", Iso8601 = "iso8601", Milliseconds = "milliseconds", }
    /// What is done when `maxmemory` is reached.
    MaxmemoryPolicy {
        VolatileLru = "volatile-lru", VolatileLfu = "volatile-lfu", VolatileRandom = "volatile-random",
        VolatileTtl = "volatile-ttl", AllkeysLru = "allkeys-lru", AllkeysLfu = "allkeys-lfu",
        AllkeysRandom = "allkeys-random", Noeviction = "noeviction",
        AllkeysS3fifo = "allkeys-s3fifo", VolatileS3fifo = "volatile-s3fifo",
    }
    /// What `maxmemory` limits.
    MaxmemoryBasis { Used = "used", Resident = "resident", }
    /// When the append-only file is synced.
    Appendfsync { Everysec = "everysec", Always = "always", No = "no", }
    /// What the kernel's out-of-memory score is relative to.
    OomScoreAdj { No = "no", Yes = "yes", Relative = "relative", Absolute = "absolute", }
    /// Whether a replica loads a snapshot straight from the socket.
    DisklessLoad { Disabled = "disabled", OnEmptyDb = "on-empty-db", Swapdb = "swapdb", }
    /// The channels a new user may use.
    AclPubsubDefault { Allchannels = "allchannels", Resetchannels = "resetchannels", }
    /// When a RESTORE payload is checked in depth.
    SanitizeDumpPayload { No = "no", Yes = "yes", Clients = "clients", }
    /// Who may use a guarded command or directive.
    Guard { No = "no", Yes = "yes", Local = "local", }
    /// Whether clients must show a certificate.
    TlsAuthClients { No = "no", Yes = "yes", Optional = "optional", }
    /// The part of a client's certificate that names its user.
    TlsAuthClientsUser { Cn = "CN", Uri = "URI", Off = "off", }
    /// Whether payloads of versions that are not known are tried.
    RdbVersionCheck { Strict = "strict", Relaxed = "relaxed", }
    /// When a cluster's state is written.
    ClusterConfigSave { Sync = "sync", BestEffort = "best-effort", }
    /// The kind of endpoint that cluster replies name.
    EndpointType { Ip = "ip", Hostname = "hostname", UnknownEndpoint = "unknown-endpoint", }
    /// What a replica does when a replicated command fails.
    PropagationError { Ignore = "ignore", Panic = "panic", PanicOnReplicas = "panic-on-replicas", }
}

impl Guard {
    /// May a client do the guarded thing? `local` is whether it is connected over loopback or a Unix socket.
    pub fn allows(self, local: bool) -> bool {
        match self {
            Guard::No => false,
            Guard::Yes => true,
            Guard::Local => local,
        }
    }
}
