//! What an entry owns.

use ebb_heap::Block;

use super::{EntryRef, SHARED, StringRef};

impl EntryRef<'_> {
    /// Shows its block and that of a large string. A grown collection shows its own.
    pub(crate) fn own_blocks(&self, visit: &mut dyn FnMut(&Block)) {
        visit(&self.0);
        if self.kind() == SHARED
            && let StringRef::Shared(shared) = self.string()
        {
            visit(shared.block());
        }
    }
}
