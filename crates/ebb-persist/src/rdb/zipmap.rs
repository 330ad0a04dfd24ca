//! Zipmaps: small hashes of Redis 2.4 and before.
//!
//! ```text
//! | number (254: not known) | length | field | length | unused | value | unused bytes | ... | 0xff |
//! length: 1 byte, or 254 and 4 bytes
//! ```

use super::items::Items;
use super::reader::Reader;
use super::text::Text;
use super::{Loaded, ensure};

const LONG: u8 = 254;
const END: u8 = 255;

/// The fields and values of a zipmap, in turn.
pub(super) struct Zipmap<'a> {
    rest: Reader<'a>,
    stated: u8,
    seen: usize,
}

impl<'a> Zipmap<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Loaded<Zipmap<'a>> {
        let mut rest = Reader::new(bytes);
        let stated = rest.byte()?;
        Ok(Zipmap { rest, stated, seen: 0 })
    }

    fn len(&mut self, first: u8) -> Loaded<usize> {
        Ok(match first {
            LONG => {
                let len = u32::from_le_bytes(self.rest.array()?) as usize;
                // One byte would have done: no server writes that.
                ensure(len >= usize::from(LONG))?;
                len
            }
            short => usize::from(short),
        })
    }
}

impl<'a> Items<'a> for Zipmap<'a> {
    fn next(&mut self) -> Loaded<Option<Text<'a>>> {
        let is_value = self.seen % 2 == 1;
        let first = self.rest.byte()?;
        if first == END {
            ensure(!is_value && self.rest.is_empty())?;
            ensure(self.stated >= LONG || usize::from(self.stated) == self.seen / 2)?;
            return Ok(None);
        }
        let len = self.len(first)?;
        let unused = if is_value { self.rest.byte()? } else { 0 };
        let text = self.rest.take(len)?;
        self.rest.take(unused.into())?;
        self.seen += 1;
        Ok(Some(Text::Bytes(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rdb::LoadError;

    fn all(bytes: &[u8]) -> Loaded<Vec<Vec<u8>>> {
        let mut items = Zipmap::new(bytes)?;
        let mut all = Vec::new();
        while let Some(item) = items.next()? {
            all.push(item.to_vec());
        }
        Ok(all)
    }

    #[test]
    fn fields_and_values_are_read() {
        let bytes = b"\x02\x03foo\x03\x02bar??\x05hello\x00\x00\xff";
        let expected = [&b"foo"[..], b"bar", b"hello", b""].map(<[u8]>::to_vec);
        assert_eq!(all(bytes), Ok(expected.to_vec()));
        for at in 0..bytes.len() {
            assert_eq!(all(&bytes[..at]), Err(LoadError::Corrupt));
        }
        for bad in
            [&b"\x01\xff"[..], b"\x01\x01a\xff", b"\x00\xff\xff", b"\x01\x01a\xfe\xff\xff\xff\xff"]
        {
            assert_eq!(all(bad), Err(LoadError::Corrupt), "{bad:?}");
        }
    }

    #[test]
    fn long_lengths_are_for_long_texts() {
        for (len, expected) in [(253, Err(LoadError::Corrupt)), (254, Ok(254))] {
            let value = vec![b'x'; len];
            let head = [1, 1, b'a', LONG, len as u8, 0, 0, 0, 0];
            let read = all(&[&head, &value[..], &[END]].concat());
            assert_eq!(read.map(|items| items[1].len()), expected);
        }
    }
}
