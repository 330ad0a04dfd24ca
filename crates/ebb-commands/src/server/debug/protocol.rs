//! DEBUG PROTOCOL: a sample of each type of reply.

use ebb_engine::{CommandError, CommandResult, Context};

/// Answers the type that is named.
pub(super) fn sample(ctx: &mut Context<'_>) -> CommandResult {
    let name = ctx.arg(2).to_ascii_lowercase();
    let reply = &mut *ctx.reply;
    match name.as_slice() {
        b"string" => reply.bulk(b"Hello World"),
        b"integer" => reply.integer(12345),
        b"double" => reply.double(3141.0 / 1000.0),
        b"null" => reply.null(),
        b"array" => {
            reply.array(3);
            (0..3).for_each(|number| reply.integer(number));
        }
        b"set" => {
            reply.set(3);
            (0..3).for_each(|number| reply.integer(number));
        }
        b"map" => {
            reply.map(3);
            for number in 0..3 {
                reply.integer(number);
                reply.boolean(number == 1);
            }
        }
        b"attrib" => {
            if reply.is_resp3() {
                reply.raw(b"|1\r\n$14\r\nkey-popularity\r\n*2\r\n$7\r\nkey:123\r\n:90\r\n");
            }
            reply.bulk(b"Some real reply following the attribute");
        }
        b"push" => {
            if !reply.is_resp3() {
                return Err(CommandError::new("ERR RESP2 is not supported by this command"));
            }
            reply.raw(b">2\r\n$16\r\nserver-cpu-usage\r\n:42\r\n");
        }
        b"true" => reply.boolean(true),
        b"false" => reply.boolean(false),
        b"verbatim" => reply.verbatim(*b"txt", "This is a verbatim\nstring"),
        b"bignum" => {
            const NUMBER: &[u8] = b"1234567999999999999999999999999999999";
            if reply.is_resp3() {
                reply.raw(&[b"(", NUMBER, b"\r\n"].concat());
            } else {
                reply.bulk(NUMBER);
            }
        }
        _ => {
            return Err(CommandError::new(
                "ERR Wrong protocol type name. Please use one of the following: \
                 string|integer|double|null|array|set|map|attrib|push|verbatim|true|false",
            ));
        }
    }
    Ok(())
}
