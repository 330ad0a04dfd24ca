//! Strings in the form of RDB files, sealed with a version and a checksum, as DUMP and FUNCTION
//! DUMP return them.

/// The version of the RDB format that is written, and the newest that is read.
const RDB_VERSION: u16 = 11;

/// The polynomial of Jones, reflected.
const POLYNOMIAL: u64 = 0x95ac_9329_ac4b_c9b5;

const TABLE: [u64; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u64;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

fn crc64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |crc, &byte| TABLE[usize::from(crc as u8 ^ byte)] ^ crc >> 8)
}

/// Appends a length in the form of RDB files.
fn write_len(out: &mut Vec<u8>, len: usize) {
    match len {
        0..=0x3f => out.push(len as u8),
        0x40..=0x3fff => out.extend([0x40 | (len >> 8) as u8, len as u8]),
        0x4000..=0xffff_ffff => {
            out.push(0x80);
            out.extend((len as u32).to_be_bytes());
        }
        _ => {
            out.push(0x81);
            out.extend((len as u64).to_be_bytes());
        }
    }
}

/// Appends a string.
pub(crate) fn write_string(out: &mut Vec<u8>, text: &[u8]) {
    write_len(out, text.len());
    out.extend_from_slice(text);
}

/// Appends the version and the checksum.
pub(crate) fn seal(out: &mut Vec<u8>) {
    out.extend(RDB_VERSION.to_le_bytes());
    out.extend(crc64(out).to_le_bytes());
}

/// What is sealed, if version and checksum are right.
pub(crate) fn open(payload: &[u8]) -> Option<&[u8]> {
    let (body, checksum) = payload.split_last_chunk::<8>()?;
    let (inner, version) = body.split_last_chunk::<2>()?;
    let checksum = u64::from_le_bytes(*checksum);
    let right =
        u16::from_le_bytes(*version) <= RDB_VERSION && (checksum == 0 || checksum == crc64(body));
    right.then_some(inner)
}

/// Reads what [`open`] found.
pub(crate) struct Reader<'a>(&'a [u8]);

/// What stands where a length is expected.
enum Len {
    Bytes(usize),
    Special(u8),
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader(bytes)
    }

    /// The next byte.
    pub(crate) fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self, bytes: usize) -> Option<usize> {
        let bytes = self.take(bytes)?;
        Some(bytes.iter().fold(0, |number, &byte| number << 8 | usize::from(byte)))
    }

    fn len(&mut self) -> Option<Len> {
        let first = self.byte()?;
        let low = usize::from(first & 0x3f);
        Some(match first >> 6 {
            0 => Len::Bytes(low),
            1 => Len::Bytes(low << 8 | self.number(1)?),
            2 if first == 0x80 => Len::Bytes(self.number(4)?),
            2 if first == 0x81 => Len::Bytes(self.number(8)?),
            3 => Len::Special(first & 0x3f),
            _ => return None,
        })
    }

    fn plain_len(&mut self) -> Option<usize> {
        match self.len()? {
            Len::Bytes(len) => Some(len),
            Len::Special(_) => None,
        }
    }

    /// A string, in whichever form it is written; `None` if it is not well formed.
    pub(crate) fn string(&mut self) -> Option<Vec<u8>> {
        match self.len()? {
            Len::Bytes(len) => self.take(len).map(<[u8]>::to_vec),
            Len::Special(kind @ 0..=2) => {
                let bytes = self.take(1 << kind)?;
                let unused = 64 - 8 * bytes.len() as u32;
                let number = bytes.iter().rev().fold(0, |n: u64, &byte| n << 8 | u64::from(byte));
                Some((((number << unused) as i64) >> unused).to_string().into_bytes())
            }
            Len::Special(3) => {
                let (packed, len) = (self.plain_len()?, self.plain_len()?);
                decompress(self.take(packed)?, len)
            }
            Len::Special(_) => None,
        }
    }
}

/// Undoes LZF: literal runs of up to 32 bytes, and references to up to 8 KB back.
fn decompress(mut input: &[u8], len: usize) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    while let Some((&control, rest)) = input.split_first() {
        input = rest;
        let control = usize::from(control);
        if control < 32 {
            let (literal, rest) = input.split_at_checked(control + 1)?;
            out.extend_from_slice(literal);
            input = rest;
        } else {
            let mut count = control >> 5;
            if count == 7 {
                let (&more, rest) = input.split_first()?;
                count += usize::from(more);
                input = rest;
            }
            let (&low, rest) = input.split_first()?;
            input = rest;
            let back = ((control & 31) << 8 | usize::from(low)) + 1;
            let start = out.len().checked_sub(back)?;
            for at in start..start + count + 2 {
                out.push(out[at]);
            }
        }
        if out.len() > len {
            return None;
        }
    }
    (out.len() == len).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_redis() {
        assert_eq!(crc64(b"123456789"), 0xe9c6_d914_c4b8_d9ca);
    }

    #[test]
    fn strings_come_back() {
        for len in [0, 63, 64, 16383, 16384, 70000] {
            let text = vec![b'x'; len];
            let mut out = Vec::new();
            write_string(&mut out, &text);
            seal(&mut out);
            assert_eq!(Reader::new(open(&out).unwrap()).string(), Some(text));
            *out.last_mut().unwrap() ^= 1;
            assert!(open(&out).is_none());
        }
        assert!(open(b"short").is_none());
    }

    #[test]
    fn packed_strings_are_read() {
        // "ab" and then eight bytes from two back.
        let packed = [0xc3, 5, 10, 1, b'a', b'b', 0xc0, 1];
        assert_eq!(Reader::new(&packed).string(), Some(b"ababababab".to_vec()));
        assert_eq!(Reader::new(&[0xc0, 0xff]).string(), Some(b"-1".to_vec()));
        assert_eq!(Reader::new(&[0xc1, 0, 1]).string(), Some(b"256".to_vec()));
        assert_eq!(Reader::new(&[0xc3, 3, 10, 0x20, 9, 0]).string(), None);
        assert_eq!(Reader::new(&[0x05, b'a']).string(), None);
    }
}
