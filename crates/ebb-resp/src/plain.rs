//! Counts and lengths of at most three digits, which nearly all are.

/// The number after a marker, and the place behind its line end; `None` for whatever is not a
/// canonical number below 1,000 in a whole line.
#[inline(always)]
pub(crate) fn number(buf: &[u8], at: usize, marker: u8) -> Option<(usize, usize)> {
    let &[first, a, b, c, d] = buf.get(at..)?.first_chunk()?;
    let digit = |byte: u8| usize::from(byte.wrapping_sub(b'0'));
    if first != marker || digit(a) > 9 {
        return None;
    }
    if b == b'\r' {
        return Some((digit(a), at + 4));
    }
    if digit(b) > 9 || a == b'0' {
        return None;
    }
    if c == b'\r' {
        return Some((digit(a) * 10 + digit(b), at + 5));
    }
    let value = digit(a) * 100 + digit(b) * 10 + digit(c);
    (digit(c) <= 9 && d == b'\r').then_some((value, at + 6))
}

/// Where the payload of a bulk string begins and ends that is there with its line end.
#[inline(always)]
pub(crate) fn bulk(buf: &[u8], at: usize, max: usize) -> Option<(usize, usize)> {
    let (len, start) = number(buf, at, b'$')?;
    let end = start + len;
    (end + 2 <= buf.len() && len <= max).then_some((start, end))
}
