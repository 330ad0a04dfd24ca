//! The filters of CLIENT LIST and CLIENT KILL.

use std::mem::discriminant;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ebb_engine::{Client, CommandError, Context};
use ebb_types::number::parse_i64;

use super::list::flags_of;

/// The letters that FLAGS takes; some stand for what no client of this version can be.
const FLAGS: &[u8] = b"OSMPxbtRBdcuAUreTIiEN";

/// One condition.
enum Test {
    Id(Vec<u64>),
    Type(Class),
    User(Vec<u8>),
    Address(String),
    LocalAddress(String),
    Ip(String),
    Name(String),
    LibName(String),
    LibVersion(String),
    Db(usize),
    Flags(String),
    /// At least so many seconds old.
    Age(i64),
    /// Idle for at least so many seconds.
    Idle(i64),
}

/// Classes of clients; of the others there are none in this version.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Normal,
    Pubsub,
    Other,
}

/// All conditions; with each, whether it is to hold or not to hold.
pub(super) struct Filter {
    tests: Vec<(Test, bool)>,
    /// Leave the client that asks alone.
    pub(super) skip_me: bool,
}

fn text(arg: &[u8]) -> String {
    String::from_utf8_lossy(arg).into_owned()
}

impl Filter {
    /// One client by its address.
    pub(super) fn address(address: &[u8]) -> Filter {
        Filter { tests: vec![(Test::Address(text(address)), true)], skip_me: false }
    }

    /// The filter that the arguments from `at` on describe.
    pub(super) fn parse(
        ctx: &Context<'_>,
        mut at: usize,
        skip_me: bool,
    ) -> Result<Filter, CommandError> {
        let mut filter = Filter { tests: Vec::new(), skip_me };
        while at < ctx.args.len() {
            let word = ctx.arg(at).to_ascii_uppercase();
            let Some(&value) = ctx.args.get(at + 1) else { return Err(CommandError::Syntax) };
            at += 2;
            if word == b"SKIPME" {
                filter.skip_me = match value.to_ascii_lowercase().as_slice() {
                    b"yes" => true,
                    b"no" => false,
                    _ => return Err(CommandError::Syntax),
                };
                continue;
            }
            let (word, wanted) = match word.strip_prefix(b"NOT-") {
                Some(word) => (word, false),
                None => (word.as_slice(), true),
            };
            let test = if word == b"ID" {
                let mut ids = vec![parse_id(value, skip_me, wanted)?];
                while let Some(value) = ctx.args.get(at).filter(|arg| parse_i64(arg).is_some()) {
                    ids.push(parse_id(value, skip_me, wanted)?);
                    at += 1;
                }
                Test::Id(ids)
            } else {
                Test::parse(ctx, word, value, wanted)?
            };
            filter.add(test, wanted);
        }
        Ok(filter)
    }

    /// Adds a condition. Numbers of clients add up; of another kind the last one counts.
    fn add(&mut self, mut test: Test, wanted: bool) {
        let alike = |(other, wants): &(Test, bool)| {
            discriminant(other) == discriminant(&test) && *wants == wanted
        };
        if let Some(at) = self.tests.iter().position(alike) {
            let (earlier, _) = self.tests.swap_remove(at);
            if let (Test::Id(ids), Test::Id(more)) = (&mut test, earlier) {
                ids.extend(more);
            }
        }
        self.tests.push((test, wanted));
    }

    /// Whether a client passes.
    pub(super) fn passes(&self, client: &Arc<Client>, now_ms: i64) -> bool {
        self.tests.iter().all(|(test, wanted)| test.holds(client, now_ms) == *wanted)
    }
}

fn invalid_id() -> CommandError {
    CommandError::new("ERR client-id should be greater than 0")
}

/// A client's number. Of that for CLIENT LIST's ID, Redis only says whether it is one; 0 is nobody's.
fn parse_id(value: &[u8], kills: bool, wanted: bool) -> Result<u64, CommandError> {
    let id = parse_i64(value);
    if !kills && wanted {
        let id = id.ok_or(CommandError::new("ERR Invalid client ID"))?;
        return Ok(u64::try_from(id).unwrap_or(0));
    }
    id.and_then(|id| u64::try_from(id).ok()).filter(|&id| id > 0).ok_or_else(invalid_id)
}

impl Test {
    /// The condition that a word and its value name; `wanted` is whether it is to hold.
    fn parse(
        ctx: &Context<'_>,
        word: &[u8],
        value: &[u8],
        wanted: bool,
    ) -> Result<Test, CommandError> {
        let not = if wanted { "" } else { "NOT-" };
        Ok(match word {
            b"TYPE" => Test::Type(parse_class(value)?),
            b"USER" if ctx.server.acl.user(value).is_some() => Test::User(value.to_vec()),
            b"USER" => return refuse(format!("No such user '{}'", text(value))),
            b"ADDR" => Test::Address(text(value)),
            b"LADDR" => Test::LocalAddress(text(value)),
            b"IP" => Test::Ip(text(value)),
            b"NAME" => Test::Name(text(value)),
            b"LIB-NAME" => Test::LibName(text(value)),
            b"LIB-VER" => Test::LibVersion(text(value)),
            b"FLAGS" if value.iter().all(|flag| FLAGS.contains(flag)) => Test::Flags(text(value)),
            b"FLAGS" => {
                let filter = if wanted { "provided" } else { "NOT-FLAGS" };
                return refuse(format!(
                    "Unknown flags found in the {filter} filter: {}",
                    text(value)
                ));
            }
            b"DB" => Test::Db(parse_db(ctx, value, not)?),
            b"MAXAGE" => Test::Age(parse_seconds(value, "maxage")?),
            b"IDLE" => Test::Idle(parse_seconds(value, "idle")?),
            _ => return Err(CommandError::Syntax),
        })
    }

    fn holds(&self, client: &Client, now_ms: i64) -> bool {
        let names = || client.names.lock().clone();
        match self {
            Test::Id(ids) => ids.contains(&client.id),
            Test::Type(class) => match client.is_subscribed() {
                true => *class == Class::Pubsub,
                false => *class == Class::Normal,
            },
            Test::User(user) => *names().user == user[..],
            Test::Address(address) => client.address == *address,
            Test::LocalAddress(address) => client.local_address == *address,
            Test::Ip(ip) => client.address.rsplit_once(':').is_some_and(|(host, _)| {
                let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
                bracketed.unwrap_or(host) == ip
            }),
            Test::Name(name) => names().name == *name,
            Test::LibName(name) => names().lib_name == *name,
            Test::LibVersion(version) => names().lib_version == *version,
            Test::Db(db) => client.figures.db.load(Ordering::Relaxed) == *db,
            Test::Flags(flags) => {
                let has = flags_of(client);
                flags.chars().all(|flag| has.contains(flag))
            }
            Test::Age(seconds) => now_ms - client.created_ms >= seconds * 1000,
            Test::Idle(seconds) => {
                now_ms - client.figures.last_active_ms.load(Ordering::Relaxed) >= seconds * 1000
            }
        }
    }
}

fn refuse<T>(text: String) -> Result<T, CommandError> {
    Err(CommandError::new(format!("ERR {text}")))
}

fn parse_seconds(value: &[u8], word: &str) -> Result<i64, CommandError> {
    match parse_i64(value) {
        Some(seconds) if seconds > 0 => Ok(seconds),
        Some(_) => refuse(format!("{word} should be greater than 0")),
        None => refuse(format!("{word} is not an integer or out of range")),
    }
}

fn parse_db(ctx: &Context<'_>, value: &[u8], not: &str) -> Result<usize, CommandError> {
    let Some(db) = parse_i64(value).and_then(|db| i32::try_from(db).ok()) else {
        return refuse(format!("{not}DB is not an integer or out of range"));
    };
    let databases = ctx.server.keyspace.databases();
    match usize::try_from(db) {
        Ok(db) if db < databases => Ok(db),
        _ => refuse(format!("{not}DB number should be between 0 and {}", databases - 1)),
    }
}

fn parse_class(value: &[u8]) -> Result<Class, CommandError> {
    match value.to_ascii_lowercase().as_slice() {
        b"normal" => Ok(Class::Normal),
        b"pubsub" => Ok(Class::Pubsub),
        b"master" | b"primary" | b"slave" | b"replica" => Ok(Class::Other),
        _ => refuse(format!("Unknown client type '{}'", text(value))),
    }
}
