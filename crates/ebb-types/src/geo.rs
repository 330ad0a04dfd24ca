//! Places on the earth: geohashes, distances, and what lies in an area.
//!
//! A place is stored as a geohash of 52 bits, which a double holds exactly. Longitude and latitude
//! become 26 bits each, and their bits alternate, those of the longitude first. All places in a
//! cell of the grid that fewer bits draw are neighbours in the order of the hashes, so an area is
//! searched as a few ranges of hashes: the cell around its centre and those around that.

use std::ops::Range;

/// Degrees of longitude that can be stored, to both sides.
pub const LONGITUDE_MAX: f64 = 180.0;
/// Degrees of latitude that can be stored, to both sides: where Web Mercator ends.
pub const LATITUDE_MAX: f64 = 85.05112878;
/// Bits of a coordinate.
const STEPS: u32 = 26;
const EARTH_RADIUS_M: f64 = 6372797.560856;
/// Half the circumference of the earth in Web Mercator, in metres.
const MERCATOR_MAX_M: f64 = 20037726.37;

/// A place, in degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// From -180, west, to 180.
    pub longitude: f64,
    /// From -90, south, to 90.
    pub latitude: f64,
}

impl Point {
    /// Whether it can be stored.
    pub fn is_valid(self) -> bool {
        self.longitude.abs() <= LONGITUDE_MAX && self.latitude.abs() <= LATITUDE_MAX
    }

    /// Its geohash of 52 bits.
    pub fn hash(self) -> u64 {
        Cell::around(self, STEPS).bits()
    }

    /// The middle of a geohash's cell.
    pub fn from_hash(hash: u64) -> Point {
        let (low, high) = Cell::from_bits(hash, STEPS).corners();
        let middle = |low: f64, high: f64, max: f64| ((low + high) / 2.0).clamp(-max, max);
        Point {
            longitude: middle(low.longitude, high.longitude, LONGITUDE_MAX),
            latitude: middle(low.latitude, high.latitude, LATITUDE_MAX),
        }
    }

    /// The place in the letters of geohash.org, which lets latitudes go to 90 degrees. The last of
    /// the 11 letters would need more bits than there are, and is always `0`.
    pub fn letters(self) -> [u8; 11] {
        const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
        let bits =
            interleave(scale(self.latitude, 90.0, STEPS), scale(self.longitude, 180.0, STEPS));
        let mut letters = [b'0'; 11];
        for (at, letter) in letters[..10].iter_mut().enumerate() {
            *letter = ALPHABET[(bits >> (47 - 5 * at) & 31) as usize];
        }
        letters
    }

    /// Metres to another place along a great circle.
    pub fn distance_m(self, other: Point) -> f64 {
        let half_width = ((other.longitude.to_rad() - self.longitude.to_rad()) / 2.0).sin();
        if half_width == 0.0 {
            return latitudes_apart_m(self.latitude, other.latitude);
        }
        let (from, to) = (self.latitude.to_rad(), other.latitude.to_rad());
        let half_height = ((to - from) / 2.0).sin();
        let haversine = half_height * half_height + from.cos() * to.cos() * half_width * half_width;
        2.0 * EARTH_RADIUS_M * haversine.sqrt().asin()
    }
}

fn latitudes_apart_m(one: f64, other: f64) -> f64 {
    EARTH_RADIUS_M * (other.to_rad() - one.to_rad()).abs()
}

/// Degrees and radians with the roundings that Redis has, so that distances agree in every digit.
trait Angle {
    fn to_rad(self) -> f64;
    fn to_deg(self) -> f64;
}

const RADIANS_PER_DEGREE: f64 = std::f64::consts::PI / 180.0;

impl Angle for f64 {
    fn to_rad(self) -> f64 {
        self * RADIANS_PER_DEGREE
    }

    fn to_deg(self) -> f64 {
        self / RADIANS_PER_DEGREE
    }
}

/// Where a coordinate lies between `-max` and `max`, as an integer of so many bits.
fn scale(coordinate: f64, max: f64, bits: u32) -> u32 {
    ((coordinate + max) / (2.0 * max) * f64::from(1u32 << bits)) as u32
}

/// Spreads bits out, to every second place.
fn spread(bits: u32) -> u64 {
    let mut wide = u64::from(bits);
    for (shift, mask) in [
        (16, 0x0000_ffff_0000_ffff),
        (8, 0x00ff_00ff_00ff_00ff),
        (4, 0x0f0f_0f0f_0f0f_0f0f),
        (2, 0x3333_3333_3333_3333),
        (1, 0x5555_5555_5555_5555),
    ] {
        wide = (wide | wide << shift) & mask;
    }
    wide
}

/// Gathers every second bit, from the lowest on.
fn gather(mut bits: u64) -> u32 {
    bits &= 0x5555_5555_5555_5555;
    for (shift, mask) in [
        (1, 0x3333_3333_3333_3333),
        (2, 0x0f0f_0f0f_0f0f_0f0f),
        (4, 0x00ff_00ff_00ff_00ff),
        (8, 0x0000_ffff_0000_ffff),
        (16, 0x0000_0000_ffff_ffff),
    ] {
        bits = (bits | bits >> shift) & mask;
    }
    bits as u32
}

fn interleave(latitude: u32, longitude: u32) -> u64 {
    spread(latitude) | spread(longitude) << 1
}

/// A cell of the grid that divides each coordinate into `2^steps` parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cell {
    column: u32,
    row: u32,
    steps: u32,
}

impl Cell {
    fn around(point: Point, steps: u32) -> Cell {
        Cell {
            column: scale(point.longitude, LONGITUDE_MAX, steps),
            row: scale(point.latitude, LATITUDE_MAX, steps),
            steps,
        }
    }

    fn from_bits(bits: u64, steps: u32) -> Cell {
        Cell { column: gather(bits >> 1), row: gather(bits), steps }
    }

    fn bits(self) -> u64 {
        interleave(self.row, self.column)
    }

    /// The hashes of the places in it.
    fn hashes(self) -> Range<u64> {
        let shift = 2 * (STEPS - self.steps);
        self.bits() << shift..(self.bits() + 1) << shift
    }

    /// Its south-west and north-east corners.
    fn corners(self) -> (Point, Point) {
        self.corners_with(0)
    }

    /// The same of it and so many cells to every side, as if the grid went on beyond its edges.
    fn corners_with(self, margin: i64) -> (Point, Point) {
        let parts = f64::from(1u32 << self.steps);
        let corner = |column: i64, row: i64| Point {
            longitude: -LONGITUDE_MAX + column as f64 / parts * (2.0 * LONGITUDE_MAX),
            latitude: -LATITUDE_MAX + row as f64 / parts * (2.0 * LATITUDE_MAX),
        };
        let (column, row) = (i64::from(self.column), i64::from(self.row));
        (corner(column - margin, row - margin), corner(column + 1 + margin, row + 1 + margin))
    }

    /// The cell some columns to the east and rows to the north; the grid is joined at its edges.
    fn neighbour(self, east: i32, north: i32) -> Cell {
        let mask = (1 << self.steps) - 1;
        let shift = |at: u32, by: i32| match by {
            0 => at,
            _ => at.wrapping_add_signed(by) & mask,
        };
        Cell { column: shift(self.column, east), row: shift(self.row, north), ..self }
    }
}

/// The form of an area, in metres.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// All places up to a distance.
    Circle {
        /// The distance.
        radius_m: f64,
    },
    /// All places up to half the width to the east and west, and half the height to the north and
    /// south.
    Box {
        /// From west to east.
        width_m: f64,
        /// From south to north.
        height_m: f64,
    },
    /// The places that are inside of a line through these, whose ends meet.
    Polygon(Vec<Point>),
}

/// An area to search in.
#[derive(Debug, Clone, PartialEq)]
pub struct Area {
    /// Where distances are measured from.
    pub center: Point,
    /// Its form.
    pub shape: Shape,
}

impl Area {
    /// The area in a polygon. Its centre is where the mean of the vertices, as points of space on a ball, points to.
    pub fn of_polygon(vertices: Vec<Point>) -> Area {
        let (mut x, mut y, mut z) = (0.0, 0.0, 0.0);
        for vertex in &vertices {
            let (longitude, latitude) = (vertex.longitude.to_rad(), vertex.latitude.to_rad());
            x += latitude.cos() * longitude.cos();
            y += latitude.cos() * longitude.sin();
            z += latitude.sin();
        }
        let center = Point {
            longitude: y.atan2(x).to_deg(),
            latitude: z.atan2((x * x + y * y).sqrt()).to_deg(),
        };
        Area { center, shape: Shape::Polygon(vertices) }
    }

    /// How far a place is from the centre, in metres, if it lies in the area.
    pub fn distance_within_m(&self, point: Point) -> Option<f64> {
        let center = self.center;
        let is_within = match &self.shape {
            Shape::Circle { radius_m } => {
                let distance = center.distance_m(point);
                return (distance <= *radius_m).then_some(distance);
            }
            Shape::Box { width_m, height_m } => {
                let beside = Point { longitude: center.longitude, latitude: point.latitude };
                latitudes_apart_m(point.latitude, center.latitude) <= height_m / 2.0
                    && point.distance_m(beside) <= width_m / 2.0
            }
            Shape::Polygon(vertices) => is_inside(vertices, point),
        };
        is_within.then(|| center.distance_m(point))
    }

    /// The ranges of hashes that hold all places of the area, and others. A cell is named once.
    pub fn hashes(&self) -> Vec<Range<u64>> {
        let (low, high) = self.bounds();
        let reach = self.reach_m(low, high);
        let mut center = Cell::around(self.center, steps_for(reach, self.center.latitude));
        while center.steps > 1 && is_too_fine(center, low, high) {
            center = Cell::around(self.center, center.steps - 1);
        }
        let (south_west, north_east) = center.corners();
        // A cell on a side where the centre's own goes beyond the area holds none of it; the cells
        // of the coarsest grid touch each other on both sides.
        let is_needed = |east: i32, north: i32| {
            center.steps < 2
                || !(north < 0 && south_west.latitude < low.latitude
                    || north > 0 && north_east.latitude > high.latitude
                    || east < 0 && south_west.longitude < low.longitude
                    || east > 0 && north_east.longitude > high.longitude)
        };
        let mut cells: Vec<Cell> = Vec::with_capacity(9);
        for (east, north) in AROUND {
            let cell = center.neighbour(east, north);
            if is_needed(east, north) && !cells.contains(&cell) {
                cells.push(cell);
            }
        }
        cells.into_iter().map(Cell::hashes).collect()
    }

    /// The south-west and north-east corners of what contains the area.
    fn bounds(&self) -> (Point, Point) {
        let (half_width, half_height) = match &self.shape {
            Shape::Circle { radius_m } => (*radius_m, *radius_m),
            Shape::Box { width_m, height_m } => (width_m / 2.0, height_m / 2.0),
            Shape::Polygon(vertices) => return bounds_of(vertices),
        };
        let Point { longitude, latitude } = self.center;
        let height = (half_height / EARTH_RADIUS_M).to_deg();
        // The circle of latitude that is nearer to a pole is the shorter one.
        let outer = if latitude < 0.0 { latitude - height } else { latitude + height };
        // An area with a pole in it is on all meridians.
        let width = match outer.abs() < 90.0 {
            true => (half_width / EARTH_RADIUS_M / outer.to_rad().cos()).to_deg(),
            false => 2.0 * LONGITUDE_MAX,
        };
        (
            Point { longitude: longitude - width, latitude: latitude - height },
            Point { longitude: longitude + width, latitude: latitude + height },
        )
    }

    /// How far from the centre the area goes.
    fn reach_m(&self, low: Point, high: Point) -> f64 {
        match &self.shape {
            Shape::Circle { radius_m } => *radius_m,
            Shape::Box { width_m, height_m } => {
                ((width_m / 2.0) * (width_m / 2.0) + (height_m / 2.0) * (height_m / 2.0)).sqrt()
            }
            Shape::Polygon(_) => {
                let corner = |longitude, latitude| Point { longitude, latitude };
                [
                    low,
                    high,
                    corner(low.longitude, high.latitude),
                    corner(high.longitude, low.latitude),
                ]
                .iter()
                .map(|&corner| self.center.distance_m(corner))
                .fold(0.0, f64::max)
            }
        }
    }
}

/// Whether the cells around one end before these bounds do.
fn is_too_fine(center: Cell, low: Point, high: Point) -> bool {
    let (south_west, north_east) = center.corners_with(1);
    north_east.latitude < high.latitude
        || north_east.longitude < high.longitude
        || south_west.latitude > low.latitude
        || south_west.longitude > low.longitude
}

/// A cell and its neighbours, columns to the east and rows to the north, in the order in which
/// they are searched.
const AROUND: [(i32, i32); 9] =
    [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)];

/// The finest grid whose cells are large enough to hold an area in nine of them.
fn steps_for(reach_m: f64, latitude: f64) -> u32 {
    if reach_m == 0.0 {
        return STEPS;
    }
    let mut steps = 1;
    let mut covered = reach_m;
    while covered < MERCATOR_MAX_M {
        covered *= 2.0;
        steps += 1;
    }
    // Two steps less for a margin; cells are narrower towards the poles.
    steps -= 2;
    if latitude.abs() > 66.0 {
        steps -= 1;
    }
    if latitude.abs() > 80.0 {
        steps -= 1;
    }
    steps.clamp(1, STEPS as i32) as u32
}

fn bounds_of(vertices: &[Point]) -> (Point, Point) {
    let ends = |of: fn(&Point) -> f64| {
        let all = || vertices.iter().map(of);
        (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max))
    };
    let (west, east) = ends(|point| point.longitude);
    let (south, north) = ends(|point| point.latitude);
    (Point { longitude: west, latitude: south }, Point { longitude: east, latitude: north })
}

/// Whether a line from a point to the east crosses a polygon's sides an odd number of times.
fn is_inside(vertices: &[Point], point: Point) -> bool {
    let sides = vertices.iter().zip(vertices.iter().cycle().skip(1));
    let crossed = sides.filter(|(from, to)| {
        (from.latitude > point.latitude) != (to.latitude > point.latitude) && {
            let along = (point.latitude - from.latitude) / (to.latitude - from.latitude);
            point.longitude < from.longitude + along * (to.longitude - from.longitude)
        }
    });
    crossed.count() % 2 == 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PALERMO: Point = Point { longitude: 13.361389, latitude: 38.115556 };
    const CATANIA: Point = Point { longitude: 15.087269, latitude: 37.502669 };

    #[test]
    fn hashes_are_those_of_redis() {
        assert_eq!(PALERMO.hash(), 3479099956230698);
        assert_eq!(CATANIA.hash(), 3479447370796909);
        assert_eq!(&Point::from_hash(PALERMO.hash()).letters(), b"sqc8b49rny0");
        let (palermo, catania) =
            (Point::from_hash(PALERMO.hash()), Point::from_hash(CATANIA.hash()));
        assert_eq!(format!("{:.17}", palermo.longitude), "13.36138933897018433");
        assert_eq!(format!("{:.4}", palermo.distance_m(catania)), "166274.1516");
    }

    #[test]
    fn areas_near_a_pole_are_wide() {
        for (from, to, radius_m) in [
            ((-0.15307903289794922, 85.0), (0.3515625, 85.00019260486917), 4891.94),
            ((-4.952119588851929, 85.0), (11.25, 85.0511), 156_544.0),
            ((-45.0, 65.50900022111811), (90.0, 85.0511), 5_009_431.0),
            ((45.0, 65.0), (-135.0, 85.05), 5_009_431.0),
        ] {
            let stored =
                |(longitude, latitude)| Point::from_hash(Point { longitude, latitude }.hash());
            let (center, place) = (stored(from), stored(to));
            let area = Area { center, shape: Shape::Circle { radius_m } };
            assert!(area.distance_within_m(place).is_some());
            assert!(area.hashes().iter().any(|hashes| hashes.contains(&place.hash())), "{to:?}");
        }
    }

    #[test]
    fn polygons_have_an_inside() {
        let point = |longitude, latitude| Point { longitude, latitude };
        let corner = vec![
            point(0.0, 0.0),
            point(9.0, 0.0),
            point(9.0, 1.0),
            point(1.0, 1.0),
            point(1.0, 9.0),
            point(0.0, 9.0),
        ];
        let area = Area::of_polygon(corner);
        assert!(area.distance_within_m(point(0.5, 8.0)).is_some());
        assert!(area.distance_within_m(point(8.0, 0.5)).is_some());
        assert!(area.distance_within_m(point(2.0, 2.0)).is_none());
        // The middle of places far apart is on the ball, not on the map.
        let far = Area::of_polygon(vec![point(0.0, 60.0), point(90.0, 60.0), point(90.0, 59.0)]);
        assert!((far.center.longitude - 63.78).abs() < 0.01, "{:?}", far.center);
        assert!((far.center.latitude - 66.39).abs() < 0.1, "{:?}", far.center);
        let over =
            Area::of_polygon(vec![point(179.0, 0.0), point(-179.0, 1.0), point(-179.0, -1.0)]);
        assert!(over.center.longitude.abs() > 179.0, "{:?}", over.center);
    }

    fn place() -> impl Strategy<Value = Point> {
        (-180.0..=180.0, -85.0..=85.0)
            .prop_map(|(longitude, latitude)| Point { longitude, latitude })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn a_place_comes_back_nearly(place in place()) {
            let back = Point::from_hash(place.hash());
            prop_assert!((back.longitude - place.longitude).abs() < 1e-5);
            prop_assert!((back.latitude - place.latitude).abs() < 1e-5);
            prop_assert_eq!(back.hash(), place.hash());
        }

        #[test]
        fn what_is_in_an_area_is_in_its_hashes(
            center in (-180.0..180.0, -85.0..85.0),
            offset in prop_oneof![(-4.0..4.0, -4.0..4.0), (-0.1..0.1, -0.1..0.1), (-180.0..180.0, -9.0..9.0)],
            size_m in 1.0..500_000.0,
            form in 0..3,
        ) {
            let (longitude, latitude) = center;
            let center = Point { longitude, latitude };
            let near = |east: f64, north: f64| Point {
                longitude: longitude + east,
                latitude: latitude + north,
            };
            let area = match form {
                0 => Area { center, shape: Shape::Circle { radius_m: size_m } },
                1 => Area { center, shape: Shape::Box { width_m: size_m, height_m: size_m / 3.0 } },
                _ => {
                    let size = size_m / 100_000.0;
                    Area::of_polygon(vec![near(-size, 0.0), near(size / 2.0, size), near(0.0, -size)])
                }
            };
            let mut place = near(offset.0, offset.1);
            if form < 2 && place.longitude.abs() > 180.0 {
                place.longitude -= 360.0_f64.copysign(place.longitude);
            }
            if !place.is_valid() {
                return Ok(());
            }
            let place = Point::from_hash(place.hash());
            if area.distance_within_m(place).is_some() {
                let hash = place.hash();
                prop_assert!(area.hashes().iter().any(|hashes| hashes.contains(&hash)));
            }
        }
    }
}
