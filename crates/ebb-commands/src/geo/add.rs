//! GEOADD: places.

use ebb_engine::{
    Argument, ArgumentKind, CommandError, CommandResult, CommandSpec, Context, Flags, Group,
    KeyFlags, KeySpec,
};

use super::units;
use crate::sorted_set::add::{self, Options};

pub(super) static GEOADD: CommandSpec = CommandSpec {
    name: "geoadd",
    summary: "Adds places to a sorted set.",
    since: "3.2.0",
    group: Group::Geo,
    complexity: "O(log(N)) for each place, N members in the set.",
    arity: -5,
    flags: Flags::WRITE.and(Flags::DENYOOM),
    keys: &[KeySpec::one(1, KeyFlags::RW.and(KeyFlags::UPDATE))],
    arguments: &[
        Argument::key("key", 0),
        Argument::one_of("condition", &[Argument::word("nx", "NX"), Argument::word("xx", "XX")])
            .optional()
            .since("6.2.0"),
        Argument::word("change", "CH").optional().since("6.2.0"),
        Argument::block(
            "data",
            &[
                Argument::new("longitude", ArgumentKind::Double),
                Argument::new("latitude", ArgumentKind::Double),
                Argument::string("member"),
            ],
        )
        .multiple(),
    ],
    history: &[("6.2.0", "Added the `CH`, `NX` and `XX` options.")],
    run: geoadd,
    ..CommandSpec::NEW
};

fn geoadd(ctx: &mut Context<'_>) -> CommandResult {
    let args = ctx.args;
    let mut options = Options::default();
    let mut at = 2;
    while at < args.len() {
        match () {
            () if ctx.is_word(at, "NX") => options.if_new = true,
            () if ctx.is_word(at, "XX") => options.if_there = true,
            () if ctx.is_word(at, "CH") => options.count_changed = true,
            () => break,
        }
        at += 1;
    }
    if !(args.len() - at).is_multiple_of(3) || options.if_new && options.if_there {
        return Err(CommandError::Syntax);
    }
    let mut places = Vec::with_capacity((args.len() - at) / 3);
    for at in (at..args.len()).step_by(3) {
        places.push((units::point(ctx, at)?.hash() as f64, args[at + 2]));
    }
    if places.is_empty() {
        return Err(CommandError::Syntax);
    }
    add::add(ctx, &options, &places)
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn places_are_members() {
        let mut client = Client::new();
        assert_eq!(
            client.say("GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania"),
            ":2\r\n"
        );
        assert_eq!(client.say("ZSCORE g Palermo"), "$16\r\n3479099956230698\r\n");
        assert_eq!(client.say("GEOADD g XX CH 14 38 Palermo 1 1 x"), ":1\r\n");
        assert_eq!(client.say("GEOADD g NX 1 1 Palermo"), ":0\r\n");
    }

    #[test]
    fn bad_arguments_are_refused() {
        let mut client = Client::new();
        for (command, text) in [
            ("GEOADD g NX XX 1 1 m", "syntax error"),
            ("GEOADD g 1 1 m 2", "syntax error"),
            ("GEOADD g NX XX CH", "syntax error"),
            ("GEOADD g 1 x m", "value is not a valid float"),
            ("GEOADD g 181 2 m", "invalid longitude,latitude pair 181.000000,2.000000"),
        ] {
            assert!(client.say(command).contains(text), "{command}");
        }
        assert_eq!(client.say("EXISTS g"), ":0\r\n");
    }
}
