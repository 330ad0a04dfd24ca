//! GEOPOS, GEOHASH, GEODIST: asking about places.

use ebb_engine::{
    Argument, CommandError, CommandResult, CommandSpec, Context, Flags, Group, KeyFlags, KeySpec,
};
use ebb_types::geo::Point;

use super::arguments::UNIT;
use super::units;

pub(super) static GEOPOS: CommandSpec = CommandSpec {
    name: "geopos",
    summary: "Returns the coordinates of places.",
    since: "3.2.0",
    group: Group::Geo,
    complexity: "O(N) for N places asked for.",
    arity: -2,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    arguments: &[Argument::key("key", 0), Argument::string("member").optional().multiple()],
    run: geopos,
    ..CommandSpec::NEW
};
pub(super) static GEOHASH: CommandSpec = CommandSpec {
    name: "geohash",
    summary: "Returns places in the letters of geohash.org.",
    since: "3.2.0",
    group: Group::Geo,
    complexity: "O(N) for N places asked for.",
    arity: -2,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    arguments: &[Argument::key("key", 0), Argument::string("member").optional().multiple()],
    run: geohash,
    ..CommandSpec::NEW
};
pub(super) static GEODIST: CommandSpec = CommandSpec {
    name: "geodist",
    summary: "Returns the distance between two places.",
    since: "3.2.0",
    group: Group::Geo,
    arity: -4,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    arguments: &[
        Argument::key("key", 0),
        Argument::string("member1"),
        Argument::string("member2"),
        UNIT.optional(),
    ],
    run: geodist,
    ..CommandSpec::NEW
};

/// The place that a score stands for. Scores that are no geohash stand for some place, too: that
/// which they have in Redis on a PC.
pub(super) fn place(score: f64) -> Point {
    const TOO_LARGE: f64 = 18446744073709551616.0;
    Point::from_hash(match score {
        _ if score < 0.0 => score as i64 as u64,
        _ if score >= TOO_LARGE => 0,
        _ => score as u64,
    })
}

fn geopos(ctx: &mut Context<'_>) -> CommandResult {
    let (key, args) = (ctx.key(1), ctx.args);
    let (set, reply) = ctx.read_sorted_set_and_reply(&key)?;
    reply.array(args.len() - 2);
    for member in &args[2..] {
        match set.and_then(|set| set.score(member)) {
            Some(score) => units::reply_point(reply, place(score)),
            None => reply.null_array(),
        }
    }
    Ok(())
}

fn geohash(ctx: &mut Context<'_>) -> CommandResult {
    let (key, args) = (ctx.key(1), ctx.args);
    let (set, reply) = ctx.read_sorted_set_and_reply(&key)?;
    reply.array(args.len() - 2);
    for member in &args[2..] {
        match set.and_then(|set| set.score(member)) {
            Some(score) => reply.bulk(&place(score).letters()),
            None => reply.null(),
        }
    }
    Ok(())
}

fn geodist(ctx: &mut Context<'_>) -> CommandResult {
    let (key, from, to) = (ctx.key(1), ctx.arg(2), ctx.arg(3));
    let unit = match ctx.args.len() {
        4 => 1.0,
        5 => units::unit_m(ctx, 4)?,
        _ => return Err(CommandError::Syntax),
    };
    let (set, reply) = ctx.read_sorted_set_and_reply(&key)?;
    let ends = set.and_then(|set| Some((set.score(from)?, set.score(to)?)));
    match ends {
        Some((from, to)) => {
            units::reply_distance(reply, place(from).distance_m(place(to)) / unit);
        }
        None => reply.null(),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn places_are_asked_for() {
        let mut client = Client::new();
        client.say("GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania");
        assert_eq!(
            client.say("GEOPOS g Palermo x"),
            "*2\r\n*2\r\n$20\r\n13.36138933897018433\r\n$20\r\n38.11555639549629859\r\n*-1\r\n"
        );
        assert_eq!(client.say("GEOHASH g Catania x"), "*2\r\n$11\r\nsqdtr74hyu0\r\n$-1\r\n");
        assert_eq!(client.say("GEODIST g Palermo Catania km"), "$8\r\n166.2742\r\n");
        assert_eq!(client.say("GEODIST g Palermo Catania"), "$11\r\n166274.1516\r\n");
        assert_eq!(client.say("GEODIST g Palermo x"), "$-1\r\n");
        assert_eq!(client.say("GEODIST nothing a b"), "$-1\r\n");
        assert_eq!(client.say("GEOPOS nothing a"), "*1\r\n*-1\r\n");
        assert!(client.say("GEODIST g a b yd").contains("unsupported unit provided"));
        assert_eq!(client.say("GEODIST g a b m x"), "-ERR syntax error\r\n");
        client.say("SET t x");
        for command in ["GEOPOS t a", "GEOHASH t a", "GEODIST t a b"] {
            assert!(client.say(command).starts_with("-WRONGTYPE"), "{command}");
        }
        client.say("HELLO 3");
        assert!(
            client.say("GEOPOS g Palermo").starts_with("*1\r\n*2\r\n,13.36138933897018433\r\n")
        );
    }

    #[test]
    fn any_score_is_a_place() {
        let mut client = Client::new();
        client.say("ZADD z -5 below 1e300 above inf infinite");
        let reply = client.say("GEOPOS z below above infinite");
        assert_eq!(reply.matches("-85.05112751263942528").count(), 2, "{reply}");
        assert!(reply.contains("\r\n85.05112877999999"), "{reply}");
        assert!(client.say("GEODIST z below above").starts_with('$'));
        assert!(client.say("GEORADIUS z 0 0 40000 km").starts_with('*'));
    }
}
