//! Sets of integers: bytes of one integer (2, 4 or 8), their number, and the integers, ascending.

use super::items::Items;
use super::reader::Reader;
use super::text::Text;
use super::{LoadError, Loaded, ensure};

/// The integers of a set.
pub(super) struct Intset<'a> {
    rest: Reader<'a>,
    width: usize,
    before: Option<i64>,
}

impl<'a> Intset<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Loaded<Intset<'a>> {
        let mut rest = Reader::new(bytes);
        let width = u32::from_le_bytes(rest.array()?) as usize;
        let count = u32::from_le_bytes(rest.array()?) as usize;
        ensure(matches!(width, 2 | 4 | 8) && rest.left() == count * width)?;
        Ok(Intset { rest, width, before: None })
    }
}

impl<'a> Items<'a> for Intset<'a> {
    fn next(&mut self) -> Loaded<Option<Text<'a>>> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let value = match self.width {
            2 => i16::from_le_bytes(self.rest.array()?).into(),
            4 => i32::from_le_bytes(self.rest.array()?).into(),
            8 => i64::from_le_bytes(self.rest.array()?),
            _ => return Err(LoadError::Corrupt),
        };
        ensure(self.before.is_none_or(|before| before < value))?;
        self.before = Some(value);
        Ok(Some(value.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> Loaded<Vec<i64>> {
        let mut items = Intset::new(bytes)?;
        let mut all = Vec::new();
        while let Some(item) = items.next()? {
            all.push(item.int().unwrap());
        }
        Ok(all)
    }

    #[test]
    fn integers_of_all_widths_are_read() {
        assert_eq!(all(&[2, 0, 0, 0, 2, 0, 0, 0, 0xff, 0xff, 1, 0]), Ok(vec![-1, 1]));
        assert_eq!(all(&[4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0]), Ok(vec![65536]));
        let eight = [8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80];
        assert_eq!(all(&eight), Ok(vec![i64::MIN]));
    }

    #[test]
    fn disorder_and_wrong_lengths_are_refused() {
        for bad in [
            &[2, 0, 0, 0, 2, 0, 0, 0, 1, 0, 1, 0][..],
            &[2, 0, 0, 0, 2, 0, 0, 0, 2, 0, 1, 0],
            &[2, 0, 0, 0, 2, 0, 0, 0, 1, 0],
            &[3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0],
            &[0, 0, 0, 0, 0, 0, 0, 0],
            &[8, 0, 0, 0, 0xff, 0xff, 0xff, 0xff],
        ] {
            assert_eq!(all(bad), Err(LoadError::Corrupt), "{bad:?}");
        }
    }
}
