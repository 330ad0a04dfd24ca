//! SSCAN: all members, some at a time.

use ebb_engine::{
    Argument, ArgumentKind, CommandResult, CommandSpec, Context, Flags, Group, KeyFlags, KeySpec,
    Type,
};

use crate::element_scan::{self, Options};

pub(super) static SSCAN: CommandSpec = CommandSpec {
    name: "sscan",
    summary: "Returns some members of a set, and the cursor with which to ask for the next.",
    since: "2.8.0",
    group: Group::Set,
    complexity: "O(1) for a call, O(N) for all N members.",
    arity: -3,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    arguments: &[
        Argument::key("key", 0),
        Argument::integer("cursor"),
        Argument::new("pattern", ArgumentKind::Pattern).after("MATCH").optional(),
        Argument::integer("count").after("COUNT").optional(),
    ],
    tips: &["nondeterministic_output"],
    run: sscan,
    ..CommandSpec::NEW
};

fn sscan(ctx: &mut Context<'_>) -> CommandResult {
    let Some(options) = Options::parse(ctx, Type::Set)? else { return Ok(()) };
    let key = ctx.key(1);
    let (set, reply) = ctx.read_set_and_reply(&key)?;
    let mut found: Vec<Vec<u8>> = Vec::new();
    let next = options.run(|position| match set {
        None => (0, 0),
        Some(set) => {
            let mut seen = 0;
            let next = set.scan(position, |member| {
                seen += 1;
                let member = member.to_vec();
                if options.matches(&member) {
                    found.push(member);
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
    fn all_members_come() {
        let mut client = Client::new();
        client.say("SADD s 1 22 3");
        assert_eq!(client.say("SSCAN s 0 MATCH 2*"), "*2\r\n$1\r\n0\r\n*1\r\n$2\r\n22\r\n");
        assert_eq!(client.say("SSCAN nothing 0"), "*2\r\n$1\r\n0\r\n*0\r\n");
        assert_eq!(client.say("SSCAN s x"), "-ERR invalid cursor\r\n");
        (0..2000).for_each(|n| drop(client.say(&format!("SADD big m{n}"))));
        let (mut cursor, mut seen) = ("0".to_owned(), std::collections::HashSet::new());
        loop {
            let reply = client.say(&format!("SSCAN big {cursor} COUNT 50"));
            let mut lines = reply.lines().filter(|line| !line.starts_with(['*', '$']));
            cursor = lines.next().unwrap().to_owned();
            seen.extend(lines.map(str::to_owned));
            if cursor == "0" {
                break;
            }
        }
        assert_eq!(seen.len(), 2000);
    }
}
