//! TIME: the server's clock.

use ebb_engine::{CommandResult, CommandSpec, Context, Flags, Group, unix_us};

pub(super) static TIME: CommandSpec = CommandSpec {
    name: "time",
    summary: "Returns the server's Unix time in seconds, and the microseconds of the second.",
    since: "2.6.0",
    group: Group::Server,
    arity: 1,
    flags: Flags::LOADING.and(Flags::STALE).and(Flags::FAST),
    tips: &["nondeterministic_output"],
    run,
    ..CommandSpec::NEW
};

fn run(ctx: &mut Context<'_>) -> CommandResult {
    let now = ctx.session.time_us.unwrap_or_else(unix_us);
    ctx.reply.array(2);
    ctx.reply.bulk((now / 1_000_000).to_string().as_bytes());
    ctx.reply.bulk((now % 1_000_000).to_string().as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn answers_two_numbers() {
        let reply = Client::new().say("TIME");
        let lines: Vec<_> = reply.split("\r\n").collect();
        assert_eq!(lines[0], "*2");
        assert!(lines[2].parse::<i64>().unwrap() > 1_700_000_000);
        assert!(lines[4].parse::<i64>().unwrap() < 1_000_000);
    }

    #[test]
    fn time_stands_still_in_scripts_and_transactions() {
        let mut client = Client::new();
        let script = "local a = redis.call('TIME') for i = 1, 100000 do end \
                      local b = redis.call('TIME') return a[1] .. a[2] == b[1] .. b[2] and 1";
        assert_eq!(client.run(&["EVAL", script, "0"]), ":1\r\n");
        client.say("MULTI");
        client.say("TIME");
        client.run(&["EVAL", "for i = 1, 100000 do end", "0"]);
        client.say("TIME");
        let replies = client.say("EXEC");
        let numbers: Vec<_> =
            replies.split("\r\n").filter(|line| !line.starts_with(['*', '$'])).collect();
        assert_eq!(numbers[..2], numbers[2..4], "{replies}");
        let later = client.say("TIME");
        assert!(!later.contains(numbers[0]) || !later.contains(numbers[1]), "{later} {replies}");
    }
}
