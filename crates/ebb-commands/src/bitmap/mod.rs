//! Bit operations on strings.

use ebb_engine::{CommandError, CommandSpec, Context};
use ebb_types::number::parse_i64;

mod bitfield;
mod bitop;
mod count;
mod single;

/// The group's commands.
pub const COMMANDS: &[&CommandSpec] = &[
    &bitfield::BITFIELD,
    &bitfield::BITFIELD_RO,
    &bitop::SPEC,
    &count::BITCOUNT,
    &count::BITPOS,
    &single::GETBIT,
    &single::SETBIT,
];

/// A bit offset: from 0, and within the longest string that is allowed. With `unit`, `#N`
/// counts in units of so many bits.
fn parse_offset(ctx: &Context<'_>, text: &[u8], unit: Option<u8>) -> Result<u64, CommandError> {
    let invalid = || CommandError::new("ERR bit offset is not an integer or out of range");
    let (text, unit) = match (text, unit) {
        ([b'#', rest @ ..], Some(unit)) => (rest, i64::from(unit)),
        _ => (text, 1),
    };
    let offset = parse_i64(text).and_then(|offset| offset.checked_mul(unit)).ok_or_else(invalid)?;
    let max = ctx.server.config.get(ebb_config::id::PROTO_MAX_BULK_LEN);
    u64::try_from(offset).ok().filter(|offset| offset / 8 < max).ok_or_else(invalid)
}
