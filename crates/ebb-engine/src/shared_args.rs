//! Arguments that lie in blocks of the heap, where a command may leave them as values.

use ebb_keyspace::Shared;

/// Those of one request, found by the argument's position in it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SharedArgs<'a> {
    /// Those of all requests that run together, by position in the arguments of all of them.
    all: &'a [(usize, &'a Shared)],
    /// The position there of this request's first argument.
    first: usize,
}

impl<'a> SharedArgs<'a> {
    /// No argument lies in a block.
    pub(crate) const NONE: SharedArgs<'static> = SharedArgs { all: &[], first: 0 };

    /// Those of the request whose arguments begin at `first`. `all` is sorted: many clients may
    /// send such arguments, and each command looks for its own only.
    #[inline]
    pub(crate) fn of(all: &'a [(usize, &'a Shared)], first: usize) -> SharedArgs<'a> {
        debug_assert!(all.is_sorted_by_key(|(at, _)| *at));
        SharedArgs { all, first }
    }

    /// A reference to the block of the request's argument at `index`, if it lies in one.
    #[inline]
    pub(crate) fn get(&self, index: usize) -> Option<Shared> {
        let found = self.all.binary_search_by_key(&(self.first + index), |(at, _)| *at).ok()?;
        Some(self.all[found].1.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ebb_heap::ArenaId;

    #[test]
    fn each_request_finds_its_own() {
        let arena = ArenaId::new();
        let block = |text: &str| Shared::copy_from(arena, text.as_bytes()).unwrap();
        let (one, two, three) = (block("one"), block("two"), block("three"));
        // SET k one, GET k, MSET k two l three
        let all = [(2, &one), (7, &two), (9, &three)];
        let at = |first, index| {
            let found: Option<Shared> = SharedArgs::of(&all, first).get(index);
            found.map(|shared| String::from_utf8(shared.to_vec()).unwrap())
        };
        assert_eq!([at(0, 0), at(0, 1), at(0, 2)], [None, None, Some("one".into())]);
        assert_eq!([at(3, 0), at(3, 1)], [None, None]);
        assert_eq!(
            [at(5, 2), at(5, 3), at(5, 4)],
            [Some("two".into()), None, Some("three".into())]
        );
        assert_eq!(one.reference_count(), 1);
        assert!(SharedArgs::NONE.get(2).is_none());
    }
}
