//! The library `bit`: operations on integers of 32 bits.
//!
//! Numbers are taken modulo 2^32, and results are signed, as in Lua BitOp.

use mlua::{Lua, MultiValue, Table, Value};

use crate::api::{Answer, as_number, bad, bad_number};

/// A number modulo 2^32, rounded to the nearest integer, to the even one of two.
fn to_u32(number: f64) -> u32 {
    const SHIFT: f64 = 6_755_399_441_055_744.0;
    // Adding 2^52 + 2^51 leaves the integer in the low bits of the mantissa.
    (number + SHIFT).to_bits() as u32
}

fn result(value: u32) -> Answer {
    Ok(Value::Number(f64::from(value as i32)))
}

/// An argument, or Lua's text for what is wrong with it.
fn argument(lua: &Lua, name: &str, args: &MultiValue, at: usize) -> Result<u32, String> {
    let value = args.get(at);
    match value.and_then(|value| as_number(lua, value)) {
        Some(number) => Ok(to_u32(number)),
        None => Err(bad_number(name, at, value)),
    }
}

/// A function of all its arguments, one at least.
fn fold(lua: &Lua, name: &'static str, apply: fn(u32, u32) -> u32) -> mlua::Result<mlua::Function> {
    lua.create_function(move |lua, args: MultiValue| {
        let all: Result<Vec<u32>, String> =
            (0..args.len().max(1)).map(|at| argument(lua, name, &args, at)).collect();
        match all {
            Ok(all) => result(all.into_iter().reduce(apply).unwrap_or(0)),
            Err(text) => bad(lua, text),
        }
    })
}

/// A function of one argument.
fn unary(lua: &Lua, name: &'static str, apply: fn(u32) -> u32) -> mlua::Result<mlua::Function> {
    lua.create_function(move |lua, args: MultiValue| match argument(lua, name, &args, 0) {
        Ok(value) => result(apply(value)),
        Err(text) => bad(lua, text),
    })
}

/// A function of a number and a number of bits, of which five count.
fn shift(
    lua: &Lua,
    name: &'static str,
    apply: fn(u32, u32) -> u32,
) -> mlua::Result<mlua::Function> {
    lua.create_function(move |lua, args: MultiValue| {
        let both = argument(lua, name, &args, 0)
            .and_then(|value| Ok((value, argument(lua, name, &args, 1)? & 31)));
        match both {
            Ok((value, count)) => result(apply(value, count)),
            Err(text) => bad(lua, text),
        }
    })
}

/// The last digits of a number in hexadecimal: eight, or as many as the second argument says,
/// which if it is negative asks for capitals.
fn tohex(lua: &Lua, args: MultiValue) -> Answer {
    let value = match argument(lua, "tohex", &args, 0) {
        Ok(value) => value,
        Err(text) => return bad(lua, text),
    };
    let digits = match args.get(1) {
        None | Some(Value::Nil) => 8,
        Some(_) => match argument(lua, "tohex", &args, 1) {
            Ok(digits) => digits as i32,
            Err(text) => return bad(lua, text),
        },
    };
    let text = if digits < 0 { format!("{value:08X}") } else { format!("{value:08x}") };
    let shown = digits.unsigned_abs().min(8) as usize;
    Ok(Value::String(lua.create_string(&text[8 - shown..])?))
}

/// The library.
pub(crate) fn library(lua: &Lua) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.set("tobit", unary(lua, "tobit", |value| value)?)?;
    table.set("bnot", unary(lua, "bnot", |value| !value)?)?;
    table.set("bswap", unary(lua, "bswap", u32::swap_bytes)?)?;
    table.set("band", fold(lua, "band", |a, b| a & b)?)?;
    table.set("bor", fold(lua, "bor", |a, b| a | b)?)?;
    table.set("bxor", fold(lua, "bxor", |a, b| a ^ b)?)?;
    table.set("lshift", shift(lua, "lshift", |value, count| value << count)?)?;
    table.set("rshift", shift(lua, "rshift", |value, count| value >> count)?)?;
    table.set("arshift", shift(lua, "arshift", |value, count| (value as i32 >> count) as u32)?)?;
    table.set("rol", shift(lua, "rol", u32::rotate_left)?)?;
    table.set("ror", shift(lua, "ror", u32::rotate_right)?)?;
    table.set("tohex", lua.create_function(tohex)?)?;
    Ok(table)
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn operations_are_on_32_bits() {
        check(&[
            ("bit.tobit(0xffffffff)", "-1"),
            ("bit.tobit(0xffffffff + 1)", "0"),
            ("bit.tobit(2^40 + 1234)", "1234"),
            ("bit.tobit(1.5) .. ' ' .. bit.tobit(2.5)", "2 2"),
            ("bit.bnot(0)", "-1"),
            ("bit.bor(1, 2, 4, 8)", "15"),
            ("bit.band(0x12345678, 0xff)", "120"),
            ("bit.bxor(0xa5a5f0f0, 0xaa55ff00)", "267390960"),
            ("bit.lshift(1, 33)", "2"),
            ("bit.rshift(-256, 8)", "16777215"),
            ("bit.arshift(-256, 8)", "-1"),
            ("bit.rol(0x12345678, 12)", "1164411171"),
            ("bit.ror(0x12345678, 12)", "1736516421"),
            ("bit.bswap(0x12345678)", "2018915346"),
            ("bit.tohex(0xfeedface)", "feedface"),
            ("bit.tohex(0xfeedface, -4)", "FACE"),
            ("bit.tohex(1, 99)", "00000001"),
            ("bit.band('7', 3)", "3"),
        ]);
    }

    #[test]
    fn what_is_no_number_is_refused() {
        check(&[
            (
                "bit.band()",
                "user_script:1: bad argument #1 to 'band' (number expected, got no value)",
            ),
            (
                "bit.bor(1, {})",
                "user_script:1: bad argument #2 to 'bor' (number expected, got table)",
            ),
            (
                "bit.lshift(1)",
                "user_script:1: bad argument #2 to 'lshift' (number expected, got no value)",
            ),
        ]);
    }
}
