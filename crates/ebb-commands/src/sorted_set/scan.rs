//! ZSCAN: all members with their scores, some at a time.

use ebb_engine::{
    Argument, ArgumentKind, CommandResult, CommandSpec, Context, Flags, Group, KeyFlags, KeySpec,
    Type,
};
use ebb_types::float::format_f64;

use crate::element_scan::{self, Options};

pub(super) static ZSCAN: CommandSpec = CommandSpec {
    name: "zscan",
    summary: "Returns some members of a sorted set with their scores, and the cursor with which to ask for the next.",
    since: "2.8.0",
    group: Group::SortedSet,
    complexity: "O(1) for a call, O(N) for all N members.",
    arity: -3,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    arguments: &[
        Argument::key("key", 0),
        Argument::integer("cursor"),
        Argument::new("pattern", ArgumentKind::Pattern).after("MATCH").optional(),
        Argument::integer("count").after("COUNT").optional(),
        Argument::word("noscores", "NOSCORES").optional().since("9.1.0"),
    ],
    tips: &["nondeterministic_output"],
    run: zscan,
    ..CommandSpec::NEW
};

fn zscan(ctx: &mut Context<'_>) -> CommandResult {
    let Some(options) = Options::parse(ctx, Type::SortedSet)? else { return Ok(()) };
    let key = ctx.key(1);
    let (set, reply) = ctx.read_sorted_set_and_reply(&key)?;
    let mut found: Vec<Vec<u8>> = Vec::new();
    let next = options.run(|position| match set {
        None => (0, 0),
        Some(set) => {
            let mut seen = 0;
            let next = set.scan(position, |member, score| {
                seen += 1;
                if options.matches(member) {
                    found.push(member.to_vec());
                    if !options.bare {
                        found.push(format_f64(score));
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
    fn members_come_with_their_scores() {
        let mut client = Client::new();
        client.say("ZADD z 1 a 2.5 b");
        assert_eq!(
            client.say("ZSCAN z 0 MATCH b*"),
            "*2\r\n$1\r\n0\r\n*2\r\n$1\r\nb\r\n$3\r\n2.5\r\n"
        );
        assert_eq!(client.say("ZSCAN z 0 NOSCORES MATCH b"), "*2\r\n$1\r\n0\r\n*1\r\n$1\r\nb\r\n");
        assert_eq!(
            client.say("ZSCAN z 0 NOVALUES"),
            "-ERR NOVALUES option can only be used in HSCAN\r\n"
        );
        assert_eq!(client.say("ZSCAN nothing 0"), "*2\r\n$1\r\n0\r\n*0\r\n");
        assert_eq!(client.say("ZSCAN z 0 COUNT 0"), "-ERR syntax error\r\n");
    }
}
