//! FUNCTION DUMP and RESTORE: all libraries as one string, in the form of an RDB file.
//!
//! Each library is the opcode of functions and its source as a string; then come the version
//! of the RDB format in two bytes, and a CRC-64 of it all.

use ebb_config::id;
use ebb_engine::scripting::Library;
use ebb_engine::{Argument, CommandError, CommandResult, CommandSpec, Context, Flags, Group};
use ebb_persist::rdb::{self, Reader, Writer};
use ebb_script::load_library;

use crate::generic::dump::unseal;

/// The opcode of a library.
const FUNCTION: u8 = 245;

pub(super) const DUMP: CommandSpec = CommandSpec {
    name: "dump",
    summary: "Returns all libraries as one string.",
    since: "7.0.0",
    group: Group::Scripting,
    complexity: "O(N) where N is the number of functions.",
    arity: 2,
    flags: Flags::NOSCRIPT,
    run: dump,
    ..CommandSpec::NEW
};
pub(super) const RESTORE: CommandSpec = CommandSpec {
    name: "restore",
    summary: "Adds the libraries of a string that FUNCTION DUMP returned.",
    since: "7.0.0",
    group: Group::Scripting,
    complexity: "O(N) where N is the number of functions in the string.",
    arity: -3,
    flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::NOSCRIPT),
    arguments: &[
        Argument::string("serialized-value"),
        Argument::one_of(
            "policy",
            &[
                Argument::word("flush", "FLUSH"),
                Argument::word("append", "APPEND"),
                Argument::word("replace", "REPLACE"),
            ],
        )
        .optional(),
    ],
    tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
    run: restore,
    ..CommandSpec::NEW
};

fn dump(ctx: &mut Context<'_>) -> CommandResult {
    let mut writer = Writer::new(ctx.server.config.get(id::RDBCOMPRESSION));
    for library in ctx.server.scripting.libraries.lock().all() {
        writer.byte(FUNCTION);
        writer.string(&library.source.read());
    }
    let mut out = writer.into_bytes();
    rdb::seal(&mut out, rdb::VERSION);
    ctx.reply.bulk(&out);
    Ok(())
}

/// What becomes of libraries that are there already.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Policy {
    Flush,
    Append,
    Replace,
}

fn restore(ctx: &mut Context<'_>) -> CommandResult {
    let policy = match ctx.args.len() {
        3 => Policy::Append,
        4 if ctx.is_word(3, "APPEND") => Policy::Append,
        4 if ctx.is_word(3, "REPLACE") => Policy::Replace,
        4 if ctx.is_word(3, "FLUSH") => Policy::Flush,
        5.. => return Err(super::wrong_arguments(ctx)),
        _ => {
            let text = "ERR Wrong restore policy given, value should be either FLUSH, APPEND or \
                        REPLACE.";
            return Err(CommandError::new(text));
        }
    };
    let sealed = unseal(ctx.server, ctx.arg(2))?;
    let loaded = read(ctx, sealed.body)?;
    let mut libraries = ctx.server.scripting.libraries.lock();
    // All are added, or none.
    let mut next = if policy == Policy::Flush { libraries.emptied() } else { libraries.clone() };
    for library in loaded {
        if policy != Policy::Replace && next.has(&library.name) {
            let text = format!("ERR Library {} already exists", library.name);
            return Err(CommandError::new(text));
        }
        let added = next.add(library, policy == Policy::Replace);
        added.map_err(|text| CommandError::new(format!("ERR {text}")))?;
    }
    *libraries = next;
    ctx.journal.dirty += 1;
    ctx.reply.ok();
    Ok(())
}

/// The libraries of a string, loaded.
fn read(ctx: &Context<'_>, body: &[u8]) -> Result<Vec<Library>, CommandError> {
    let mut reader = Reader::new(body);
    let mut loaded = Vec::new();
    while let Ok(kind) = reader.byte() {
        if kind != FUNCTION {
            return Err(CommandError::new("ERR given type is not a function"));
        }
        let source = reader.string();
        let source = source.map_err(|_| CommandError::new("ERR Failed loading library data"))?;
        loaded.push(load_library(ctx, &source)?);
    }
    Ok(loaded)
}

#[cfg(test)]
mod tests {
    use ebb_engine::scripting::Library;
    use ebb_persist::rdb::{self, Writer};

    use crate::testing::Client;

    fn sealed(source: &str) -> Vec<u8> {
        let mut writer = Writer::new(true);
        writer.byte(super::FUNCTION);
        writer.string(source.as_bytes());
        let mut out = writer.into_bytes();
        rdb::seal(&mut out, rdb::VERSION);
        out
    }

    #[test]
    fn libraries_survive_a_dump() {
        let mut client = Client::new();
        let code = "#!lua name=one\nredis.register_function('f', function() return 1 end)";
        client.run(&["FUNCTION", "LOAD", code]);
        let dump = sealed(code);
        let restore = |client: &mut Client, policy: &str| {
            client.run(&[&b"FUNCTION"[..], b"RESTORE", &dump, policy.as_bytes()])
        };
        assert_eq!(restore(&mut client, "APPEND"), "-ERR Library one already exists\r\n");
        assert_eq!(restore(&mut client, "REPLACE"), "+OK\r\n");
        client.say("FUNCTION FLUSH");
        assert_eq!(restore(&mut client, "APPEND"), "+OK\r\n");
        assert_eq!(client.say("FCALL f 0"), ":1\r\n");
        let other = "#!lua name=two\nredis.register_function('g', function() return 2 end)";
        client.run(&["FUNCTION", "LOAD", other]);
        assert_eq!(restore(&mut client, "FLUSH"), "+OK\r\n");
        let names: Vec<String> = client
            .server
            .scripting
            .libraries
            .lock()
            .all()
            .map(|l: &std::sync::Arc<Library>| l.name.clone())
            .collect();
        assert_eq!(names, ["one"]);
        assert!(restore(&mut client, "X").starts_with("-ERR Wrong restore policy given"));
        assert_eq!(
            client.say("FUNCTION RESTORE x"),
            "-ERR DUMP payload version or checksum are wrong\r\n"
        );
    }
}
