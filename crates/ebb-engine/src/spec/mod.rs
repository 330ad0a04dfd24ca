//! What a command is: the one row that dispatch, COMMAND, ACL categories and help read.

mod argument;
mod bits;
mod keys;

pub use argument::{Argument, ArgumentKind};
pub use keys::{Begin, Find, InvalidKeys, KeyFlags, KeySpec};

pub(crate) use bits::bits;

use crate::{CommandResult, Context};

/// Runs a command. An error is written as the reply, in the place of all that the function
/// wrote before.
pub type Handler = fn(&mut Context<'_>) -> CommandResult;

/// One command or subcommand. Built as `CommandSpec { name: "get", .., ..CommandSpec::NEW }`.
#[derive(Debug)]
pub struct CommandSpec {
    /// Name in lower case; of a subcommand, without its container's.
    pub name: &'static str,
    /// One sentence, as COMMAND DOCS shows it.
    pub summary: &'static str,
    /// The Redis (or Valkey) version that has it first.
    pub since: &'static str,
    /// Its group in the documentation.
    pub group: Group,
    /// Time complexity.
    pub complexity: &'static str,
    /// Number of arguments, the name included; negative: at least that many.
    pub arity: i32,
    /// Flags.
    pub flags: Flags,
    /// ACL categories beyond those that flags and group imply.
    pub acl: Categories,
    /// Where its keys are.
    pub keys: &'static [KeySpec],
    /// The position of an argument that names an element of its key's collection, or 0. Where that
    /// element lies is asked for ahead of the run; another argument in its place does no harm.
    pub element: usize,
    /// Its time follows from the lengths of its request and its reply, searches aside. If both are
    /// short, several in a row are timed together.
    pub paced_by_length: bool,
    /// Which shards are locked while it runs.
    pub scope: Scope,
    /// Its syntax.
    pub arguments: &'static [Argument],
    /// What changed: version and change.
    pub history: &'static [(&'static str, &'static str)],
    /// Hints for clients and proxies (`nondeterministic_output`, `request_policy:...`).
    pub tips: &'static [&'static str],
    /// Since when it is deprecated, and what replaces it.
    pub deprecated: Option<(&'static str, &'static str)>,
    /// Subcommands, if it is a container.
    pub subcommands: &'static [CommandSpec],
    /// Whether an argument, by its position, is a secret that MONITOR and the logs must not show.
    pub secret: fn(&[&[u8]], usize) -> bool,
    /// The function. A container's runs only when no subcommand was given.
    pub run: Handler,
}

impl CommandSpec {
    /// What a row that says nothing else has.
    pub const NEW: CommandSpec = CommandSpec {
        name: "",
        summary: "",
        since: "1.0.0",
        group: Group::Generic,
        complexity: "O(1)",
        arity: 1,
        flags: Flags::NONE,
        acl: Categories::NONE,
        keys: &[],
        element: 0,
        paced_by_length: false,
        scope: Scope::Keys,
        arguments: &[],
        history: &[],
        tips: &[],
        deprecated: None,
        subcommands: &[],
        secret: |_, _| false,
        run: |_| Err(crate::CommandError::Syntax),
    };

    /// The arguments without the secrets.
    pub fn redacted<'a>(&self, args: &[&'a [u8]]) -> Vec<&'a [u8]> {
        let shown = |(at, &arg)| if (self.secret)(args, at) { &b"(redacted)"[..] } else { arg };
        args.iter().enumerate().map(shown).collect()
    }

    /// Whether a number of arguments (the name included) is allowed.
    #[inline]
    pub fn arity_allows(&self, count: usize) -> bool {
        let count = count as i64;
        let arity = i64::from(self.arity);
        if arity >= 0 { count == arity } else { count >= -arity }
    }

    /// Calls `visit` with the position of each key in `args` and the key's flags. Arguments
    /// that do not fit the specification yield an error and no more keys.
    pub fn each_key(
        &self,
        args: &[&[u8]],
        mut visit: impl FnMut(usize, KeyFlags),
    ) -> Result<(), InvalidKeys> {
        for spec in self.keys {
            if let Some(positions) = spec.positions(args)? {
                positions.for_each(|position| visit(position, spec.flags));
            }
        }
        Ok(())
    }

    /// All ACL categories of the command.
    pub fn categories(&self) -> Categories {
        // A container's subcommands stand for it, and a command of the generic group that says
        // which types it is for (SORT) is not one for keys of any type.
        let is_for_types = self.group == Group::Generic && self.acl.any(Categories::LIST);
        let implied = self.subcommands.is_empty() && !is_for_types;
        let group = if implied { self.group.category() } else { Categories::NONE };
        let mut all = self.acl | group;
        let flag = |flag, category| if self.flags.has(flag) { category } else { Categories::NONE };
        all = all
            | flag(Flags::WRITE, Categories::WRITE)
            | flag(Flags::ADMIN, Categories::ADMIN | Categories::DANGEROUS)
            | flag(Flags::PUBSUB, Categories::PUBSUB)
            | flag(Flags::FAST, Categories::FAST)
            | flag(Flags::BLOCKING, Categories::BLOCKING);
        if self.flags.has(Flags::READONLY) && self.group != Group::Scripting {
            all = all | Categories::READ;
        }
        if !self.flags.has(Flags::FAST) {
            all = all | Categories::SLOW;
        }
        all
    }
}

/// Groups of commands, as COMMAND DOCS names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Bit operations on strings.
    Bitmap,
    /// Cluster.
    Cluster,
    /// Connection handling.
    Connection,
    /// Keys of any type.
    Generic,
    /// Geospatial indexes.
    Geo,
    /// Hashes.
    Hash,
    /// HyperLogLog.
    Hyperloglog,
    /// Lists.
    List,
    /// Publish and subscribe.
    Pubsub,
    /// Scripts and functions.
    Scripting,
    /// Server administration.
    Server,
    /// Sets.
    Set,
    /// Sorted sets.
    SortedSet,
    /// Streams.
    Stream,
    /// Strings.
    String,
    /// MULTI and what belongs to it.
    Transactions,
}

impl Group {
    /// The name in COMMAND DOCS.
    pub fn name(self) -> &'static str {
        match self {
            Group::Bitmap => "bitmap",
            Group::Cluster => "cluster",
            Group::Connection => "connection",
            Group::Generic => "generic",
            Group::Geo => "geo",
            Group::Hash => "hash",
            Group::Hyperloglog => "hyperloglog",
            Group::List => "list",
            Group::Pubsub => "pubsub",
            Group::Scripting => "scripting",
            Group::Server => "server",
            Group::Set => "set",
            Group::SortedSet => "sorted-set",
            Group::Stream => "stream",
            Group::String => "string",
            Group::Transactions => "transactions",
        }
    }

    /// The ACL category that belonging to the group implies.
    fn category(self) -> Categories {
        match self {
            Group::Bitmap => Categories::BITMAP,
            Group::Connection => Categories::CONNECTION,
            Group::Generic => Categories::KEYSPACE,
            Group::Geo => Categories::GEO,
            Group::Hash => Categories::HASH,
            Group::Hyperloglog => Categories::HYPERLOGLOG,
            Group::List => Categories::LIST,
            Group::Scripting => Categories::SCRIPTING,
            Group::Set => Categories::SET,
            Group::SortedSet => Categories::SORTEDSET,
            Group::Stream => Categories::STREAM,
            Group::String => Categories::STRING,
            Group::Transactions => Categories::TRANSACTION,
            // That of publish and subscribe comes with a flag.
            Group::Cluster | Group::Pubsub | Group::Server => Categories::NONE,
        }
    }
}

/// Which shards are locked while a command runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Those of its keys; none if it has no keys.
    Keys,
    /// One after the other, taken by the command as it visits them
    /// ([`Context::enter_shard`]); in a transaction all.
    Walk,
    /// A script's: one after the other, taken by the commands that it calls, and kept to its
    /// end; in a transaction all.
    Growing,
    /// All.
    All,
}

bits! {
    /// Command flags; the words are those of COMMAND INFO.
    Flags: u32 {
        /// May change data.
        WRITE = "write",
        /// Reads data, changes none.
        READONLY = "readonly",
        /// Refused when memory is at its limit.
        DENYOOM = "denyoom",
        /// Administration.
        ADMIN = "admin",
        /// Publish and subscribe.
        PUBSUB = "pubsub",
        /// Not in scripts.
        NOSCRIPT = "noscript",
        /// May block the client.
        BLOCKING = "blocking",
        /// Allowed while data is being loaded.
        LOADING = "loading",
        /// Allowed on a replica with stale data.
        STALE = "stale",
        /// Not shown by MONITOR.
        SKIP_MONITOR = "skip_monitor",
        /// Not in the slow log.
        SKIP_SLOWLOG = "skip_slowlog",
        /// Asks for slot migration state.
        ASKING = "asking",
        /// O(1) or O(log n).
        FAST = "fast",
        /// Allowed before authentication.
        NO_AUTH = "no_auth",
        /// May replicate even though it is not a write.
        MAY_REPLICATE = "may_replicate",
        /// Not in a transaction.
        NO_MULTI = "no_multi",
        /// Its keys cannot be found by the key specifications alone.
        MOVABLEKEYS = "movablekeys",
        /// Allowed while a script or another long command runs.
        ALLOW_BUSY = "allow_busy",
        /// Takes no part in the asynchronous loading of a replica.
        NO_ASYNC_LOADING = "no_async_loading",
        /// Keys are optional.
        NO_MANDATORY_KEYS = "no_mandatory_keys",
    }
}

bits! {
    /// ACL categories; the words are those of ACL CAT.
    Categories: u32 {
        /// Keys of any type.
        KEYSPACE = "keyspace",
        /// Reads.
        READ = "read",
        /// Writes.
        WRITE = "write",
        /// Sets.
        SET = "set",
        /// Sorted sets.
        SORTEDSET = "sortedset",
        /// Lists.
        LIST = "list",
        /// Hashes.
        HASH = "hash",
        /// Strings.
        STRING = "string",
        /// Bitmaps.
        BITMAP = "bitmap",
        /// HyperLogLog.
        HYPERLOGLOG = "hyperloglog",
        /// Geo.
        GEO = "geo",
        /// Streams.
        STREAM = "stream",
        /// Publish and subscribe.
        PUBSUB = "pubsub",
        /// Administration.
        ADMIN = "admin",
        /// O(1) or O(log n).
        FAST = "fast",
        /// All others.
        SLOW = "slow",
        /// May block.
        BLOCKING = "blocking",
        /// Not for ordinary users.
        DANGEROUS = "dangerous",
        /// Connection handling.
        CONNECTION = "connection",
        /// Transactions.
        TRANSACTION = "transaction",
        /// Scripts.
        SCRIPTING = "scripting",
        /// Partitions: Ebb's own.
        PARTITION = "partition",
    }
}
