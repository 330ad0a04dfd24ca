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
    let now = unix_us();
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
}
