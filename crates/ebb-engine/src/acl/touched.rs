//! What a command touches: its keys with what is done to them, its channels, its databases.

use ebb_types::number::parse_i64;

use crate::spec::{Flags, KeyFlags};
use crate::table::Command;

const READS: KeyFlags = KeyFlags::RO.and(KeyFlags::ACCESS);
const OVERWRITES: KeyFlags = KeyFlags::OW.and(KeyFlags::UPDATE);
const READS_AND_WRITES: KeyFlags = KeyFlags::RW.and(KeyFlags::ACCESS).and(KeyFlags::UPDATE);

/// Calls `visit` with each key's position, which may be beyond the arguments if they are too few,
/// and flags. Where the flags depend on the arguments, or the key specifications miss keys, the
/// arguments are looked at.
pub fn each_key(command: &Command, args: &[&[u8]], mut visit: impl FnMut(usize, KeyFlags)) {
    match command.name {
        "set" => visit(1, if has_word(args, 3, b"get") { READS_AND_WRITES } else { OVERWRITES }),
        "bitfield" => visit(1, if only_gets(args) { READS } else { READS_AND_WRITES }),
        "migrate" => each_migrated_key(args, visit),
        _ => {
            // Arguments that name no keys are the command's to refuse: it touches none then.
            let _ = command.spec.each_key(args, |at, flags| {
                if !flags.has(KeyFlags::NOT_KEY) {
                    visit(at, flags);
                }
            });
        }
    }
}

fn has_word(args: &[&[u8]], from: usize, word: &[u8]) -> bool {
    args.iter().skip(from).any(|arg| arg.eq_ignore_ascii_case(word))
}

/// Whether BITFIELD does nothing but read.
fn only_gets(args: &[&[u8]]) -> bool {
    let mut at = 2;
    while at < args.len() {
        let left = args.len() - at - 1;
        at += match args[at].to_ascii_lowercase().as_slice() {
            b"get" if left >= 2 => 3,
            b"overflow" if left >= 1 => 2,
            _ => return false,
        };
    }
    true
}

/// MIGRATE host port key db timeout [COPY] [REPLACE] [AUTH password] [AUTH2 user password]
/// [KEYS key ...]: the keys are behind KEYS if the fourth word is empty.
fn each_migrated_key(args: &[&[u8]], mut visit: impl FnMut(usize, KeyFlags)) {
    let flags = READS_AND_WRITES.and(KeyFlags::DELETE);
    let mut at = 6;
    while at < args.len() {
        at += match args[at].to_ascii_lowercase().as_slice() {
            b"auth" => 2,
            b"auth2" => 3,
            b"keys" if args.get(3).is_some_and(|key| key.is_empty()) => {
                (at + 1..args.len()).for_each(|at| visit(at, flags));
                return;
            }
            _ => 1,
        };
    }
    if args.len() > 3 {
        visit(3, flags);
    }
}

/// The positions of the channels that a command subscribes or publishes to, and whether they are
/// patterns. Leaving a channel is always allowed.
pub(super) fn channels(command: &Command, args: &[&[u8]]) -> (std::ops::Range<usize>, bool) {
    match command.name {
        "subscribe" | "ssubscribe" => (1..args.len(), false),
        "psubscribe" => (1..args.len(), true),
        "publish" | "spublish" => (1..2.min(args.len()), false),
        _ => (0..0, false),
    }
}

/// The databases that a command touches.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Databases {
    /// None, or these: the argument that names it, 0 for the one that is selected, and its number.
    Some(Vec<(usize, usize)>),
    /// All there are.
    All,
}

/// The databases that a command touches when `current` is selected. Numbers that are none are
/// the command's to refuse.
pub(super) fn databases(command: &Command, args: &[&[u8]], current: usize) -> Databases {
    let number = |at: usize| {
        let number = args.get(at).and_then(|arg| parse_i64(arg));
        number.and_then(|number| usize::try_from(number).ok()).map(|number| (at, number))
    };
    let flags = command.spec.flags;
    let on_data = flags.has(Flags::WRITE) || flags.has(Flags::READONLY);
    let touches_current = !flags.has(Flags::PUBSUB) && (on_data || !command.spec.keys.is_empty());
    let mut touched = match command.name {
        "flushall" => return Databases::All,
        "select" => return Databases::Some(number(1).into_iter().collect()),
        "swapdb" => {
            return Databases::Some([number(1), number(2)].into_iter().flatten().collect());
        }
        "move" => number(2).into_iter().collect(),
        "copy" => {
            let named = (3..args.len()).filter(|at| args[*at].eq_ignore_ascii_case(b"db"));
            named.filter_map(|at| number(at + 1)).collect()
        }
        _ => Vec::new(),
    };
    if touches_current {
        touched.push((0, current));
    }
    Databases::Some(touched)
}
