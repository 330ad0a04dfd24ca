//! The command table: from a name to its specification.

use std::collections::HashMap;

use crate::absent;
use crate::spec::{CommandSpec, Flags};

/// A command or subcommand in the table.
#[derive(Debug)]
pub struct Command {
    /// Its row.
    pub spec: &'static CommandSpec,
    /// Its full name: `get`, `config|get`.
    pub name: &'static str,
    /// Its place in [`CommandTable::all`] and in the statistics.
    pub number: usize,
    /// Subcommands.
    pub subcommands: Vec<&'static Command>,
    /// Its container.
    pub parent: Option<&'static CommandSpec>,
    /// The position of its key, if it has one key and no more: the common case.
    pub single_key: Option<usize>,
    /// It takes so little time that several in a row are timed together.
    pub is_quick: bool,
    /// It needs about as much memory as it has bytes, not many times more.
    pub grows_by_its_size: bool,
}

impl Command {
    /// It is EXEC, or runs a script.
    pub(crate) fn may_run_others(&self) -> bool {
        self.spec.scope == crate::spec::Scope::Growing || self.name == "exec"
    }
}

/// The folded name, the name, and what it names.
type Row = (u64, &'static str, &'static Command);

/// All commands of a server, by name.
#[derive(Debug)]
pub struct CommandTable {
    all: Vec<&'static Command>,
    top: Vec<&'static Command>,
    /// Open addressing; a power of two rows, at most half full.
    rows: Box<[Option<Row>]>,
}

/// Names are compared without case: letters fold with the bit 0x20, and so that no other
/// characters need a branch, all of them do.
#[inline]
fn fold(name: &[u8]) -> u64 {
    let mut hash = name.len() as u64;
    let mut chunks = name.chunks_exact(8);
    let mut mix = |word: u64| {
        hash = (hash ^ (word | 0x2020_2020_2020_2020)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash ^= hash >> 29;
    };
    for chunk in &mut chunks {
        if let Some(word) = chunk.first_chunk() {
            mix(u64::from_le_bytes(*word));
        }
    }
    mix(short_word(chunks.remainder()));
    hash
}

/// Up to seven bytes as a number, without a call to copy them.
#[inline]
fn short_word(bytes: &[u8]) -> u64 {
    match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        (Some(first), Some(last)) => {
            u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last))
        }
        _ => bytes.iter().fold(0, |word, &byte| word << 8 | u64::from(byte)),
    }
}

/// Tables are built at the start and live as long as the process, as do commands and names.
fn forever<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

impl CommandTable {
    /// A table of these commands. `renamed` holds pairs of a name and its new name, which is
    /// empty for a command that is to be disabled; an unknown name is an error.
    pub fn new(
        specs: &[&'static CommandSpec],
        renamed: &[(String, String)],
    ) -> Result<CommandTable, String> {
        let mut all = Vec::new();
        let top: Vec<_> = specs.iter().map(|&spec| add(&mut all, spec, None)).collect();
        let mut names: HashMap<&'static str, &'static Command> =
            top.iter().map(|&command| (command.name, command)).collect();
        for (from, to) in renamed {
            let from = from.to_ascii_lowercase();
            let Some(command) = names.remove(from.as_str()) else {
                if absent::is_known(from.as_bytes()) {
                    continue; // It stays away under any name.
                }
                return Err("No such command in rename-command".into());
            };
            if !to.is_empty() {
                let to: &'static str = forever(to.to_ascii_lowercase());
                if names.insert(to, command).is_some() {
                    return Err("Target command name already exists".into());
                }
            }
        }
        let size = (names.len() * 2).next_power_of_two();
        let mut rows = vec![None; size].into_boxed_slice();
        for (name, command) in names {
            let hash = fold(name.as_bytes());
            let mut at = hash as usize & (size - 1);
            while rows[at].is_some() {
                at = (at + 1) & (size - 1);
            }
            rows[at] = Some((hash, name, command));
        }
        Ok(CommandTable { all, top, rows })
    }

    /// The command with a name, in any case.
    #[inline]
    pub fn find(&self, name: &[u8]) -> Option<&'static Command> {
        let hash = fold(name);
        let mut at = hash as usize & (self.rows.len() - 1);
        while let Some((other, known, command)) = self.rows[at] {
            if other == hash && known.as_bytes().eq_ignore_ascii_case(name) {
                return Some(command);
            }
            at = (at + 1) & (self.rows.len() - 1);
        }
        None
    }

    /// The command that `args` call: the subcommand, if the name is a container's.
    #[inline]
    pub fn resolve(&self, args: &[&[u8]]) -> Resolved {
        let Some(command) = self.find(args[0]) else { return Resolved::Unknown };
        if command.subcommands.is_empty() || args.len() < 2 {
            return Resolved::Command(command);
        }
        let is_named =
            |sub: &&&'static Command| sub.spec.name.as_bytes().eq_ignore_ascii_case(args[1]);
        match command.subcommands.iter().find(is_named) {
            Some(sub) => Resolved::Command(sub),
            None => Resolved::UnknownSubcommand(command),
        }
    }

    /// The command with a full name such as `config|get`.
    pub fn by_full_name(&self, name: &[u8]) -> Option<&'static Command> {
        let mut parts = name.splitn(2, |&byte| byte == b'|');
        let command = self.find(parts.next()?)?;
        match parts.next() {
            None => Some(command),
            Some(sub) => command
                .subcommands
                .iter()
                .copied()
                .find(|command| command.spec.name.as_bytes().eq_ignore_ascii_case(sub)),
        }
    }

    /// All commands and subcommands, by number.
    pub fn all(&self) -> &[&'static Command] {
        &self.all
    }

    /// Commands that are not subcommands.
    pub fn top(&self) -> &[&'static Command] {
        &self.top
    }
}

/// What [`CommandTable::resolve`] found.
#[derive(Debug, Clone, Copy)]
pub enum Resolved {
    /// This.
    Command(&'static Command),
    /// No such command.
    Unknown,
    /// The container has no such subcommand.
    UnknownSubcommand(&'static Command),
}

/// Commands whose need of memory shows in their size. Others may grow a value at a stroke, or
/// copy one: before them memory is summed up.
const GROW_BY_THEIR_SIZE: [&str; 20] = [
    "decr", "decrby", "getset", "hincrby", "hset", "incr", "incrby", "linsert", "lpush", "mset",
    "msetnx", "pfadd", "psetex", "rpush", "sadd", "set", "setex", "setnx", "zadd", "zincrby",
];

fn add(
    all: &mut Vec<&'static Command>,
    spec: &'static CommandSpec,
    parent: Option<&'static CommandSpec>,
) -> &'static Command {
    use crate::spec::{Begin, Find};
    let single_key = match spec.keys {
        [key] => match (key.begin, key.find) {
            (Begin::Index(at), Find::Range { last: 0, .. }) => Some(at),
            _ => None,
        },
        _ => None,
    };
    let name: &'static str = match parent {
        Some(parent) => forever(format!("{}|{}", parent.name, spec.name)),
        None => spec.name,
    };
    let subs: Vec<_> = spec.subcommands.iter().map(|sub| add(all, sub, Some(spec))).collect();
    let number = all.len();
    let on_a_key = !spec.keys.is_empty() && spec.complexity == "O(1)";
    let is_quick = on_a_key || spec.flags.has(Flags::FAST);
    let grows_by_its_size = GROW_BY_THEIR_SIZE.contains(&name);
    let command = Command {
        spec,
        name,
        number,
        subcommands: subs,
        parent,
        single_key,
        is_quick,
        grows_by_its_size,
    };
    let command = forever(command);
    all.push(command);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    static GET: CommandSpec = CommandSpec { name: "get", arity: 2, ..CommandSpec::NEW };
    static CONFIG: CommandSpec = CommandSpec {
        name: "config",
        arity: -2,
        subcommands: &[CommandSpec { name: "get", arity: -3, ..CommandSpec::NEW }],
        ..CommandSpec::NEW
    };

    #[test]
    fn names_are_found_in_any_case() {
        let table = CommandTable::new(&[&GET, &CONFIG], &[]).unwrap();
        assert_eq!(table.find(b"gEt").unwrap().name, "get");
        assert!(table.find(b"ge").is_none());
        assert!(table.find(b"").is_none());
        assert!(
            matches!(table.resolve(&[b"CONFIG", b"GET"]), Resolved::Command(c) if c.name == "config|get")
        );
        assert!(matches!(table.resolve(&[b"config", b"x"]), Resolved::UnknownSubcommand(_)));
        assert_eq!(table.by_full_name(b"Config|Get").unwrap().name, "config|get");
    }

    #[test]
    fn commands_are_renamed_and_disabled() {
        let renamed = [("GET".into(), "fetch".into()), ("config".into(), String::new())];
        let table = CommandTable::new(&[&GET, &CONFIG], &renamed).unwrap();
        assert!(table.find(b"get").is_none() && table.find(b"config").is_none());
        assert_eq!(table.find(b"FETCH").unwrap().name, "get");
        assert!(CommandTable::new(&[&GET], &[("nothing".into(), "x".into())]).is_err());
        // Redis has it, so a configuration may name it.
        assert!(CommandTable::new(&[&GET], &[("BGSAVE".into(), "x".into())]).is_ok());
    }
}
