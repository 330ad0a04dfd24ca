//! What a command is: the one row that dispatch, COMMAND, ACL categories and help read.

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
        scope: Scope::Keys,
        arguments: &[],
        history: &[],
        tips: &[],
        deprecated: None,
        subcommands: &[],
        run: |_| Err(crate::CommandError::Syntax),
    };

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
        // A container's subcommands stand for it.
        let group =
            if self.subcommands.is_empty() { self.group.category() } else { Categories::NONE };
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

/// The arguments do not say where the keys are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidKeys;

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
            Group::Pubsub => Categories::PUBSUB,
            Group::Scripting => Categories::SCRIPTING,
            Group::Set => Categories::SET,
            Group::SortedSet => Categories::SORTEDSET,
            Group::Stream => Categories::STREAM,
            Group::String => Categories::STRING,
            Group::Transactions => Categories::TRANSACTION,
            Group::Cluster | Group::Server => Categories::NONE,
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
    /// All.
    All,
}

macro_rules! bits {
    ($(#[$meta:meta])* $name:ident: $repr:ty { $($(#[$doc:meta])* $flag:ident = $word:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct $name($repr);

        impl $name {
            /// None of them.
            pub const NONE: $name = $name(0);
            bits!(@consts $name, $repr, 0, $($(#[$doc])* $flag,)*);
            const ALL: &'static [($name, &'static str)] = &[$(($name::$flag, $word),)*];

            /// Whether all of `other` are set.
            #[inline]
            pub const fn has(self, other: $name) -> bool {
                self.0 & other.0 == other.0
            }

            /// These and `other`, also in constants.
            pub const fn and(self, other: $name) -> $name {
                $name(self.0 | other.0)
            }

            /// The names of those that are set, in order.
            pub fn names(self) -> impl Iterator<Item = &'static str> {
                Self::ALL.iter().filter(move |(flag, _)| self.has(*flag)).map(|(_, word)| *word)
            }

            /// The one with a name, in any case.
            pub fn named(name: &[u8]) -> Option<$name> {
                let mut all = Self::ALL.iter();
                all.find(|(_, word)| word.as_bytes().eq_ignore_ascii_case(name)).map(|(flag, _)| *flag)
            }

            /// All names.
            pub fn all_names() -> impl Iterator<Item = &'static str> {
                Self::ALL.iter().map(|(_, word)| *word)
            }
        }

        impl std::ops::BitOr for $name {
            type Output = $name;

            fn bitor(self, other: $name) -> $name {
                self.and(other)
            }
        }
    };
    (@consts $name:ident, $repr:ty, $n:expr, $(#[$doc:meta])* $flag:ident, $($rest:tt)*) => {
        $(#[$doc])*
        pub const $flag: $name = $name(1 << $n);
        bits!(@consts $name, $repr, $n + 1, $($rest)*);
    };
    (@consts $name:ident, $repr:ty, $n:expr,) => {};
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
    }
}

bits! {
    /// What a command does with a key; the words are those of COMMAND INFO.
    KeyFlags: u16 {
        /// Reads the value and may not change it.
        RO = "RO",
        /// Reads and changes the value.
        RW = "RW",
        /// Overwrites the value.
        OW = "OW",
        /// Deletes the key.
        RM = "RM",
        /// Returns or uses the value.
        ACCESS = "access",
        /// Changes the value depending on what it was.
        UPDATE = "update",
        /// Adds data.
        INSERT = "insert",
        /// Deletes data.
        DELETE = "delete",
        /// Is no key, but is routed like one.
        NOT_KEY = "not_key",
        /// The specification may miss keys.
        INCOMPLETE = "incomplete",
        /// The flags depend on the arguments.
        VARIABLE_FLAGS = "variable_flags",
    }
}

/// Where keys are among the arguments (the key specifications of Redis 7).
#[derive(Debug, Clone, Copy)]
pub struct KeySpec {
    /// What is done with them.
    pub flags: KeyFlags,
    /// Where the search begins.
    pub begin: Begin,
    /// How many there are from there.
    pub find: Find,
    /// A remark for COMMAND INFO.
    pub notes: &'static str,
}

/// Where the search for keys begins.
#[derive(Debug, Clone, Copy)]
pub enum Begin {
    /// At an argument.
    Index(usize),
    /// After a word, searched from an argument on (from the end, if negative).
    Keyword(&'static str, i32),
}

/// Which arguments are keys, counted from the beginning.
#[derive(Debug, Clone, Copy)]
pub enum Find {
    /// From the first to `last` (negative: from the end), every `step`; `limit` of 2 and
    /// more takes only that part of the arguments that remain.
    Range {
        /// Distance of the last key, or from the end if negative.
        last: i32,
        /// Distance between keys.
        step: usize,
        /// Divisor of the remaining arguments.
        limit: usize,
    },
    /// An argument says how many keys follow.
    Count {
        /// Where the number is, from the beginning.
        number: usize,
        /// Where the first key is, from the beginning.
        first: usize,
        /// Distance between keys.
        step: usize,
    },
}

impl KeySpec {
    /// One key at an argument.
    pub const fn one(index: usize, flags: KeyFlags) -> KeySpec {
        KeySpec::range(index, 0, 1, flags)
    }

    /// Keys from an argument to `last`, every `step`.
    pub const fn range(index: usize, last: i32, step: usize, flags: KeyFlags) -> KeySpec {
        KeySpec {
            flags,
            begin: Begin::Index(index),
            find: Find::Range { last, step, limit: 0 },
            notes: "",
        }
    }

    /// A number at an argument, and that many keys after it, every `step`.
    pub const fn counted(index: usize, step: usize, flags: KeyFlags) -> KeySpec {
        KeySpec {
            flags,
            begin: Begin::Index(index),
            find: Find::Count { number: 0, first: 1, step },
            notes: "",
        }
    }

    fn first(&self, args: &[&[u8]]) -> Option<usize> {
        match self.begin {
            Begin::Index(index) => Some(index),
            Begin::Keyword(word, from) => {
                let is_word = |&at: &usize| args[at].eq_ignore_ascii_case(word.as_bytes());
                let found = if from >= 0 {
                    (from as usize..args.len().saturating_sub(1)).find(is_word)
                } else {
                    let end = args.len().checked_sub(from.unsigned_abs() as usize)?;
                    (1..=end).rev().find(is_word)
                };
                found.map(|at| at + 1)
            }
        }
    }

    /// The positions of the keys; `None` if there are none.
    pub fn positions(
        &self,
        args: &[&[u8]],
    ) -> Result<Option<std::iter::StepBy<std::ops::RangeInclusive<usize>>>, InvalidKeys> {
        let Some(first) = self.first(args) else { return Ok(None) };
        let (first, last, step) = match self.find {
            Find::Range { last, step, limit } => {
                let last = if last >= 0 {
                    first + last as usize
                } else if limit <= 1 {
                    args.len().checked_sub(last.unsigned_abs() as usize).ok_or(InvalidKeys)?
                } else {
                    first + (args.len() - first.min(args.len())) / limit - 1
                };
                (first, last, step)
            }
            Find::Count { number, first: offset, step } => {
                let number = *args.get(first + number).ok_or(InvalidKeys)?;
                let number = ebb_types::number::parse_i64(number).ok_or(InvalidKeys)?;
                let number = usize::try_from(number).map_err(|_| InvalidKeys)?;
                if number == 0 {
                    return Ok(None);
                }
                let first = first + offset;
                let span = (number - 1).checked_mul(step).ok_or(InvalidKeys)?;
                (first, first.checked_add(span).ok_or(InvalidKeys)?, step)
            }
        };
        if last >= args.len() || last < first {
            return Err(InvalidKeys);
        }
        Ok(Some((first..=last).step_by(step)))
    }
}

/// One argument in a command's syntax, as COMMAND DOCS shows it.
#[derive(Debug, Clone, Copy)]
pub struct Argument {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: ArgumentKind,
    /// A literal word before it (or, for [`ArgumentKind::Token`], alone).
    pub token: Option<&'static str>,
    /// Index of the key specification, for keys.
    pub key_spec: Option<usize>,
    /// May be left out.
    pub optional: bool,
    /// May be repeated.
    pub multiple: bool,
    /// The word is repeated with it.
    pub multiple_token: bool,
    /// The version that added it.
    pub since: Option<&'static str>,
}

/// The types of arguments.
#[derive(Debug, Clone, Copy)]
pub enum ArgumentKind {
    /// Text.
    String,
    /// A whole number.
    Integer,
    /// A number.
    Double,
    /// A key.
    Key,
    /// A glob pattern.
    Pattern,
    /// Seconds or milliseconds since 1970.
    UnixTime,
    /// A word.
    Token,
    /// One of several.
    OneOf(&'static [Argument]),
    /// Several together.
    Block(&'static [Argument]),
}

impl Argument {
    /// An argument of a kind.
    pub const fn new(name: &'static str, kind: ArgumentKind) -> Argument {
        Argument {
            name,
            kind,
            token: None,
            key_spec: None,
            optional: false,
            multiple: false,
            multiple_token: false,
            since: None,
        }
    }

    /// A key, found by a key specification.
    pub const fn key(name: &'static str, key_spec: usize) -> Argument {
        let mut argument = Argument::new(name, ArgumentKind::Key);
        argument.key_spec = Some(key_spec);
        argument
    }

    /// Text.
    pub const fn string(name: &'static str) -> Argument {
        Argument::new(name, ArgumentKind::String)
    }

    /// A whole number.
    pub const fn integer(name: &'static str) -> Argument {
        Argument::new(name, ArgumentKind::Integer)
    }

    /// A word of its own.
    pub const fn word(name: &'static str, token: &'static str) -> Argument {
        let mut argument = Argument::new(name, ArgumentKind::Token);
        argument.token = Some(token);
        argument
    }

    /// One of several.
    pub const fn one_of(name: &'static str, of: &'static [Argument]) -> Argument {
        Argument::new(name, ArgumentKind::OneOf(of))
    }

    /// Several together.
    pub const fn block(name: &'static str, of: &'static [Argument]) -> Argument {
        Argument::new(name, ArgumentKind::Block(of))
    }

    /// Preceded by a word.
    pub const fn after(mut self, token: &'static str) -> Argument {
        self.token = Some(token);
        self
    }

    /// That may be left out.
    pub const fn optional(mut self) -> Argument {
        self.optional = true;
        self
    }

    /// That may be repeated.
    pub const fn multiple(mut self) -> Argument {
        self.multiple = true;
        self
    }

    /// That may be repeated, each time with its word.
    pub const fn multiple_token(mut self) -> Argument {
        self.multiple_token = true;
        self
    }

    /// That a version added.
    pub const fn since(mut self, version: &'static str) -> Argument {
        self.since = Some(version);
        self
    }
}
