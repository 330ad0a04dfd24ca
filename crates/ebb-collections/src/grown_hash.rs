//! A hash whose fields are blocks in a table.

use std::collections::BTreeSet;

use ebb_heap::{Block, OutOfMemory};
use ebb_table::{BlockDrain, Blocks, hash};
use rand::Rng;

use crate::collection::Footprint;
use crate::grown_set::footprint_of;
use crate::hash::Field;
use crate::item::{Element, duplicate, field, field_of, set_deadline, set_value};
use crate::slot::Arenas;

/// A large hash.
pub struct GrownHash {
    arenas: Arenas,
    fields: Blocks,
    /// Deadlines of fields, with the fields' hashes.
    due: BTreeSet<(i64, u64)>,
    drain: Option<BlockDrain>,
}

/// Bytes of one deadline in the set of them, about: the allocator's and the tree's share.
const DUE_BYTES: usize = 24;

#[inline]
fn view(element: Element<'_>) -> Field<'_> {
    let (name, value) = element.pair();
    Field { name, value, deadline: element.deadline() }
}

impl GrownHash {
    pub(crate) fn new(arenas: Arenas) -> GrownHash {
        GrownHash {
            arenas,
            fields: Blocks::new(arenas.index, field_of),
            due: BTreeSet::new(),
            drain: None,
        }
    }

    /// Its elements by name.
    #[inline]
    pub(crate) fn elements(&self) -> &Blocks {
        &self.fields
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.fields.len()
    }

    /// The field of a name.
    #[inline]
    pub(crate) fn get(&self, name: &[u8]) -> Option<Field<'_>> {
        Some(view(self.fields.get(self.fields.find(name)?).into()))
    }

    /// Sets a field; answers whether it is new.
    pub(crate) fn set(
        &mut self,
        name: &[u8],
        value: &[u8],
        deadline: Option<i64>,
    ) -> Result<bool, OutOfMemory> {
        let hash = hash(name);
        let Some(found) = self.fields.find_hashed(hash, name) else {
            self.fields.insert_hashed(hash, field(self.arenas.data, name, value, deadline)?)?;
            self.file(name, None, deadline);
            return Ok(true);
        };
        let old = Element::from(self.fields.get(found)).deadline();
        if old == deadline && set_value(&mut self.fields.get_mut(found), value) {
            return Ok(false);
        }
        let block = field(self.arenas.data, name, value, deadline)?;
        drop(self.fields.replace(found, block));
        self.file(name, old, deadline);
        Ok(false)
    }

    /// Changes the deadline of a field that is there.
    pub(crate) fn set_deadline(
        &mut self,
        name: &[u8],
        deadline: Option<i64>,
    ) -> Result<(), OutOfMemory> {
        let Some(found) = self.fields.find(name) else { return Ok(()) };
        let old = Element::from(self.fields.get(found)).deadline();
        let in_place = deadline.is_some_and(|at| set_deadline(&mut self.fields.get_mut(found), at));
        if !in_place && old != deadline {
            let value = Element::from(self.fields.get(found)).value();
            let block = field(self.arenas.data, name, value, deadline)?;
            drop(self.fields.replace(found, block));
        }
        self.file(name, old, deadline);
        Ok(())
    }

    #[inline]
    fn file(&mut self, name: &[u8], old: Option<i64>, new: Option<i64>) {
        if old != new {
            self.file_anew(hash(name), old, new);
        }
    }

    fn file_anew(&mut self, hash: u64, old: Option<i64>, new: Option<i64>) {
        if let Some(at) = old {
            self.due.remove(&(at, hash));
        }
        if let Some(at) = new {
            self.due.insert((at, hash));
        }
    }

    pub(crate) fn remove(&mut self, name: &[u8]) -> bool {
        let Some(found) = self.fields.find(name) else { return false };
        let block = self.fields.remove(found);
        self.file(name, Element::from(&block).deadline(), None);
        true
    }

    /// When the next field expires.
    #[inline]
    pub(crate) fn next_deadline(&self) -> Option<i64> {
        self.due.first().map(|&(at, _)| at)
    }

    /// The name of a field that is due.
    pub(crate) fn due_field(&self, now_ms: i64) -> Option<Vec<u8>> {
        let &(at, hash) = self.due.first()?;
        if at >= now_ms {
            return None;
        }
        let found =
            self.fields.find_where(hash, |block| Element::from(block).deadline() == Some(at));
        found.map(|found| Element::from(self.fields.get(found)).field().to_vec())
    }

    #[inline]
    pub(crate) fn is_expiring(&self) -> bool {
        !self.due.is_empty()
    }

    pub(crate) fn for_each<'a>(&'a self, mut visit: impl FnMut(Field<'a>)) {
        self.fields.for_each(|block| visit(view(block.into())));
    }

    pub(crate) fn scan(&self, position: u64, mut visit: impl FnMut(Field<'_>)) -> u64 {
        self.fields.scan(position, |block| visit(view(block.into())))
    }

    pub(crate) fn sample(&self, random: &mut impl Rng) -> Option<Field<'_>> {
        self.fields.sample(random).map(|block| view(block.into()))
    }

    #[inline]
    pub(crate) fn footprint(&self) -> Footprint {
        let mut footprint = footprint_of(&self.fields);
        footprint.outside += self.due.len() * DUE_BYTES;
        footprint
    }

    pub(crate) fn duplicate(&self) -> Result<GrownHash, OutOfMemory> {
        let mut copy = GrownHash::new(self.arenas);
        let mut result = Ok(());
        self.fields.for_each(|block| {
            if result.is_ok() {
                result = duplicate(&block).and_then(|block| copy.fields.insert(block)).map(drop);
            }
        });
        copy.due = self.due.clone();
        result.map(|()| copy)
    }

    pub(crate) fn free_step(&mut self) -> bool {
        let fields = &mut self.fields;
        self.drain.get_or_insert_with(|| fields.drain()).step()
    }

    pub(crate) fn inspect(&self, position: u128, visit: &mut dyn FnMut(&Block)) -> u128 {
        self.fields.inspect(position as u64, visit).into()
    }

    pub(crate) fn relocate(
        &mut self,
        position: u128,
        should: impl Fn(&Block) -> bool,
    ) -> Result<u128, OutOfMemory> {
        let next = self.fields.relocate(position as u64, should, |_, _| {})?;
        Ok(next.into())
    }
}
