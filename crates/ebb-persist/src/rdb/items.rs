//! Elements one after the other, whatever they lie in.

use super::reader::Reader;
use super::text::Text;
use super::{LoadError, Loaded};

/// Elements one after the other.
pub(super) trait Items<'a> {
    /// The next element, or `None` at the end, when it is sure that all was well.
    fn next(&mut self) -> Loaded<Option<Text<'a>>>;

    /// An element that must be there.
    fn require(&mut self) -> Loaded<Text<'a>> {
        self.next()?.ok_or(LoadError::Corrupt)
    }

    /// An integer that must be there.
    fn require_int(&mut self) -> Loaded<i64> {
        self.require()?.int().ok_or(LoadError::Corrupt)
    }
}

/// Strings behind their number.
pub(super) struct Strings<'r, 'a> {
    reader: &'r mut Reader<'a>,
    left: u64,
}

impl<'r, 'a> Strings<'r, 'a> {
    /// The strings of `each` elements for each one that is counted.
    pub(super) fn new(reader: &'r mut Reader<'a>, each: u64) -> Loaded<Strings<'r, 'a>> {
        let left = reader.count()? as u64 * each;
        Ok(Strings { reader, left })
    }
}

impl<'a> Items<'a> for Strings<'_, 'a> {
    fn next(&mut self) -> Loaded<Option<Text<'a>>> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        self.reader.string().map(Some)
    }
}
