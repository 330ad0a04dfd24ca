//! Blocks that hold an element of a grown hash, set or sorted set.
//!
//! ```text
//! member:         | member | slack |
//! scored member:  | score, 8 bytes | member | slack |
//! field:          | length | field | value | slack |
//! expiring field: | length | deadline, 8 bytes | field | value | slack |
//! ```
//!
//! The low three bits of the kind tell the slack that rounding leaves: 0 to 3 bytes, or 4 for
//! more, and then the block's last four bytes say how much.

use ebb_heap::{ArenaId, Block, HEAD_BYTES, OutOfMemory, rounded};
use ebb_table::handle::BlockRef;

use crate::packed::{Header, item};

const HEAP_HEADER: usize = 3;
const MEMBER: u8 = 64;
const SCORED: u8 = 72;
const FIELD: u8 = 80;
const EXPIRING: u8 = 88;
const SLACK: u8 = 7;
const SLACK_AT_END: u8 = 4;

/// A block's body and kind, borrowed for as long as the block's owner is.
#[derive(Clone, Copy)]
pub(crate) struct Element<'a> {
    body: &'a [u8],
    kind: u8,
}

impl<'a> From<&'a Block> for Element<'a> {
    #[inline]
    fn from(block: &'a Block) -> Element<'a> {
        Element { body: block.body(), kind: block.kind() }
    }
}

impl<'a> From<BlockRef<'a>> for Element<'a> {
    #[inline]
    fn from(block: BlockRef<'a>) -> Element<'a> {
        Element { body: block.body(), kind: block.kind() }
    }
}

impl<'a> Element<'a> {
    /// The end of what the block holds.
    #[inline]
    fn end(self) -> usize {
        let slack = usize::from(self.kind & SLACK);
        if slack < usize::from(SLACK_AT_END) {
            return self.body.len() - slack;
        }
        match self.body.last_chunk() {
            Some(slack) => self.body.len() - u32::from_le_bytes(*slack) as usize,
            None => self.body.len(),
        }
    }

    /// The member of a set.
    #[inline]
    pub(crate) fn member(self) -> &'a [u8] {
        &self.body[..self.end()]
    }

    /// The member of a sorted set.
    #[inline]
    pub(crate) fn scored_member(self) -> &'a [u8] {
        &self.body[8..self.end()]
    }

    /// The score of a member.
    #[inline]
    pub(crate) fn score(self) -> f64 {
        f64::from_le_bytes(eight(self.body, 0))
    }

    #[inline]
    fn is_expiring(self) -> bool {
        self.kind & !SLACK == EXPIRING
    }

    #[inline]
    fn field_range(self) -> std::ops::Range<usize> {
        let range = item(self.body, 0);
        let skip = if self.is_expiring() { 8 } else { 0 };
        range.start + skip..range.end + skip
    }

    /// The name of a field.
    #[inline]
    pub(crate) fn field(self) -> &'a [u8] {
        &self.body[self.field_range()]
    }

    /// The name and the value of a field.
    #[inline]
    pub(crate) fn pair(self) -> (&'a [u8], &'a [u8]) {
        let name = self.field_range();
        (&self.body[name.clone()], &self.body[name.end..self.end()])
    }

    /// The value of a field.
    #[inline]
    pub(crate) fn value(self) -> &'a [u8] {
        &self.body[self.field_range().end..self.end()]
    }

    /// When the field expires.
    #[inline]
    pub(crate) fn deadline(self) -> Option<i64> {
        let read = || i64::from_le_bytes(eight(self.body, item(self.body, 0).start));
        self.is_expiring().then(read)
    }
}

fn build(arena: ArenaId, kind: u8, parts: &[&[u8]]) -> Result<Block, OutOfMemory> {
    let len = parts.iter().map(|part| part.len()).sum();
    let mut block = Block::allocate(arena, len, kind)?;
    write(&mut block, kind, 0, parts);
    Ok(block)
}

/// Writes `parts` from `at` to the block's end.
fn write(block: &mut Block, kind: u8, mut at: usize, parts: &[&[u8]]) {
    let body = block.body_mut();
    for part in parts {
        body[at..at + part.len()].copy_from_slice(part);
        at += part.len();
    }
    let slack = body.len() - at;
    if slack >= usize::from(SLACK_AT_END)
        && let Some(last) = body.last_chunk_mut()
    {
        *last = (slack as u32).to_le_bytes();
    }
    block.set_kind(kind | slack.min(SLACK_AT_END.into()) as u8);
}

/// The member of a set in a block.
#[inline]
pub(crate) fn member_of(block: &Block) -> &[u8] {
    Element::from(block).member()
}

/// The member of a sorted set in a block.
#[inline]
pub(crate) fn scored_member_of(block: &Block) -> &[u8] {
    Element::from(block).scored_member()
}

/// The name of a field in a block.
#[inline]
pub(crate) fn field_of(block: &Block) -> &[u8] {
    Element::from(block).field()
}

/// A copy of an element. Its block may be a little larger than the one it was copied from, as any
/// block of more than 1 KiB: so what it holds is copied, not the block.
pub(crate) fn duplicate(block: &Block) -> Result<Block, OutOfMemory> {
    let element = Element::from(block);
    build(block.arena(), element.kind & !SLACK, &[&element.body[..element.end()]])
}

/// A member of a set.
pub(crate) fn member(arena: ArenaId, member: &[u8]) -> Result<Block, OutOfMemory> {
    build(arena, MEMBER, &[member])
}

/// A member of a sorted set.
pub(crate) fn scored(arena: ArenaId, score: f64, member: &[u8]) -> Result<Block, OutOfMemory> {
    build(arena, SCORED, &[&score.to_le_bytes(), member])
}

/// Changes the score in a block.
#[inline]
pub(crate) fn set_score(block: &mut Block, score: f64) {
    block.head_mut()[..8].copy_from_slice(&score.to_le_bytes());
}

/// The score in the head of a block.
#[inline]
pub(crate) fn score_in(head: &[u8; HEAD_BYTES]) -> f64 {
    f64::from_le_bytes(eight(head, 0))
}

#[inline]
fn eight(body: &[u8], at: usize) -> [u8; 8] {
    match body.get(at..).and_then(|rest| rest.first_chunk()) {
        Some(bytes) => *bytes,
        None => unreachable!("a block holds all parts of its element"),
    }
}

/// A field of a hash.
pub(crate) fn field(
    arena: ArenaId,
    field: &[u8],
    value: &[u8],
    deadline: Option<i64>,
) -> Result<Block, OutOfMemory> {
    let header = Header::of(field.len());
    match deadline {
        None => build(arena, FIELD, &[header.as_slice(), field, value]),
        Some(at) => build(arena, EXPIRING, &[header.as_slice(), &at.to_le_bytes(), field, value]),
    }
}

/// Writes another value in place, if the block has just the size that it would have; the
/// deadline stays.
pub(crate) fn set_value(block: &mut Block, value: &[u8]) -> bool {
    let at = Element::from(&*block).field_range().end;
    if rounded(HEAP_HEADER + at + value.len()) != block.bytes() {
        return false;
    }
    let kind = block.kind() & !SLACK;
    write(block, kind, at, &[value]);
    true
}

/// Changes the deadline of a field that has one; answers whether it has.
pub(crate) fn set_deadline(block: &mut Block, deadline: i64) -> bool {
    if !Element::from(&*block).is_expiring() {
        return false;
    }
    let at = item(block.body(), 0).start;
    block.body_mut()[at..at + 8].copy_from_slice(&deadline.to_le_bytes());
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_back_at_every_size() {
        let arena = ArenaId::new();
        for len in (0..40).chain([190, 200, 1500, 5000, 20_000, 200_000]) {
            let text = vec![b'x'; len];
            assert_eq!(member_of(&member(arena, &text).unwrap()), text, "{len}");
            let mut block = scored(arena, 1.5, &text).unwrap();
            set_score(&mut block, -2.0);
            assert_eq!(
                (scored_member_of(&block), Element::from(&block).score()),
                (&text[..], -2.0)
            );
            for deadline in [None, Some(77)] {
                let mut block = field(arena, &text, b"value", deadline).unwrap();
                assert_eq!(field_of(&block), text);
                assert_eq!(
                    (Element::from(&block).value(), Element::from(&block).deadline()),
                    (&b"value"[..], deadline)
                );
                assert_eq!(set_deadline(&mut block, 99), deadline.is_some());
                if set_value(&mut block, b"valu") {
                    assert_eq!(Element::from(&block).value(), b"valu");
                    assert_eq!(field_of(&block), text);
                }
            }
        }
    }
}
