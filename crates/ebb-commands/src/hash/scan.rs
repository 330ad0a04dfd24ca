//! HSCAN: all fields, some at a time.

use ebb_engine::{
    Argument, ArgumentKind, CommandResult, CommandSpec, Context, Flags, Group, KeyFlags, KeySpec,
    Type,
};

use crate::element_scan::{self, Options};

pub(super) static HSCAN: CommandSpec = CommandSpec {
    name: "hscan",
    summary: "Returns some fields of a hash, and the cursor with which to ask for the next.",
    since: "2.8.0",
    group: Group::Hash,
    complexity: "O(1) for a call, O(N) for all N fields.",
    arity: -3,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    arguments: &[
        Argument::key("key", 0),
        Argument::integer("cursor"),
        Argument::new("pattern", ArgumentKind::Pattern).after("MATCH").optional(),
        Argument::integer("count").after("COUNT").optional(),
        Argument::word("novalues", "NOVALUES").optional(),
    ],
    tips: &["nondeterministic_output"],
    run: hscan,
    ..CommandSpec::NEW
};

fn hscan(ctx: &mut Context<'_>) -> CommandResult {
    let Some(options) = Options::parse(ctx, Type::Hash)? else { return Ok(()) };
    let (key, now_ms) = (ctx.key(1), ctx.now_ms);
    let (hash, reply) = ctx.read_hash_and_reply(&key)?;
    let mut found: Vec<Vec<u8>> = Vec::new();
    let next = options.run(|position| match hash {
        None => (0, 0),
        Some(hash) => {
            let mut seen = 0;
            let next = hash.scan(position, |field| {
                seen += 1;
                if options.matches(field.name) && !field.is_due(now_ms) {
                    found.push(field.name.to_vec());
                    if !options.bare {
                        found.push(field.value.to_vec());
                    }
                }
            });
            (next, seen)
        }
    });
    element_scan::answer(reply, next, &found);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn small_hashes_come_at_once() {
        let mut client = Client::new();
        client.say("HSET h a 1 b 2");
        assert_eq!(
            client.say("HSCAN h 0 MATCH b*"),
            "*2\r\n$1\r\n0\r\n*2\r\n$1\r\nb\r\n$1\r\n2\r\n"
        );
        client.say("SADD s m");
        for line in ["SCAN 0 NOVALUES", "SSCAN s 0 COUNT 5 NOVALUES"] {
            assert_eq!(client.say(line), "-ERR NOVALUES option can only be used in HSCAN\r\n");
        }
        assert_eq!(client.say("HSCAN h 0 NOVALUES MATCH b"), "*2\r\n$1\r\n0\r\n*1\r\n$1\r\nb\r\n");
        assert_eq!(
            client.say("HSCAN h 0 NOSCORES"),
            "-ERR NOSCORES option can only be used in ZSCAN\r\n"
        );
        assert_eq!(client.say("HSCAN nothing 0"), "*2\r\n$1\r\n0\r\n*0\r\n");
        assert_eq!(client.say("HSCAN h x"), "-ERR invalid cursor\r\n");
    }
}
