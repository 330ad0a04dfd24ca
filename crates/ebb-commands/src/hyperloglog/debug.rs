//! PFDEBUG, PFSELFTEST: looking into HyperLogLogs.

use ebb_engine::{
    Argument, CommandError, CommandResult, CommandSpec, Context, Event, Flags, Group, KeyFlags,
    KeySpec,
};
use ebb_keyspace::{Deadline, StringValue};
use ebb_types::hyperloglog::{self, Run};

use super::count::{error_of, look_at, look_to_write};

pub(super) static PFDEBUG: CommandSpec = CommandSpec {
    name: "pfdebug",
    summary: "Shows the inside of a HyperLogLog.",
    since: "2.8.9",
    group: Group::Hyperloglog,
    complexity: "O(N) for N registers.",
    arity: 3,
    flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::ADMIN),
    keys: &[KeySpec::one(2, KeyFlags::RW.and(KeyFlags::ACCESS))],
    arguments: &[Argument::string("subcommand"), Argument::key("key", 0)],
    run: pfdebug,
    ..CommandSpec::NEW
};
pub(super) static PFSELFTEST: CommandSpec = CommandSpec {
    name: "pfselftest",
    summary: "Checks the implementation of HyperLogLog.",
    since: "2.8.9",
    group: Group::Hyperloglog,
    complexity: "O(N) for N registers.",
    arity: 1,
    flags: Flags::ADMIN,
    run: pfselftest,
    ..CommandSpec::NEW
};

fn pfdebug(ctx: &mut Context<'_>) -> CommandResult {
    let key = ctx.key(2);
    let missing = || CommandError::new("ERR The specified key does not exist");
    let sparse = look_at(ctx, &key, |bytes| Ok(hyperloglog::is_sparse(bytes)))?;
    let sparse = sparse.ok_or_else(missing)?;
    if ctx.is_word(1, "ENCODING") {
        ctx.reply.simple(if sparse { "sparse" } else { "dense" });
        return Ok(());
    }
    let mut registers = hyperloglog::no_registers();
    if ctx.is_word(1, "GETREG") || ctx.is_word(1, "TODENSE") {
        look_at(ctx, &key, |bytes| hyperloglog::merge(&mut registers, bytes))?;
        if sparse {
            let mut bytes = hyperloglog::encode(&registers, 0);
            look_to_write(ctx, &key, |old| {
                hyperloglog::keep_cached(&mut bytes, old);
                Ok(())
            })?;
            ctx.set_string(&key, StringValue::Raw(&bytes), Deadline::Keep)?;
            ctx.changed_aside(&key, Event::untold());
        }
        if ctx.is_word(1, "TODENSE") {
            ctx.reply.integer(sparse.into());
            return Ok(());
        }
        ctx.reply.array(registers.len());
        registers.iter().for_each(|&value| ctx.reply.integer(value.into()));
        return Ok(());
    }
    if ctx.is_word(1, "DECODE") {
        if !sparse {
            return Err(CommandError::new("ERR HLL encoding is not sparse"));
        }
        let text = look_at(ctx, &key, |bytes| {
            let words = hyperloglog::runs(bytes).map(|run| {
                run.map(|run| match run {
                    Run::Zero(len) => format!("z:{len}"),
                    Run::LongZero(len) => format!("Z:{len}"),
                    Run::Value(value, len) => format!("v:{value},{len}"),
                })
            });
            words.collect::<Result<Vec<_>, _>>().map(|words| words.join(" "))
        })?;
        ctx.reply.bulk(text.unwrap_or_default().as_bytes());
        return Ok(());
    }
    let name = ctx.quote(1);
    Err(CommandError::new(format!("ERR Unknown PFDEBUG subcommand '{name}'")))
}

/// Elements that the self-test adds.
const TESTED: u32 = 100_000;

fn pfselftest(ctx: &mut Context<'_>) -> CommandResult {
    let failed = |what: String| CommandError::new(format!("ERR TESTFAILED {what}"));
    let mut registers = hyperloglog::no_registers();
    let mut checked = 1;
    for number in 1..=TESTED {
        let (index, value) = hyperloglog::place_of(&number.to_le_bytes());
        registers[index] = registers[index].max(value);
        if number == checked {
            let estimate = hyperloglog::estimate(&registers) as i64;
            // Four standard errors of 1.04/sqrt(16384), and one for the small ones.
            let most = (f64::from(number) * 4.0 * 0.00813).ceil() as i64 + 1;
            let error = (estimate - i64::from(number)).abs();
            if error > most {
                return Err(failed(format!("Too big error. card:{number} abserr:{error}")));
            }
            checked *= 10;
        }
    }
    let bytes = hyperloglog::encode(&registers, 0);
    let mut again = hyperloglog::no_registers();
    hyperloglog::merge(&mut again, &bytes).map_err(error_of)?;
    if again != registers {
        return Err(failed("registers that were written are read as others".into()));
    }
    ctx.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn the_inside_is_shown() {
        let mut client = Client::new();
        client.say("PFADD a a b c d");
        assert_eq!(
            client.say("PFDEBUG DECODE a"),
            "$57\r\nZ:7292 v:1,1 Z:1143 v:1,1 Z:4274 v:2,1 Z:3068 v:1,1 Z:603\r\n"
        );
        assert_eq!(client.say("PFDEBUG TODENSE a"), ":1\r\n");
        assert_eq!(client.say("PFDEBUG TODENSE a"), ":0\r\n");
        assert!(client.say("PFDEBUG DECODE a").contains("not sparse"));
        assert!(client.say("PFDEBUG GETREG a").starts_with("*16384\r\n:0\r\n"));
        assert!(client.say("PFDEBUG WHAT a").contains("Unknown PFDEBUG"));
        assert!(client.say("PFDEBUG ENCODING none").contains("does not exist"));
        assert_eq!(client.say("PFSELFTEST"), "+OK\r\n");
    }
}
