//! Coordinates and distances in arguments and replies.

use ebb_engine::{CommandError, Context, Reply};
use ebb_types::float::parse_f64;
use ebb_types::geo::Point;

/// A longitude and the latitude behind it.
pub(super) fn point(ctx: &Context<'_>, at: usize) -> Result<Point, CommandError> {
    let degrees = |at| parse_f64(ctx.arg(at)).ok_or(CommandError::NotFloat);
    let point = Point { longitude: degrees(at)?, latitude: degrees(at + 1)? };
    if point.is_valid() {
        return Ok(point);
    }
    let Point { longitude, latitude } = point;
    Err(CommandError::new(format!(
        "ERR invalid longitude,latitude pair {longitude:.6},{latitude:.6}"
    )))
}

/// The metres of a unit.
pub(super) fn unit_m(ctx: &Context<'_>, at: usize) -> Result<f64, CommandError> {
    match () {
        () if ctx.is_word(at, "M") => Ok(1.0),
        () if ctx.is_word(at, "KM") => Ok(1000.0),
        () if ctx.is_word(at, "FT") => Ok(0.3048),
        () if ctx.is_word(at, "MI") => Ok(1609.34),
        () => Err(CommandError::new("ERR unsupported unit provided. please use M, KM, FT, MI")),
    }
}

/// A number that is a length in some unit; `error` is for what is no number.
pub(super) fn length(
    ctx: &Context<'_>,
    at: usize,
    error: &'static str,
) -> Result<f64, CommandError> {
    parse_f64(ctx.arg(at)).ok_or(CommandError::new(error))
}

/// Answers a distance, with four digits behind the point.
pub(super) fn reply_distance(reply: &mut Reply, distance: f64) {
    reply.bulk(format!("{distance:.4}").as_bytes());
}

/// Answers a longitude and a latitude.
pub(super) fn reply_point(reply: &mut Reply, point: Point) {
    reply.array(2);
    reply_degrees(reply, point.longitude);
    reply_degrees(reply, point.latitude);
}

/// Answers degrees with up to 17 digits behind the point: more than a double's shortest form.
fn reply_degrees(reply: &mut Reply, degrees: f64) {
    let text = format!("{degrees:.17}");
    let text = match text.trim_end_matches('0').trim_end_matches('.') {
        "-0" => "0",
        text => text,
    };
    if reply.is_resp3() {
        reply.raw(format!(",{text}\r\n").as_bytes());
    } else {
        reply.bulk(text.as_bytes());
    }
}
