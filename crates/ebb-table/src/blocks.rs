//! Blocks by a key that they hold: the safe layer over [`Table`] for the elements of large
//! collections.

use ebb_heap::{ArenaId, Block, Compact, OutOfMemory};
use rand::Rng;

use crate::handle::{BlockMut, BlockRef};
use crate::{BUCKET_BYTES, Drain, Found, SLOTS, Table, same, seeds};

/// A hash table that owns blocks. Their keys are hashed with the process's secret seed.
pub struct Blocks {
    pub(crate) table: Table,
    key_of: fn(&Block) -> &[u8],
    /// Bytes of the blocks.
    bytes: usize,
}

/// Hashes an element with a seed that no client knows.
#[inline]
pub fn hash(key: &[u8]) -> u64 {
    use std::hash::{BuildHasher, Hasher};
    use std::sync::LazyLock;
    static STATE: LazyLock<ahash::RandomState> = LazyLock::new(seeds::state);
    let mut hasher = STATE.build_hasher();
    hasher.write(key);
    hasher.finish()
}

/// Looks at a block that a table owns.
///
/// SAFETY of the callers: `Blocks` owns every handle in its table and is borrowed for `'a`.
fn view<'a>(block: Compact) -> BlockRef<'a> {
    // SAFETY: as said above.
    unsafe { BlockRef::new(block) }
}

impl Blocks {
    /// An empty table. `index` is an arena that serves tables only; `key_of` finds the key in
    /// a block.
    pub fn new(index: ArenaId, key_of: fn(&Block) -> &[u8]) -> Blocks {
        Blocks { table: Table::new(index), key_of, bytes: 0 }
    }

    /// Number of blocks.
    #[inline]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Bytes of heap in blocks.
    #[inline]
    pub fn block_bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of the table itself: its segments, from the arena of tables, and its directory.
    #[inline]
    pub fn index_bytes(&self) -> (usize, usize) {
        (self.table.shape().1 / SLOTS * BUCKET_BYTES, self.table.directory_bytes())
    }

    /// Finds the block of a key.
    #[inline]
    pub fn find(&self, key: &[u8]) -> Option<Found> {
        self.find_hashed(hash(key), key)
    }

    /// The same for a key whose [`hash`] is known.
    #[inline]
    pub fn find_hashed(&self, hash: u64, key: &[u8]) -> Option<Found> {
        self.table.find(hash, |block| same((self.key_of)(&view(block)), key))
    }

    /// Asks for the bucket of a key with this [`hash`] ahead of a search.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        self.table.prefetch(hash);
    }

    /// Asks for the block that a [`hash`] probably names, once its bucket is there.
    #[inline]
    pub fn prefetch_block(&self, hash: u64) {
        self.table.prefetch_entry(hash, Compact::prefetch_small);
    }

    /// Finds a block with this [`hash`] for which `eq` holds.
    pub fn find_where(&self, hash: u64, eq: impl Fn(&Block) -> bool) -> Option<Found> {
        self.table.find(hash, |block| eq(&view(block)))
    }

    /// The block that was found; the table has not changed since.
    #[inline]
    pub fn get(&self, found: Found) -> BlockRef<'_> {
        debug_assert!(self.table.is_current(&found));
        view(found.entry())
    }

    /// Changes the block that was found: all but its key.
    #[inline]
    pub fn get_mut(&mut self, found: Found) -> BlockMut<'_> {
        debug_assert!(self.table.is_current(&found));
        // SAFETY: the table owns the block and is borrowed mutably.
        unsafe { BlockMut::new(found.entry()) }
    }

    /// Adds a block whose key is not there, and answers its name, which is good until the
    /// block is replaced, removed or moved.
    pub fn insert(&mut self, block: Block) -> Result<Compact, OutOfMemory> {
        self.insert_hashed(hash((self.key_of)(&block)), block)
    }

    /// The same for a key whose [`hash`] is known.
    pub fn insert_hashed(&mut self, hash: u64, block: Block) -> Result<Compact, OutOfMemory> {
        let (name, bytes) = (block.compact(), block.bytes());
        self.table.insert(hash, name, hash_of(self.key_of))?;
        self.bytes += bytes;
        std::mem::forget(block);
        Ok(name)
    }

    /// Puts a block with the same key in the place of one that was found.
    pub fn replace(&mut self, found: Found, block: Block) -> Block {
        self.bytes += block.bytes();
        let old = self.table.replace(found, block.into_compact());
        // SAFETY: the table has given it up.
        let old = unsafe { Block::from_compact(old) };
        self.bytes -= old.bytes();
        old
    }

    /// Takes a block out.
    pub fn remove(&mut self, found: Found) -> Block {
        let old = self.table.remove(found, hash_of(self.key_of));
        // SAFETY: the table has given it up.
        let old = unsafe { Block::from_compact(old) };
        self.bytes -= old.bytes();
        old
    }

    /// Visits the blocks of the next bucket from `position` on; the position after it, 0 at
    /// the end.
    pub fn scan<'a>(&'a self, position: u64, mut visit: impl FnMut(BlockRef<'a>)) -> u64 {
        self.table.scan(position, hash_of(self.key_of), |block| visit(view(block)))
    }

    /// Visits every block.
    pub fn for_each<'a>(&'a self, mut visit: impl FnMut(BlockRef<'a>)) {
        self.table.for_each(|block| visit(view(block)));
    }

    /// A block drawn with the same chance as every other.
    pub fn sample(&self, random: &mut impl Rng) -> Option<BlockRef<'_>> {
        self.table.sample(random).map(view)
    }

    /// Visits one segment of the table from `position` on, and moves it and the blocks in it
    /// for which `should` holds. `moved` is told of each block in its new place, and of its
    /// former name, which is free by then. Answers the position to go on from, 0 at the end.
    pub fn relocate(
        &mut self,
        position: u64,
        should: impl Fn(&Block) -> bool,
        mut moved: impl FnMut(&Block, Compact),
    ) -> Result<u64, OutOfMemory> {
        let mut result = Ok(());
        let wanted = |name| should(&view(name));
        let next = self.table.sweep(position, &should, wanted, |name| {
            if result.is_err() {
                return None;
            }
            match view(name).twin() {
                Ok(twin) => {
                    let twin = twin?;
                    let new = twin.into_compact();
                    // SAFETY: the table gives the name up for the twin's.
                    drop(unsafe { Block::from_compact(name) });
                    moved(&view(new), name);
                    Some(new)
                }
                Err(error) => {
                    result = Err(error);
                    None
                }
            }
        })?;
        result.map(|()| next)
    }

    /// Empties the table; the blocks are freed by draining the answer.
    pub fn drain(&mut self) -> BlockDrain {
        self.bytes = 0;
        BlockDrain(self.table.drain())
    }
}

fn hash_of(key_of: fn(&Block) -> &[u8]) -> impl Fn(Compact) -> u64 {
    move |block| hash(key_of(&view(block)))
}

impl Drop for Blocks {
    fn drop(&mut self) {
        drop(self.drain());
    }
}

/// Blocks of a table that was emptied, freed segment by segment, at the latest on drop.
pub struct BlockDrain(Drain);

impl BlockDrain {
    /// Blocks left.
    #[inline]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether all are freed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Frees some 200 blocks; answers whether there were any.
    pub fn step(&mut self) -> bool {
        self.0.step(|block| {
            // SAFETY: the drain has given it up.
            drop(unsafe { Block::from_compact(block) });
        })
    }
}

impl Drop for BlockDrain {
    fn drop(&mut self) {
        while self.step() {}
    }
}
