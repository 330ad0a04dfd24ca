//! LPOS: where elements are.

use ebb_engine::{
    Argument, CommandError, CommandResult, CommandSpec, Context, Flags, Group, KeyFlags, KeySpec,
};

pub(super) static SPEC: CommandSpec = CommandSpec {
    name: "lpos",
    summary: "Returns the index of elements that are equal to another.",
    since: "6.0.6",
    group: Group::List,
    complexity: "O(N) for N elements.",
    arity: -3,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    arguments: &[
        Argument::key("key", 0),
        Argument::string("element"),
        Argument::integer("rank").after("RANK").optional(),
        Argument::integer("num-matches").after("COUNT").optional(),
        Argument::integer("len").after("MAXLEN").optional(),
    ],
    run,
    ..CommandSpec::NEW
};

struct Options {
    /// Which match to begin with; negative: from the end.
    rank: i64,
    /// How many to answer; `None`: one, and not as an array.
    count: Option<usize>,
    /// Comparisons at most.
    compared_max: usize,
}

fn parse(ctx: &Context<'_>) -> Result<Options, CommandError> {
    let mut options = Options { rank: 1, count: None, compared_max: usize::MAX };
    let or_all = |value: i64| if value == 0 { usize::MAX } else { value as usize };
    let mut at = 3;
    while at < ctx.args.len() {
        if at + 1 >= ctx.args.len() {
            return Err(CommandError::Syntax);
        }
        if ctx.is_word(at, "RANK") {
            options.rank = ctx.int(at + 1)?;
            if options.rank == 0 {
                return Err(CommandError::new(
                    "ERR RANK can't be zero: use 1 to start from the first match, 2 from the \
                     second ... or use negative to start from the end of the list",
                ));
            }
            if options.rank == i64::MIN {
                return Err(CommandError::new(
                    "ERR value is out of range, value must between \
                     -9223372036854775807 and 9223372036854775807",
                ));
            }
        } else if ctx.is_word(at, "COUNT") {
            let count = ctx.int(at + 1).ok().filter(|&count| count >= 0);
            let count = count.ok_or(CommandError::new("ERR COUNT can't be negative"))?;
            options.count = Some(or_all(count));
        } else if ctx.is_word(at, "MAXLEN") {
            let most = ctx.int(at + 1).ok().filter(|&most| most >= 0);
            let most = most.ok_or(CommandError::new("ERR MAXLEN can't be negative"))?;
            options.compared_max = or_all(most);
        } else {
            return Err(CommandError::Syntax);
        }
        at += 2;
    }
    Ok(options)
}

fn run(ctx: &mut Context<'_>) -> CommandResult {
    let (key, item) = (ctx.key(1), ctx.arg(2));
    let options = parse(ctx)?;
    let (list, reply) = ctx.read_list_and_reply(&key)?;
    let mut found = Vec::new();
    if let Some(list) = list {
        let len = list.len();
        let wanted = options.count.unwrap_or(1);
        let mut skip = options.rank.unsigned_abs() - 1;
        let mut compared = 0;
        let mut visit = |other: &[u8]| {
            let index = if options.rank > 0 { compared } else { len - 1 - compared };
            compared += 1;
            if other == item {
                match skip {
                    0 => found.push(index),
                    _ => skip -= 1,
                }
            }
            found.len() < wanted && compared < options.compared_max
        };
        match options.rank > 0 {
            true => list.walk(0, &mut visit),
            false => list.walk_back(len, &mut visit),
        }
    }
    match (options.count, found.first()) {
        (None, Some(&index)) => reply.count(index),
        (None, None) => reply.null(),
        (Some(_), _) => {
            reply.array(found.len());
            found.iter().for_each(|&index| reply.count(index));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn matches_are_found_from_both_ends() {
        let mut client = Client::new();
        client.say("RPUSH l a b c 1 2 3 c c");
        assert_eq!(client.say("LPOS l c"), ":2\r\n");
        assert_eq!(client.say("LPOS l c RANK 2"), ":6\r\n");
        assert_eq!(client.say("LPOS l c RANK -1"), ":7\r\n");
        assert_eq!(client.say("LPOS l c COUNT 2"), "*2\r\n:2\r\n:6\r\n");
        assert_eq!(client.say("LPOS l c COUNT 0 RANK -2"), "*2\r\n:6\r\n:2\r\n");
        assert_eq!(client.say("LPOS l c COUNT 0 MAXLEN 7"), "*2\r\n:2\r\n:6\r\n");
        assert_eq!(client.say("LPOS l x"), "$-1\r\n");
        assert_eq!(client.say("LPOS l x COUNT 1"), "*0\r\n");
        assert!(client.say("LPOS l c RANK 0").starts_with("-ERR RANK can't be zero"));
        assert_eq!(client.say("LPOS l c COUNT -1"), "-ERR COUNT can't be negative\r\n");
        assert_eq!(client.say("LPOS nothing c"), "$-1\r\n");
    }
}
