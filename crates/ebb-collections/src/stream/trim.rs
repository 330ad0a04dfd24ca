//! Removing the oldest entries, and what becomes of the references that groups have to entries
//! that go.

use super::{Stream, StreamId};

/// What trimming removes.
#[derive(Debug, Clone, Copy)]
pub enum Trim {
    /// The oldest entries, until so many are left.
    MaxLen(u64),
    /// The entries with smaller ids.
    MinId(StreamId),
}

/// What the references of consumer groups mean to entries that are to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum References {
    /// Nothing: they stay, and dangle.
    #[default]
    Keep,
    /// They go, too.
    Remove,
    /// Entries that have some stay.
    Respect,
}

impl Stream {
    /// Whether some group has an entry pending, or has not read up to it.
    pub fn is_referenced(&self, id: StreamId) -> bool {
        self.groups.values().any(|group| id > group.last_id || group.pending().contains_key(&id))
    }

    /// Ends that an entry is pending in any group; answers whether it was.
    pub fn forget_references(&mut self, id: StreamId) -> bool {
        let mut was_pending = false;
        for group in self.groups.values_mut() {
            was_pending |= group.acknowledge(id);
        }
        was_pending
    }

    /// Removes the oldest entries; answers how many. If `whole_nodes` is set, only entries of
    /// nodes that would go as a whole, and at most `limit` of them (0: any number).
    pub fn trim(
        &mut self,
        trim: Trim,
        references: References,
        whole_nodes: bool,
        limit: u64,
    ) -> u64 {
        let mut removed = 0;
        let mut from = StreamId::MIN;
        // Entries that stay although older than others that go leave gaps behind them.
        let mut is_gap = false;
        while let Some((&first, node)) = self.nodes.range(from..).next() {
            let count = node.len() as u64;
            let goes_whole = match trim {
                Trim::MaxLen(max) => self.len > max && self.len - count >= max,
                Trim::MinId(min) => node.last_id().is_some_and(|last| last < min),
            };
            let over = goes_whole && limit != 0 && removed + count > limit;
            if over || (whole_nodes && !goes_whole) {
                break;
            }
            if goes_whole && references == References::Keep {
                self.drop_node(first);
                self.len -= count;
                removed += count;
                continue;
            }
            let ids: Vec<StreamId> = node.entries().map(|entry| entry.id).collect();
            for id in ids {
                let is_done = match trim {
                    Trim::MaxLen(max) => self.len <= max,
                    Trim::MinId(min) => id >= min,
                };
                if is_done {
                    return removed;
                }
                if references == References::Respect && self.is_referenced(id) {
                    is_gap = true;
                    continue;
                }
                if references == References::Remove {
                    self.forget_references(id);
                }
                let gone = if is_gap { self.delete(id) } else { self.take_out(id) };
                removed += u64::from(gone);
            }
            let Some(next) = first.next() else { break };
            from = next;
        }
        removed
    }
}
