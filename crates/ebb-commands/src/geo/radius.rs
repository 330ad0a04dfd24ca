//! GEORADIUS, GEORADIUSBYMEMBER, and the same without STORE.

use ebb_engine::{
    Argument, ArgumentKind, Begin, CommandError, CommandResult, CommandSpec, Context, Flags, Group,
    KeyFlags, KeySpec,
};
use ebb_types::geo::{Area, Point, Shape};

use super::arguments::{
    COUNT, COUNT_SINCE, ORDER, STORE, UNIT, WITH_COORDINATES, WITH_DISTANCES, WITH_HASHES,
};
use super::query::{self, Options, Query, Target};
use super::units;

pub(super) static GEORADIUS: CommandSpec = CommandSpec {
    name: "georadius",
    summary: "Returns the places within a distance of a point, or stores them.",
    since: "3.2.0",
    group: Group::Geo,
    complexity: "O(N+log(M)) for N places near the point and M in the set.",
    arity: -6,
    flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::MOVABLEKEYS),
    keys: &[
        KeySpec::one(1, KeyFlags::RO.and(KeyFlags::ACCESS)),
        KeySpec {
            begin: Begin::Keyword("STORE", 6),
            ..KeySpec::one(0, KeyFlags::OW.and(KeyFlags::UPDATE))
        },
        KeySpec {
            begin: Begin::Keyword("STOREDIST", 6),
            ..KeySpec::one(0, KeyFlags::OW.and(KeyFlags::UPDATE))
        },
    ],
    arguments: &[
        Argument::key("key", 0),
        Argument::new("longitude", ArgumentKind::Double),
        Argument::new("latitude", ArgumentKind::Double),
        Argument::new("radius", ArgumentKind::Double),
        UNIT,
        WITH_COORDINATES,
        WITH_DISTANCES,
        WITH_HASHES,
        COUNT_SINCE,
        ORDER,
        STORE,
    ],
    history: &[
        ("6.2.0", "Added the `ANY` option for `COUNT`."),
        ("7.0.0", "Added support for uppercase unit names."),
    ],
    deprecated: Some(("6.2.0", "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` argument")),
    run: |ctx| georadius(ctx, true),
    ..CommandSpec::NEW
};
pub(super) static GEORADIUS_RO: CommandSpec = CommandSpec {
    name: "georadius_ro",
    summary: "Returns the places within a distance of a point.",
    since: "3.2.10",
    group: Group::Geo,
    complexity: "O(N+log(M)) for N places near the point and M in the set.",
    arity: -6,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    arguments: &[
        Argument::key("key", 0),
        Argument::new("longitude", ArgumentKind::Double),
        Argument::new("latitude", ArgumentKind::Double),
        Argument::new("radius", ArgumentKind::Double),
        UNIT,
        WITH_COORDINATES,
        WITH_DISTANCES,
        WITH_HASHES,
        COUNT_SINCE,
        ORDER,
    ],
    history: &[("6.2.0", "Added the `ANY` option for `COUNT`.")],
    deprecated: Some(("6.2.0", "`GEOSEARCH` with the `BYRADIUS` argument")),
    run: |ctx| georadius(ctx, false),
    ..CommandSpec::NEW
};
pub(super) static GEORADIUSBYMEMBER: CommandSpec = CommandSpec {
    name: "georadiusbymember",
    summary: "Returns the places within a distance of another, or stores them.",
    since: "3.2.0",
    group: Group::Geo,
    complexity: "O(N+log(M)) for N places near the other and M in the set.",
    arity: -5,
    flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::MOVABLEKEYS),
    keys: &[
        KeySpec::one(1, KeyFlags::RO.and(KeyFlags::ACCESS)),
        KeySpec {
            begin: Begin::Keyword("STORE", 5),
            ..KeySpec::one(0, KeyFlags::OW.and(KeyFlags::UPDATE))
        },
        KeySpec {
            begin: Begin::Keyword("STOREDIST", 5),
            ..KeySpec::one(0, KeyFlags::OW.and(KeyFlags::UPDATE))
        },
    ],
    arguments: &[
        Argument::key("key", 0),
        Argument::string("member"),
        Argument::new("radius", ArgumentKind::Double),
        UNIT,
        WITH_COORDINATES,
        WITH_DISTANCES,
        WITH_HASHES,
        COUNT,
        ORDER,
        STORE,
    ],
    history: &[("7.0.0", "Added support for uppercase unit names.")],
    deprecated: Some((
        "6.2.0",
        "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` and `FROMMEMBER` arguments",
    )),
    run: |ctx| by_member(ctx, true),
    ..CommandSpec::NEW
};
pub(super) static GEORADIUSBYMEMBER_RO: CommandSpec = CommandSpec {
    name: "georadiusbymember_ro",
    summary: "Returns the places within a distance of another.",
    since: "3.2.10",
    group: Group::Geo,
    complexity: "O(N+log(M)) for N places near the other and M in the set.",
    arity: -5,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    arguments: &[
        Argument::key("key", 0),
        Argument::string("member"),
        Argument::new("radius", ArgumentKind::Double),
        UNIT,
        WITH_COORDINATES,
        WITH_DISTANCES,
        WITH_HASHES,
        COUNT,
        ORDER,
    ],
    deprecated: Some(("6.2.0", "`GEOSEARCH` with the `BYRADIUS` and `FROMMEMBER` arguments")),
    run: |ctx| by_member(ctx, false),
    ..CommandSpec::NEW
};

fn georadius(ctx: &mut Context<'_>, stores: bool) -> CommandResult {
    query::source_exists(ctx, &ctx.key(1))?;
    let center = units::point(ctx, 2)?;
    search(ctx, Some(center), 4, stores)
}

fn by_member(ctx: &mut Context<'_>, stores: bool) -> CommandResult {
    let center = query::place_of(ctx, &ctx.key(1), ctx.arg(2))?;
    search(ctx, center, 3, stores)
}

/// A radius and its unit, in metres.
pub(super) fn radius(ctx: &Context<'_>, at: usize) -> Result<(f64, f64), CommandError> {
    let radius = units::length(ctx, at, "ERR need numeric radius")?;
    if radius < 0.0 {
        return Err(CommandError::new("ERR radius cannot be negative"));
    }
    let unit_m = units::unit_m(ctx, at + 1)?;
    Ok((radius * unit_m, unit_m))
}

/// Searches around the centre, or nowhere if there is none; the radius is at `at`.
fn search(ctx: &mut Context<'_>, center: Option<Point>, at: usize, stores: bool) -> CommandResult {
    // Without a centre there is no key, and Redis does not look at the radius.
    let circle = center.map(|center| Ok::<_, CommandError>((center, radius(ctx, at)?)));
    let circle = circle.transpose()?;
    let (options, target) = parse(ctx, at + 2, stores)?;
    let source = ctx.key(1);
    match circle {
        Some((center, (radius_m, unit_m))) => {
            let area = Area { center, shape: Shape::Circle { radius_m } };
            Query { area, unit_m, options, target }.run(ctx, &source)
        }
        None => query::nothing(ctx, &source, target),
    }
}

/// Parses the options from `at` on.
fn parse<'a>(
    ctx: &Context<'a>,
    mut at: usize,
    stores: bool,
) -> Result<(Options, Option<Target<'a>>), CommandError> {
    let mut options = Options::new();
    let (mut target, first) = (None, at);
    while at < ctx.args.len() {
        if let Some(taken) = options.take(ctx, at)? {
            at += taken;
            continue;
        }
        let distances = ctx.is_word(at, "STOREDIST");
        let word = if distances { "STOREDIST" } else { "STORE" };
        if !stores || at + 1 == ctx.args.len() || !ctx.is_word(at, word) {
            return Err(CommandError::Syntax);
        }
        // The key specifications find the first such word: only its key is checked and locked.
        if (first..at).any(|before| ctx.is_word(before, word)) {
            return Err(CommandError::new("ERR STORE and STOREDIST can be given only once"));
        }
        target = Some(Target { key: ctx.key(at + 1), distances, event: "georadiusstore" });
        at += 2;
    }
    if target.is_some() && options.has_details() {
        return Err(CommandError::new(
            "ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and \
             WITHCOORD options",
        ));
    }
    options.check()?;
    Ok((options, target))
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    fn sicily() -> Client {
        let mut client = Client::new();
        client.say("GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania");
        client
    }

    #[test]
    fn places_near_a_point_or_a_member() {
        let mut client = sicily();
        assert_eq!(client.say("GEORADIUS g 15 37 100 km"), "*1\r\n$7\r\nCatania\r\n");
        assert_eq!(
            client.say("GEORADIUS g 15 37 200 km WITHDIST ASC"),
            "*2\r\n*2\r\n$7\r\nCatania\r\n$7\r\n56.4413\r\n*2\r\n$7\r\nPalermo\r\n$8\r\n190.4424\r\n"
        );
        assert_eq!(
            client.say("GEORADIUS_RO g 15 37 200 km COUNT 1 DESC WITHHASH"),
            "*1\r\n*2\r\n$7\r\nPalermo\r\n:3479099956230698\r\n"
        );
        assert_eq!(client.say("GEORADIUSBYMEMBER g Palermo 1 m"), "*1\r\n$7\r\nPalermo\r\n");
        assert_eq!(client.say("GEORADIUSBYMEMBER_RO g Palermo 200 km COUNT 1 ANY ASC").len(), 17);
        assert_eq!(client.say("GEORADIUSBYMEMBER nothing x 1 yd"), "*0\r\n");
        assert_eq!(client.say("GEORADIUS nothing 1 1 1 m STORE d"), ":0\r\n");
    }

    #[test]
    fn what_is_found_is_stored() {
        let mut client = sicily();
        assert_eq!(client.say("GEORADIUS g 15 37 200 km STORE d"), ":2\r\n");
        assert_eq!(client.say("ZSCORE d Palermo"), "$16\r\n3479099956230698\r\n");
        assert_eq!(client.say("GEORADIUS g 15 37 100 km STOREDIST d"), ":1\r\n");
        assert!(client.say("ZRANGE d 0 -1 WITHSCORES").contains("56.4412578701582"));
        assert_eq!(client.say("GEORADIUSBYMEMBER nothing x 1 km STORE d"), ":0\r\n");
        assert_eq!(client.say("EXISTS d"), ":0\r\n");
    }

    #[test]
    fn bad_arguments_are_refused() {
        let mut client = sicily();
        client.say("SET t x");
        for (command, text) in [
            ("GEORADIUS t x 1 1 m", "WRONGTYPE"),
            ("GEORADIUS g 15 x 1 m", "value is not a valid float"),
            ("GEORADIUS g 15 99 1 m", "invalid longitude,latitude pair 15.000000,99.000000"),
            ("GEORADIUS g 15 37 x m", "need numeric radius"),
            ("GEORADIUS g 15 37 -1 m", "radius cannot be negative"),
            ("GEORADIUS g 15 37 1 yd", "unsupported unit provided"),
            ("GEORADIUS g 15 37 1 m COUNT 0", "COUNT must be > 0"),
            ("GEORADIUS g 15 37 1 m ANY", "the ANY argument requires COUNT argument"),
            ("GEORADIUS g 15 37 1 m STORE", "syntax error"),
            ("GEORADIUS g 15 37 1 m WITHDIST STORE d", "not compatible with WITHDIST"),
            ("GEORADIUS_RO g 15 37 1 m STORE d", "syntax error"),
            ("GEORADIUSBYMEMBER g x 1 m", "could not decode requested zset member"),
            ("GEORADIUSBYMEMBER t x 1 m", "WRONGTYPE"),
        ] {
            let reply = client.say(command);
            assert!(reply.starts_with('-') && reply.contains(text), "{command}: {reply}");
        }
        for options in ["STORE a STORE b", "STOREDIST STORE STORE b", "STOREDIST a STOREDIST a"] {
            let reply = client.say(&format!("GEORADIUS g 15 37 1 m {options}"));
            assert!(reply.contains("only once"), "{options}: {reply}");
        }
        assert_eq!(client.say("GEORADIUS g 15 37 1 m STORE a STOREDIST b"), ":0\r\n");
    }
}
