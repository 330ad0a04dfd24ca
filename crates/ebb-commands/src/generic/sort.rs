//! SORT, SORT_RO: the elements of a list, set or sorted set in another order.

use std::cmp::Ordering;

use ebb_collections::{End, Form, ListMut, MemorySlot};
use ebb_engine::collections::list_fill;
use ebb_engine::{
    Argument, ArgumentKind, Begin, Categories, CommandError, CommandResult, CommandSpec, Context,
    Event, Find, Flags, KeyFlags, KeySpec, Scope,
};
use ebb_keyspace::{Entry, Type, ValueRef};
use ebb_types::float::parse_f64;

const ARGUMENTS: [Argument; 6] = [
    Argument::key("key", 0),
    Argument::new("by-pattern", ArgumentKind::Pattern).after("BY").optional().key_spec(1),
    Argument::block("limit", &[Argument::integer("offset"), Argument::integer("count")])
        .after("LIMIT")
        .optional(),
    Argument::new("get-pattern", ArgumentKind::Pattern)
        .after("GET")
        .optional()
        .multiple()
        .multiple_token()
        .key_spec(1),
    Argument::one_of("order", &[Argument::word("asc", "ASC"), Argument::word("desc", "DESC")])
        .optional(),
    Argument::word("sorting", "ALPHA").optional(),
];

const PATTERNS: KeySpec = KeySpec {
    flags: KeyFlags::RO.and(KeyFlags::ACCESS),
    begin: Begin::Custom(|_| None),
    find: Find::Range { last: 0, step: 1, limit: 0 },
    notes: "For the optional BY/GET keyword. It is marked 'unknown' because the key names derive \
            from the content of the key we sort",
};

const TARGET: KeySpec = KeySpec {
    flags: KeyFlags::OW.and(KeyFlags::UPDATE),
    begin: Begin::Custom(target),
    find: Find::Range { last: 0, step: 1, limit: 0 },
    notes: "For the optional STORE keyword. It is marked 'unknown' because the keyword can appear \
            anywhere in the argument array",
};

pub(super) static SORT: CommandSpec = CommandSpec {
    name: "sort",
    summary: "Sorts the elements of a list, set or sorted set; may store the result.",
    since: "1.0.0",
    complexity: "O(N+M*log(M)) for N elements and M returned.",
    arity: -2,
    flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::MOVABLEKEYS),
    acl: Categories::SET
        .and(Categories::SORTEDSET)
        .and(Categories::LIST)
        .and(Categories::DANGEROUS),
    keys: &[KeySpec::one(1, KeyFlags::RO.and(KeyFlags::ACCESS)), PATTERNS, TARGET],
    // Which keys the patterns name is known only while it runs.
    scope: Scope::All,
    arguments: &[
        ARGUMENTS[0],
        ARGUMENTS[1],
        ARGUMENTS[2],
        ARGUMENTS[3],
        ARGUMENTS[4],
        ARGUMENTS[5],
        Argument::key("destination", 2).after("STORE").optional(),
    ],
    run: |ctx| run(ctx, true),
    ..CommandSpec::NEW
};

pub(super) static SORT_RO: CommandSpec = CommandSpec {
    name: "sort_ro",
    summary: "Sorts the elements of a list, set or sorted set.",
    since: "7.0.0",
    complexity: "O(N+M*log(M)) for N elements and M returned.",
    arity: -2,
    flags: Flags::READONLY.and(Flags::MOVABLEKEYS),
    acl: Categories::SET
        .and(Categories::SORTEDSET)
        .and(Categories::LIST)
        .and(Categories::DANGEROUS),
    keys: &[KeySpec::one(1, KeyFlags::RO.and(KeyFlags::ACCESS)), PATTERNS],
    scope: Scope::All,
    arguments: &ARGUMENTS,
    run: |ctx| run(ctx, false),
    ..CommandSpec::NEW
};

/// The position of the key behind the last STORE.
fn target(args: &[&[u8]]) -> Option<usize> {
    let (mut at, mut found) = (2, None);
    while at < args.len() {
        let is = |word: &str| args[at].eq_ignore_ascii_case(word.as_bytes());
        at += match () {
            () if is("LIMIT") => 2,
            () if is("GET") || is("BY") => 1,
            () if is("STORE") && at + 1 < args.len() => {
                found = Some(at + 1);
                1
            }
            () => 0,
        } + 1;
    }
    found
}

#[derive(Default)]
struct Options<'a> {
    descending: bool,
    alpha: bool,
    /// First element, and how many; negative: all.
    limit: Option<(i64, i64)>,
    by: Option<&'a [u8]>,
    /// The pattern without a `*`: elements stay as they are.
    unsorted: bool,
    get: Vec<&'a [u8]>,
    store: Option<usize>,
}

fn parse<'a>(ctx: &mut Context<'a>, may_store: bool) -> Result<Options<'a>, CommandError> {
    let mut options = Options::default();
    let mut at = 2;
    while at < ctx.args.len() {
        let more = ctx.args.len() - 1 - at;
        match () {
            () if ctx.is_word(at, "ASC") => options.descending = false,
            () if ctx.is_word(at, "DESC") => options.descending = true,
            () if ctx.is_word(at, "ALPHA") => options.alpha = true,
            () if ctx.is_word(at, "LIMIT") && more >= 2 => {
                options.limit = Some((ctx.int(at + 1)?, ctx.int(at + 2)?));
                at += 2;
            }
            () if may_store && ctx.is_word(at, "STORE") && more >= 1 => {
                options.store = Some(at + 1);
                at += 1;
            }
            () if ctx.is_word(at, "BY") && more >= 1 => {
                options.by = Some(ctx.arg(at + 1));
                options.unsorted |= !ctx.arg(at + 1).contains(&b'*');
                if !options.unsorted {
                    check_patterns(ctx, "BY")?;
                }
                at += 1;
            }
            () if ctx.is_word(at, "GET") && more >= 1 => {
                check_patterns(ctx, "GET")?;
                options.get.push(ctx.arg(at + 1));
                at += 1;
            }
            () => return Err(CommandError::Syntax),
        }
        at += 1;
    }
    Ok(options)
}

/// Refuses patterns to users who may not read every key, since the keys are not known before.
fn check_patterns(ctx: &mut Context<'_>, option: &str) -> CommandResult {
    if ctx.may_read_every_key() {
        return Ok(());
    }
    Err(CommandError::new(format!(
        "ERR {option} option of SORT denied due to insufficient ACL permissions."
    )))
}

/// The elements in the order in which they are kept; of an unsorted sorted set, in the wanted
/// direction.
fn elements(ctx: &mut Context<'_>, descending: bool) -> Result<(Vec<Vec<u8>>, Type), CommandError> {
    let key = ctx.key(1);
    // The elements, and once more with what they are sorted by.
    ctx.require_copies([ctx.key(1), ctx.key(1)])?;
    let Some(entry) = ctx.read(&key) else { return Ok((Vec::new(), Type::List)) };
    let mut all = Vec::new();
    let kind = entry.value_type();
    if let Some(list) = entry.list() {
        list.walk(0, |item| {
            all.push(item.to_vec());
            true
        });
    } else if let Some(set) = entry.set() {
        all = set.to_vec();
    } else if let Some(set) = entry.sorted_set() {
        let visit = |member: &[u8], _| {
            all.push(member.to_vec());
            true
        };
        match descending {
            true => set.walk_back(set.len(), visit),
            false => set.walk(0, visit),
        }
    } else {
        return Err(CommandError::WrongType);
    }
    Ok((all, kind))
}

/// What a pattern names for an element: the element for `#`, else the string, or the field of a
/// hash (`name_*->field`), of the key that results when the element takes the place of `*`.
fn look_up(ctx: &mut Context<'_>, pattern: &[u8], element: &[u8]) -> Option<Vec<u8>> {
    if pattern == b"#" {
        return Some(element.to_vec());
    }
    let star = pattern.iter().position(|&byte| byte == b'*')?;
    let rest = &pattern[star + 1..];
    let arrow = rest.windows(2).position(|pair| pair == b"->");
    let (tail, field) = match arrow.filter(|at| at + 2 < rest.len()) {
        Some(at) => (&rest[..at], Some(&rest[at + 2..])),
        None => (rest, None),
    };
    let name = [&pattern[..star], element, tail].concat();
    let key = ctx.server.keyspace.key(&name);
    let now_ms = ctx.now_ms;
    let entry = ctx.read(&key)?;
    match field {
        Some(field) => {
            let found = entry.hash()?.get(field).filter(|field| !field.is_due(now_ms))?;
            Some(found.value.to_vec())
        }
        None => match entry.value() {
            ValueRef::String(value) => Some(value.to_vec()),
            _ => None,
        },
    }
}

/// An element with what it is sorted by.
struct Weighed {
    element: Vec<u8>,
    number: f64,
    text: Option<Vec<u8>>,
}

/// A weight as C's `strtod` reads it: a NUL is the end, blanks may come first, and nothing is 0.
fn weight(text: &[u8]) -> Option<f64> {
    let end = text.iter().position(|&byte| byte == 0).unwrap_or(text.len());
    let is_blank = |byte: &u8| byte.is_ascii_whitespace() || *byte == b'\x0b';
    let start = text[..end].iter().take_while(|byte| is_blank(byte)).count();
    if end == 0 { Some(0.0) } else { parse_f64(&text[start..end]).filter(|n| !n.is_nan()) }
}

fn sort(
    ctx: &mut Context<'_>,
    all: Vec<Vec<u8>>,
    options: &Options<'_>,
) -> Result<Vec<Vec<u8>>, CommandError> {
    let mut weighed = Vec::with_capacity(all.len());
    for element in all {
        let by = options.by.map(|pattern| look_up(ctx, pattern, &element));
        let mut one = Weighed { element, number: 0.0, text: None };
        if options.alpha {
            // What is stored is the same wherever it is.
            let key = |text: &[u8]| match options.store {
                None => (ctx.server.host.collation_key)(text),
                Some(_) => None,
            };
            one.text = match by {
                Some(by) => by.map(|text| key(&text).unwrap_or(text)),
                None => key(&one.element),
            };
        } else {
            let text = match &by {
                None => Some(one.element.as_slice()),
                Some(by) => by.as_deref(),
            };
            if let Some(text) = text {
                one.number = weight(text).ok_or(CommandError::new(
                    "ERR One or more scores can't be converted into double",
                ))?;
            }
        }
        weighed.push(one);
    }
    weighed.sort_unstable_by(|a, b| {
        let order = match options.alpha {
            false => a.number.partial_cmp(&b.number).unwrap_or(Ordering::Equal),
            true => a.text.cmp(&b.text),
        };
        let order = order.then_with(|| a.element.cmp(&b.element));
        if options.descending { order.reverse() } else { order }
    });
    Ok(weighed.into_iter().map(|one| one.element).collect())
}

fn run(ctx: &mut Context<'_>, may_store: bool) -> CommandResult {
    let mut options = parse(ctx, may_store)?;
    let (mut all, kind) = elements(ctx, options.unsorted && options.descending)?;
    let must_repeat = options.store.is_some() || ctx.session.in_script;
    if options.unsorted && kind == Type::Set && must_repeat {
        // What is stored, or what a script sees, must not depend on the order of a hash table.
        (options.unsorted, options.alpha, options.by) = (false, true, None);
    }
    if !options.unsorted {
        all = sort(ctx, all, &options)?;
    }
    let (start, count) = options.limit.unwrap_or((0, -1));
    let start = usize::try_from(start).unwrap_or(0).min(all.len());
    let count = usize::try_from(count).unwrap_or(usize::MAX).min(all.len() - start);
    let mut output: Vec<Option<Vec<u8>>> = Vec::new();
    for element in all.drain(start..start + count) {
        if options.get.is_empty() {
            output.push(Some(element));
            continue;
        }
        for pattern in &options.get {
            output.push(look_up(ctx, pattern, &element));
        }
    }
    match options.store {
        Some(at) => store(ctx, at, &output),
        None => {
            ctx.reply.array(output.len());
            for element in output {
                match element {
                    Some(element) => ctx.reply.bulk(&element),
                    None => ctx.reply.null(),
                }
            }
            Ok(())
        }
    }
}

fn store(ctx: &mut Context<'_>, at: usize, output: &[Option<Vec<u8>>]) -> CommandResult {
    let key = ctx.key(at);
    if output.is_empty() {
        if ctx.remove(&key) {
            ctx.changed(&key, Event::generic("del"));
        }
        ctx.reply.integer(0);
        return Ok(());
    }
    let arenas = ctx.db(&key).arenas_of(key.bytes());
    let mut list = ListMut::new(MemorySlot::new(Form::List, arenas), list_fill(ctx.server));
    for element in output {
        list.push(End::Right, element.as_deref().unwrap_or_default())?;
    }
    let (form, bytes, grown) = list.into_slot().into_parts();
    let entry = Entry::build_collection(arenas.data, key.bytes(), None, form, &bytes, grown)?;
    let was_there = ctx.peek(&key).is_some();
    ctx.insert(ctx.session.db, &key, entry)?;
    let (event, changes) = (Event::list("sortstore"), output.len() as u64);
    match was_there {
        true => ctx.replaced(&key, event, changes),
        false => ctx.changed_many(&key, event, changes),
    }
    ctx.reply.count(output.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::weight;
    use crate::testing::Client;

    #[test]
    fn weights_are_read_as_in_c() {
        assert_eq!(weight(b""), Some(0.0));
        assert_eq!(weight(b"\0x"), Some(0.0));
        assert_eq!(weight(b"\x0b 2\0x"), Some(2.0));
        assert_eq!(weight(b" "), None);
        assert_eq!(weight(b"nan"), None);
    }

    fn array(items: &[&str]) -> String {
        let items = items.iter().map(|item| format!("${}\r\n{item}\r\n", item.len()));
        format!("*{}\r\n{}", items.len(), items.collect::<String>())
    }

    #[test]
    fn numbers_and_words_are_sorted() {
        let mut client = Client::new();
        client.say("RPUSH l 3 1 10 2");
        assert_eq!(client.say("SORT l"), array(&["1", "2", "3", "10"]));
        assert_eq!(client.say("SORT l DESC LIMIT 1 2"), array(&["3", "2"]));
        assert_eq!(client.say("SORT_RO l ALPHA"), array(&["1", "10", "2", "3"]));
        assert_eq!(client.say("SORT nothing"), "*0\r\n");
        client.say("RPUSH l x");
        assert!(client.say("SORT l").contains("can't be converted into double"));
        assert_eq!(client.say("SORT l LIMIT 1"), "-ERR syntax error\r\n");
        client.say("SET s 1");
        assert!(client.say("SORT s").starts_with("-WRONGTYPE"));
    }

    #[test]
    fn a_value_in_the_place_of_another_serves_nobody() {
        let mut client = Client::new();
        let mut waiting = client.another();
        client.say("RPUSH l 2 1");
        client.say("SET taken x");
        assert!(waiting.say("BLPOP taken 0").starts_with("-WRONGTYPE"));
        client.say("DEL taken");
        assert_eq!(waiting.say("BLPOP taken 0"), "");
        client.say("SET taken x");
        client.say("SORT l STORE taken");
        assert_eq!(waiting.mail(), "");
        client.say("DEL taken");
        client.say("SORT l STORE taken");
        assert_eq!(waiting.mail(), array(&["taken", "1"]));
    }

    #[test]
    fn scripts_see_sets_in_order() {
        let mut client = Client::new();
        client.say("SADD s c aa b a");
        let script = "return redis.call('sort', KEYS[1], 'by', 'nosort')";
        assert_eq!(client.run(&["EVAL", script, "1", "s"]), array(&["a", "aa", "b", "c"]));
    }

    #[test]
    fn other_keys_take_part() {
        let mut client = Client::new();
        client.say("RPUSH l 1 2 3");
        client.say("MSET w1 30 w2 20 w3 10 n1 a n2 b");
        client.say("HSET h1 f x");
        assert_eq!(client.say("SORT l BY w*"), array(&["3", "2", "1"]));
        assert_eq!(
            client.say("SORT l BY w* LIMIT 1 2 GET # GET n* GET h*->f"),
            "*6\r\n$1\r\n2\r\n$1\r\nb\r\n$-1\r\n$1\r\n1\r\n$1\r\na\r\n$1\r\nx\r\n"
        );
        assert_eq!(client.say("SORT l BY nosort GET n* STORE out"), ":3\r\n");
        assert_eq!(client.say("LRANGE out 0 -1"), array(&["a", "b", ""]));
        assert_eq!(client.say("SORT nothing STORE out"), ":0\r\n");
        assert_eq!(client.say("EXISTS out"), ":0\r\n");
        assert_eq!(client.say("COMMAND GETKEYS SORT l BY store STORE out"), array(&["l", "out"]));
    }
}
