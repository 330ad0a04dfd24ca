//! Bulk strings of a few bytes, written with one look at the room there is.
//!
//! A reply of many elements is mostly these: by way of `Vec::extend_from_slice`, header, payload
//! and line end each look for room and move the end of the buffer, at twice the instructions.

/// The bytes of `$`, two digits and a line end, rounded up so that they are one store.
const HEADER_ROOM: usize = 8;
const LINE_END: [u8; 2] = *b"\r\n";
/// Payloads shorter than this have lengths of at most two digits.
pub(crate) const SHORT: usize = 100;
/// Payloads of up to so many bytes are copied by two moves that may overlap.
const MOVED_MAX: usize = 32;

/// The headers of short bulk strings by length; the highest byte tells how many bytes a header has.
static HEADERS: [u64; SHORT] = {
    let mut headers = [0; SHORT];
    let mut len = 0;
    while len < SHORT {
        let (tens, ones) = (b'0' + len as u8 / 10, b'0' + len as u8 % 10);
        headers[len] = u64::from_le_bytes(if len < 10 {
            [b'$', ones, b'\r', b'\n', 0, 0, 0, 4]
        } else {
            [b'$', tens, ones, b'\r', b'\n', 0, 0, 5]
        });
        len += 1;
    }
    headers
};

/// Appends a bulk string of fewer than [`SHORT`] bytes.
#[inline]
pub(crate) fn append_short_bulk(out: &mut Vec<u8>, payload: &[u8]) {
    out.reserve(HEADER_ROOM + payload.len() + LINE_END.len());
    // SAFETY: there is room, as of just now, and `copy_nonoverlapping` copies the payload: it is
    // no part of the room, for `out` is borrowed to be written.
    unsafe {
        append(out, payload, |to| to.copy_from_nonoverlapping(payload.as_ptr(), payload.len()));
    }
}

/// Appends a bulk string of 4 to 32 bytes, as names and small values are, if `out` has room for
/// the longest of them; answers whether it did. It calls nothing.
#[inline(always)]
pub fn append_in_room(out: &mut Vec<u8>, payload: &[u8]) -> bool {
    let has_room = out.capacity() - out.len() >= HEADER_ROOM + MOVED_MAX + LINE_END.len();
    let len = payload.len();
    if !has_room || !(4..=MOVED_MAX).contains(&len) {
        return false;
    }
    // SAFETY: there is room for more than this payload, which is as long as `ends` asks for.
    unsafe {
        match len {
            16.. => append(out, payload, |to| ends::<16>(payload, to)),
            8.. => append(out, payload, |to| ends::<8>(payload, to)),
            _ => append(out, payload, |to| ends::<4>(payload, to)),
        }
    }
    true
}

/// Copies the first and the last `N` bytes, which are all of at most `2 * N`.
///
/// # Safety
/// `from` has at least `N` bytes, `to` has room for as many as `from` has.
#[inline(always)]
unsafe fn ends<const N: usize>(from: &[u8], to: *mut u8) {
    let (from, last) = (from.as_ptr(), from.len() - N);
    // SAFETY: both lie in `from`, which has `N` bytes or more, and in its likeness behind `to`.
    unsafe {
        to.cast::<[u8; N]>().write(from.cast::<[u8; N]>().read());
        to.add(last).cast::<[u8; N]>().write(from.add(last).cast::<[u8; N]>().read());
    }
}

/// Appends a bulk string whose payload `copy` writes.
///
/// # Safety
/// The payload is shorter than [`SHORT`], `out` has room for it and for ten bytes more, and `copy`
/// writes all of the payload's bytes, and no others.
#[inline(always)]
unsafe fn append(out: &mut Vec<u8>, payload: &[u8], copy: impl FnOnce(*mut u8)) {
    let header = HEADERS[payload.len()];
    let header_len = (header >> 56) as usize;
    let start = out.len();
    let body_end = start + header_len + payload.len();
    // SAFETY: nothing here writes beyond the room that the caller speaks of: the header eight
    // bytes, the payload from at most the sixth of them on, the line end behind it. Up to the new
    // end every byte is written then.
    unsafe {
        let at = out.as_mut_ptr();
        at.add(start).cast::<[u8; HEADER_ROOM]>().write(header.to_le_bytes());
        copy(at.add(start + header_len));
        at.add(body_end).cast::<[u8; 2]>().write(LINE_END);
        out.set_len(body_end + LINE_END.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_short_length_has_its_frame() {
        let mut out = Vec::new();
        for len in 0..SHORT {
            let payload: Vec<u8> = (0..len as u8).collect();
            let mut expected = format!("${len}\r\n").into_bytes();
            expected.extend_from_slice(&payload);
            expected.extend_from_slice(b"\r\n");
            let mut roomy = Vec::with_capacity(64);
            assert_eq!(append_in_room(&mut roomy, &payload), (4..=32).contains(&len));
            assert_eq!(roomy, if roomy.is_empty() { &[] } else { &expected[..] });
            assert!(!append_in_room(&mut Vec::with_capacity(41), &payload));
            // Into a new buffer, which has to grow, and behind what is there.
            let mut alone = Vec::new();
            append_short_bulk(&mut alone, &payload);
            assert_eq!(alone, expected);
            let start = out.len();
            append_short_bulk(&mut out, &payload);
            assert_eq!(&out[start..], expected);
        }
    }
}
