//! Bulk strings of a few bytes, written with one look at the room there is.
//!
//! A reply of many elements is mostly these: by way of `Vec::extend_from_slice`, header, payload
//! and line end each look for room and move the end of the buffer, at twice the instructions.

/// The bytes of `$`, two digits and a line end, rounded up so that they are one store.
const HEADER_ROOM: usize = 8;
const LINE_END: [u8; 2] = *b"\r\n";
/// Payloads shorter than this have lengths of at most two digits.
pub(crate) const SHORT: usize = 100;

/// The header of a bulk string of fewer than [`SHORT`] bytes, and how many of the eight it has.
#[inline(always)]
fn header(len: usize) -> (u64, usize) {
    let (tens, ones) = (len as u64 / 10, len as u64 % 10);
    if tens == 0 {
        (u64::from_le_bytes(*b"$0\r\n\0\0\0\0") + (ones << 8), 4)
    } else {
        (u64::from_le_bytes(*b"$00\r\n\0\0\0") + (tens << 8) + (ones << 16), 5)
    }
}

/// Appends a bulk string of fewer than [`SHORT`] bytes.
#[inline]
pub(crate) fn append_short_bulk(out: &mut Vec<u8>, payload: &[u8]) {
    debug_assert!(payload.len() < SHORT);
    let (header, header_len) = header(payload.len());
    let start = out.len();
    let end = start + header_len + payload.len() + LINE_END.len();
    out.reserve(HEADER_ROOM + payload.len() + LINE_END.len());
    // SAFETY: behind `start` there is room for what was reserved just now, and nothing here
    // writes beyond: the header eight bytes, the payload from at most the fifth of them on, the
    // line end behind it. Up to `end` every byte is written then. `payload` is no part of the
    // room, for `out` is borrowed to be written.
    unsafe {
        let at = out.as_mut_ptr().add(start);
        at.cast::<[u8; HEADER_ROOM]>().write(header.to_le_bytes());
        at.add(header_len).copy_from_nonoverlapping(payload.as_ptr(), payload.len());
        at.add(header_len + payload.len()).cast::<[u8; 2]>().write(LINE_END);
        out.set_len(end);
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
