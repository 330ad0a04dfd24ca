//! What GEOSEARCH, GEORADIUS and their kin ask for, and how it is found and answered.

use ebb_collections::{Bound, Range, SortedSetRef};
use ebb_engine::{CommandError, CommandResult, Context, Event, Reply};
use ebb_keyspace::Key;
use ebb_types::geo::{Area, Point};

use super::{get, units};

/// In which order places are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// As they are found.
    Any,
    /// Nearest first.
    Ascending,
    /// Farthest first.
    Descending,
}

/// Where places are stored.
pub(super) struct Target<'a> {
    pub(super) key: Key<'a>,
    /// The distance is the score, instead of the geohash.
    pub(super) distances: bool,
    pub(super) event: &'static str,
}

/// A search.
pub(super) struct Query<'a> {
    pub(super) area: Area,
    /// The metres of the unit in which distances are answered.
    pub(super) unit_m: f64,
    pub(super) options: Options,
    pub(super) target: Option<Target<'a>>,
}

/// What all searches can be told.
pub(super) struct Options {
    pub(super) distances: bool,
    pub(super) hashes: bool,
    pub(super) coordinates: bool,
    /// At most so many; 0 for all.
    pub(super) count: usize,
    /// The first that are found are good enough.
    pub(super) any: bool,
    pub(super) order: Order,
}

impl Options {
    pub(super) fn new() -> Options {
        Options {
            distances: false,
            hashes: false,
            coordinates: false,
            count: 0,
            any: false,
            order: Order::Any,
        }
    }

    /// Takes the option at `at`, if it is one; answers how many arguments it has.
    pub(super) fn take(
        &mut self,
        ctx: &Context<'_>,
        at: usize,
    ) -> Result<Option<usize>, CommandError> {
        match () {
            () if ctx.is_word(at, "WITHDIST") => self.distances = true,
            () if ctx.is_word(at, "WITHHASH") => self.hashes = true,
            () if ctx.is_word(at, "WITHCOORD") => self.coordinates = true,
            () if ctx.is_word(at, "ANY") => self.any = true,
            () if ctx.is_word(at, "ASC") => self.order = Order::Ascending,
            () if ctx.is_word(at, "DESC") => self.order = Order::Descending,
            () if ctx.is_word(at, "COUNT") && at + 1 < ctx.args.len() => {
                self.count = match ctx.int(at + 1)? {
                    count if count > 0 => count as usize,
                    _ => return Err(CommandError::new("ERR COUNT must be > 0")),
                };
                return Ok(Some(2));
            }
            () => return Ok(None),
        }
        Ok(Some(1))
    }

    /// Whether more than the members is answered.
    pub(super) fn has_details(&self) -> bool {
        self.distances || self.hashes || self.coordinates
    }

    /// Checks what belongs together, and orders what is counted.
    pub(super) fn check(&mut self) -> CommandResult {
        if self.any && self.count == 0 {
            return Err(CommandError::new("ERR the ANY argument requires COUNT argument"));
        }
        // The nearest are meant, unless any are good enough.
        if self.count > 0 && !self.any && self.order == Order::Any {
            self.order = Order::Ascending;
        }
        Ok(())
    }
}

/// A place in the area.
struct Place<'s> {
    member: &'s [u8],
    score: f64,
    point: Point,
    distance_m: f64,
}

impl Query<'_> {
    /// The places in the area, in order, not more than are wanted.
    fn find<'s>(&self, set: &SortedSetRef<'s>) -> Vec<Place<'s>> {
        let Options { count, any, order, .. } = self.options;
        let enough = if any { count } else { usize::MAX };
        let mut places = Vec::new();
        for hashes in self.area.hashes() {
            let (low, high) = (hashes.start as f64, hashes.end as f64);
            let ranks = set.ranks(&Range::Score(Bound::Included(low), Bound::Excluded(high)));
            let mut left = ranks.len();
            if left == 0 || places.len() >= enough {
                continue;
            }
            set.walk(ranks.start, |member, score| {
                let point = get::place(score);
                if let Some(distance_m) = self.area.distance_within_m(point) {
                    places.push(Place { member, score, point, distance_m });
                }
                left -= 1;
                left > 0 && places.len() < enough
            });
        }
        let nearer = |a: &Place<'_>, b: &Place<'_>| a.distance_m.total_cmp(&b.distance_m);
        match order {
            Order::Any => {}
            Order::Ascending => places.sort_by(nearer),
            Order::Descending => places.sort_by(|a, b| nearer(b, a)),
        }
        if count > 0 {
            places.truncate(count);
        }
        places
    }

    fn reply(&self, reply: &mut Reply, places: &[Place<'_>]) {
        let Options { distances, hashes, coordinates, .. } = self.options;
        reply.array(places.len());
        for place in places {
            if self.options.has_details() {
                let details = [distances, hashes, coordinates];
                reply.array(1 + details.iter().filter(|&&wanted| wanted).count());
            }
            reply.bulk(place.member);
            if distances {
                units::reply_distance(reply, place.distance_m / self.unit_m);
            }
            if hashes {
                reply.integer(place.score as i64);
            }
            if coordinates {
                units::reply_point(reply, place.point);
            }
        }
    }

    /// Searches the sorted set of a key, and answers or stores what is found.
    pub(super) fn run(&self, ctx: &mut Context<'_>, source: &Key<'_>) -> CommandResult {
        ctx.require_copies([*source])?;
        let Some(target) = &self.target else {
            let (set, reply) = ctx.read_sorted_set_and_reply(source)?;
            let places = set.map_or(Vec::new(), |set| self.find(&set));
            self.reply(reply, &places);
            return Ok(());
        };
        let mut result = ctx.new_sorted_set(&target.key);
        if let Some(set) = ctx.read_sorted_set(source)? {
            for place in self.find(&set) {
                let distance = place.distance_m / self.unit_m;
                let score = if target.distances { distance } else { place.score };
                result.set(place.member, score)?;
            }
        }
        let len = result.as_ref().len();
        ctx.store(&target.key, result.into_slot(), Event::zset(target.event))?;
        ctx.reply.count(len);
        Ok(())
    }
}

/// The place of a member; `None` if there is no key at all.
pub(super) fn place_of(
    ctx: &mut Context<'_>,
    key: &Key<'_>,
    member: &[u8],
) -> Result<Option<Point>, CommandError> {
    let Some(set) = ctx.peek(key) else { return Ok(None) };
    let set = set.sorted_set().ok_or(CommandError::WrongType)?;
    let score =
        set.score(member).ok_or(CommandError::new("ERR could not decode requested zset member"))?;
    Ok(Some(get::place(score)))
}

/// Whether a key is there, which must be a sorted set. A wrong type is told before anything else.
pub(super) fn source_exists(ctx: &mut Context<'_>, key: &Key<'_>) -> Result<bool, CommandError> {
    match ctx.peek(key) {
        None => Ok(false),
        Some(entry) => entry.sorted_set().map(|_| true).ok_or(CommandError::WrongType),
    }
}

/// Answers, or stores, that nothing was found because there is no key.
pub(super) fn nothing(
    ctx: &mut Context<'_>,
    source: &Key<'_>,
    target: Option<Target<'_>>,
) -> CommandResult {
    // It counts as a miss.
    ctx.read(source);
    let Some(target) = target else {
        ctx.reply.array(0);
        return Ok(());
    };
    let empty = ctx.new_sorted_set(&target.key).into_slot();
    ctx.store(&target.key, empty, Event::zset(target.event))?;
    ctx.reply.integer(0);
    Ok(())
}
