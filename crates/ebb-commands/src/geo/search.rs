//! GEOSEARCH, GEOSEARCHSTORE: places in a circle, a box or a polygon.

use ebb_engine::{
    Argument, CommandError, CommandResult, CommandSpec, Context, Flags, Group, KeyFlags, KeySpec,
};
use ebb_types::geo::{Area, Point, Shape};

use super::arguments::{
    BY, COUNT, FROM, ORDER, SEARCH_HISTORY, WITH_COORDINATES, WITH_DISTANCES, WITH_HASHES,
};
use super::query::{self, Options, Query, Target};
use super::radius::radius;
use super::units;

pub(super) static GEOSEARCH: CommandSpec = CommandSpec {
    name: "geosearch",
    summary: "Returns the places in a circle, a box or a polygon.",
    since: "6.2.0",
    group: Group::Geo,
    complexity: "O(N+log(M)) for N places near the area and M in the set.",
    arity: -7,
    flags: Flags::READONLY,
    keys: &[KeySpec::one(1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    arguments: &[
        Argument::key("key", 0),
        FROM,
        BY,
        ORDER,
        COUNT,
        WITH_COORDINATES,
        WITH_DISTANCES,
        WITH_HASHES,
    ],
    history: SEARCH_HISTORY,
    run: |ctx| search(ctx, false),
    ..CommandSpec::NEW
};
pub(super) static GEOSEARCHSTORE: CommandSpec = CommandSpec {
    name: "geosearchstore",
    summary: "Stores the places in a circle, a box or a polygon in a key.",
    since: "6.2.0",
    group: Group::Geo,
    complexity: "O(N+log(M)) for N places near the area and M in the set.",
    arity: -8,
    flags: Flags::WRITE.and(Flags::DENYOOM),
    keys: &[
        KeySpec::one(1, KeyFlags::OW.and(KeyFlags::UPDATE)),
        KeySpec::one(2, KeyFlags::RO.and(KeyFlags::ACCESS)),
    ],
    arguments: &[
        Argument::key("destination", 0),
        Argument::key("source", 1),
        FROM,
        BY,
        ORDER,
        COUNT,
        Argument::word("storedist", "STOREDIST").optional(),
    ],
    history: SEARCH_HISTORY,
    run: |ctx| search(ctx, true),
    ..CommandSpec::NEW
};

/// What the centre is.
#[derive(Clone, Copy, PartialEq)]
enum Center {
    NotGiven,
    /// A member; no place if there is no key.
    Member(Option<Point>),
    Point(Point),
}

/// Options as they are read.
struct Parser {
    options: Options,
    center: Center,
    shape: Option<Shape>,
    unit_m: f64,
    store_distances: bool,
}

impl Parser {
    fn has_circle(&self) -> bool {
        matches!(self.shape, Some(Shape::Circle { .. }))
    }

    fn has_box(&self) -> bool {
        matches!(self.shape, Some(Shape::Box { .. }))
    }

    fn has_polygon(&self) -> bool {
        matches!(self.shape, Some(Shape::Polygon(_)))
    }

    /// Takes the centre at `at`, if that is one; answers how many arguments it has.
    fn take_center(
        &mut self,
        ctx: &mut Context<'_>,
        source: usize,
        at: usize,
    ) -> Result<Option<usize>, CommandError> {
        let more = ctx.args.len() - at - 1;
        let is_point = matches!(self.center, Center::Point(_));
        let is_member = matches!(self.center, Center::Member(_));
        if self.has_polygon() {
            return Ok(None);
        }
        if more >= 1 && !is_point && ctx.is_word(at, "FROMMEMBER") {
            let place = query::place_of(ctx, &ctx.key(source), ctx.arg(at + 1))?;
            self.center = Center::Member(place);
            return Ok(Some(2));
        }
        if more >= 2 && !is_member && ctx.is_word(at, "FROMLONLAT") {
            self.center = Center::Point(units::point(ctx, at + 1)?);
            return Ok(Some(3));
        }
        Ok(None)
    }

    /// The same for a shape.
    fn take_shape(&mut self, ctx: &Context<'_>, at: usize) -> Result<Option<usize>, CommandError> {
        let more = ctx.args.len() - at - 1;
        let (circle, box_, polygon) = (self.has_circle(), self.has_box(), self.has_polygon());
        if more >= 2 && !box_ && !polygon && ctx.is_word(at, "BYRADIUS") {
            let (radius_m, unit_m) = radius(ctx, at + 1)?;
            self.shape = Some(Shape::Circle { radius_m });
            self.unit_m = unit_m;
            return Ok(Some(3));
        }
        if more >= 3 && !circle && !polygon && ctx.is_word(at, "BYBOX") {
            let width = units::length(ctx, at + 1, "ERR need numeric width")?;
            let height = units::length(ctx, at + 2, "ERR need numeric height")?;
            if width < 0.0 || height < 0.0 {
                return Err(CommandError::new("ERR height or width cannot be negative"));
            }
            self.unit_m = units::unit_m(ctx, at + 3)?;
            let (width_m, height_m) = (width * self.unit_m, height * self.unit_m);
            self.shape = Some(Shape::Box { width_m, height_m });
            return Ok(Some(4));
        }
        // A polygon has a centre of its own.
        let is_alone = !circle && !box_ && self.center == Center::NotGiven;
        if more >= 2 && is_alone && ctx.is_word(at, "BYPOLYGON") {
            let vertices = vertices(ctx, at + 1)?;
            let taken = 2 + 2 * vertices.len();
            self.shape = Some(Shape::Polygon(vertices));
            self.unit_m = 1.0;
            return Ok(Some(taken));
        }
        Ok(None)
    }

    /// The area, if the key is there.
    fn area(&mut self, ctx: &Context<'_>) -> Result<Option<Area>, CommandError> {
        let name = String::from_utf8_lossy(ctx.arg(0));
        let center = match (&self.shape, self.center) {
            (Some(Shape::Polygon(_)), _) => None,
            (_, Center::NotGiven) => {
                return Err(CommandError::new(format!(
                    "ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for {name}"
                )));
            }
            (_, Center::Point(point)) => Some(point),
            (_, Center::Member(place)) => place,
        };
        match (self.shape.take(), center) {
            (None, _) => Err(CommandError::new(format!(
                "ERR exactly one of BYRADIUS and BYBOX can be specified for {name}"
            ))),
            (Some(Shape::Polygon(vertices)), _) => Ok(Some(Area::of_polygon(vertices))),
            (Some(shape), center) => Ok(center.map(|center| Area { center, shape })),
        }
    }
}

/// The vertices of a polygon, behind their number.
fn vertices(ctx: &Context<'_>, at: usize) -> Result<Vec<Point>, CommandError> {
    let error = "ERR GEOSEARCH BYPOLYGON must have at least 3 vertices";
    let count = ctx.int(at).ok().and_then(|count| i32::try_from(count).ok());
    let count = count.ok_or(CommandError::new("ERR invalid number of vertices"))?;
    let count = usize::try_from(count).unwrap_or(0);
    if count < 3 || count > (ctx.args.len() - at - 1) / 2 {
        return Err(CommandError::new(error));
    }
    (0..count).map(|vertex| units::point(ctx, at + 1 + 2 * vertex)).collect()
}

fn search(ctx: &mut Context<'_>, store: bool) -> CommandResult {
    let source = if store { 2 } else { 1 };
    let exists = query::source_exists(ctx, &ctx.key(source))?;
    let mut parser = Parser {
        options: Options::new(),
        center: Center::NotGiven,
        shape: None,
        unit_m: 1.0,
        store_distances: false,
    };
    let mut at = source + 1;
    while at < ctx.args.len() {
        at += match parser.options.take(ctx, at)? {
            Some(taken) => taken,
            None => match parser.take_center(ctx, source, at)? {
                Some(taken) => taken,
                None => match parser.take_shape(ctx, at)? {
                    Some(taken) => taken,
                    None if store && ctx.is_word(at, "STOREDIST") => {
                        parser.store_distances = true;
                        1
                    }
                    None => return Err(CommandError::Syntax),
                },
            },
        };
    }
    if store && parser.options.has_details() {
        return Err(CommandError::new(
            "ERR GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD options",
        ));
    }
    let area = parser.area(ctx)?;
    parser.options.check()?;
    let Parser { options, unit_m, store_distances, .. } = parser;
    let target = store.then(|| Target {
        key: ctx.key(1),
        distances: store_distances,
        event: "geosearchstore",
    });
    match area.filter(|_| exists) {
        Some(area) => Query { area, unit_m, options, target }.run(ctx, &ctx.key(source)),
        None => query::nothing(ctx, &ctx.key(source), target),
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    fn sicily() -> Client {
        let mut client = Client::new();
        client.say("GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania");
        client.say("GEOADD g 12.758489 38.788135 edge1 17.241510 38.788135 edge2");
        client
    }

    fn members(reply: &str) -> String {
        let lines: Vec<&str> = reply.lines().filter(|line| !line.starts_with(['*', '$'])).collect();
        lines.join(" ")
    }

    #[test]
    fn every_shape_and_centre() {
        let mut client = sicily();
        for (query, expected) in [
            ("FROMLONLAT 15 37 BYRADIUS 200 km ASC", "Catania Palermo"),
            ("FROMLONLAT 15 37 BYBOX 400 400 km DESC", "edge1 edge2 Palermo Catania"),
            ("FROMLONLAT 15 37 BYBOX 400 400 km COUNT 2", "Catania Palermo"),
            ("FROMMEMBER Palermo BYRADIUS 100 km ASC WITHDIST", "Palermo 0.0000 edge1 91.4007"),
            ("BYPOLYGON 4 13 37 16 37 16 39 13 39 ASC", "Catania Palermo"),
            ("ASC BYPOLYGON 3 12 38 14 38 12 40", "edge1 Palermo"),
        ] {
            let reply = client.say(&format!("GEOSEARCH g {query}"));
            assert_eq!(members(&reply), expected, "{query}");
        }
        assert_eq!(client.say("GEOSEARCH nothing FROMMEMBER a BYRADIUS 1 m"), "*0\r\n");
        assert_eq!(client.say("GEOSEARCH nothing BYPOLYGON 3 0 0 1 0 1 1"), "*0\r\n");
    }

    #[test]
    fn what_is_found_is_stored() {
        let mut client = sicily();
        let query = "FROMLONLAT 15 37 BYBOX 400 400 km ASC COUNT 3";
        assert_eq!(client.say(&format!("GEOSEARCHSTORE d g {query}")), ":3\r\n");
        assert!(client.say("GEOPOS d Catania").contains("15.08726745843887329"));
        assert_eq!(client.say(&format!("GEOSEARCHSTORE d g {query} STOREDIST")), ":3\r\n");
        assert!(client.say("ZRANGE d 0 0 WITHSCORES").contains("56.4412578701582"));
        assert_eq!(client.say("GEOSEARCHSTORE d nothing FROMMEMBER a BYRADIUS 1 m"), ":0\r\n");
        assert_eq!(client.say("EXISTS d"), ":0\r\n");
    }

    #[test]
    fn bad_arguments_are_refused() {
        let mut client = sicily();
        client.say("SET t x");
        for (query, text) in [
            ("g BYRADIUS 1 m ASC WITHDIST", "exactly one of FROMMEMBER or FROMLONLAT"),
            ("g FROMLONLAT 1 1 ASC WITHDIST", "exactly one of BYRADIUS and BYBOX"),
            ("g FROMLONLAT 1 1 FROMMEMBER a BYRADIUS 1 m", "syntax error"),
            ("g FROMLONLAT 1 1 BYRADIUS 1 m BYBOX 1 1 m", "syntax error"),
            ("g FROMLONLAT 1 1 BYRADIUS 1 m STOREDIST", "syntax error"),
            ("g FROMLONLAT 1 1 BYBOX x 1 m", "need numeric width"),
            ("g FROMLONLAT 1 1 BYBOX 1 x m", "need numeric height"),
            ("g FROMLONLAT 1 1 BYBOX 1 -1 m", "height or width cannot be negative"),
            ("g FROMMEMBER x BYRADIUS 1 m", "could not decode requested zset member"),
            ("g BYPOLYGON 2 0 0 1 1 ASC", "at least 3 vertices"),
            ("g BYPOLYGON 4 0 0 1 1 2 2", "at least 3 vertices"),
            ("g BYPOLYGON x 0 0 1 1 2 2", "invalid number of vertices"),
            ("g BYPOLYGON 3 0 0 1 1 200 2", "invalid longitude,latitude pair"),
            ("g BYPOLYGON 3 0 0 1 1 2 1 FROMLONLAT 1 1", "syntax error"),
            ("g FROMLONLAT 1 1 BYPOLYGON 3 0 0 1 1 2 1", "syntax error"),
            ("t BOGUS 1 2 3 4", "WRONGTYPE"),
        ] {
            let reply = client.say(&format!("GEOSEARCH {query}"));
            assert!(reply.starts_with('-') && reply.contains(text), "{query}: {reply}");
        }
    }
}
