//! The shard locks that a worker holds: strict two-phase locking.
//!
//! Locks are taken in ascending order and all at once: to need another set means to let go
//! of what is held first. One shard's lock is kept from a command to its neighbour in the
//! pipeline, and given up before anything blocks.
//!
//! Who takes several passes the keyspace's gate first. A script keeps the gate while it runs,
//! and may therefore take shards one by one as it touches them: whoever holds one of them
//! waits for nothing (`docs/decisions/0003-script-locks.md`).

use ebb_keyspace::eviction::AccessClock;
use ebb_keyspace::{Key, Keyspace, Shard};
use parking_lot::MutexGuard;

/// Locks held by one worker.
pub struct Locks<'k> {
    keyspace: &'k Keyspace,
    held: Held<'k>,
    /// Access clock for entries touched under these locks.
    clock: AccessClock,
}

#[expect(dead_code, reason = "the gate is kept, not looked at")]
enum Held<'k> {
    None,
    One(usize, MutexGuard<'k, Shard>),
    /// By ascending shard.
    Some(Vec<(usize, MutexGuard<'k, Shard>)>),
    /// Every shard, and the gate, so that no script runs beside one in a transaction.
    All(Vec<MutexGuard<'k, Shard>>, MutexGuard<'k, ()>),
    /// A script's: those that it has touched, by shard, and the gate.
    Growing(Vec<Option<MutexGuard<'k, Shard>>>, MutexGuard<'k, ()>),
    /// The one that is visited, and the gate.
    Walking(Option<(usize, MutexGuard<'k, Shard>)>, MutexGuard<'k, ()>),
}

impl Held<'_> {
    /// A shard that is held, if it is not the only one.
    #[inline(never)]
    fn among_others(&mut self, shard: usize) -> &mut Shard {
        let guard = match self {
            Held::Some(guards) => {
                guards.iter_mut().find(|(held, _)| *held == shard).map(|(_, guard)| guard)
            }
            Held::All(guards, _) => guards.get_mut(shard),
            Held::Growing(guards, _) => guards[shard].as_mut(),
            Held::Walking(Some((held, guard)), _) if *held == shard => Some(guard),
            _ => None,
        };
        match guard {
            Some(guard) => guard,
            None => unreachable!("a command touches only the keys that it declares"),
        }
    }
}

/// Somebody holds locks for long: what needs them must be refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Busy;

impl<'k> Locks<'k> {
    /// Holds nothing yet.
    pub fn new(keyspace: &'k Keyspace, clock: AccessClock) -> Locks<'k> {
        Locks { keyspace, held: Held::None, clock }
    }

    /// The keyspace they lock.
    pub fn keyspace(&self) -> &'k Keyspace {
        self.keyspace
    }

    fn lock(&self, shard: usize) -> Result<MutexGuard<'k, Shard>, Busy> {
        let mut guard = self.keyspace.lock_unless_busy(shard).ok_or(Busy)?;
        guard.set_clock(self.clock);
        Ok(guard)
    }

    /// Lets go of everything.
    pub fn release(&mut self) {
        self.held = Held::None;
    }

    /// Whether this shard is held.
    pub fn holds(&self, shard: usize) -> bool {
        match &self.held {
            Held::None => false,
            Held::One(held, _) => *held == shard,
            Held::Some(held) => held.iter().any(|(held, _)| *held == shard),
            Held::All(..) => true,
            Held::Growing(held, _) => held[shard].is_some(),
            Held::Walking(held, _) => held.as_ref().is_some_and(|(held, _)| *held == shard),
        }
    }

    /// Holds one shard.
    #[inline]
    pub fn hold_one(&mut self, shard: usize) -> Result<(), Busy> {
        if !matches!(&self.held, Held::One(held, _) if *held == shard) {
            self.release();
            self.held = Held::One(shard, self.lock(shard)?);
        }
        Ok(())
    }

    /// Looks into a shard for a moment, if that is possible without waiting.
    #[inline]
    pub fn glance(&mut self, shard: usize, look: impl FnOnce(&Shard)) {
        if matches!(&self.held, Held::One(held, _) if *held == shard) || self.holds(shard) {
            look(self.shard(shard));
        } else if let Some(guard) = self.keyspace.try_lock(shard) {
            look(&guard);
        }
    }

    /// Holds several shards; `shards` is sorted here.
    pub fn hold_set(&mut self, shards: &mut Vec<usize>) -> Result<(), Busy> {
        shards.sort_unstable();
        shards.dedup();
        match shards.as_slice() {
            [] => {}
            [shard] => self.hold_one(*shard)?,
            _ => {
                self.release();
                let _gate = self.keyspace.gate.pass().ok_or(Busy)?;
                let held = shards.iter().map(|&shard| Ok((shard, self.lock(shard)?)));
                self.held = Held::Some(held.collect::<Result<_, Busy>>()?);
            }
        }
        Ok(())
    }

    /// Holds all shards.
    pub fn hold_all(&mut self) -> Result<(), Busy> {
        let shards = self.keyspace.shards();
        if shards == 1 {
            return self.hold_one(0);
        }
        if !matches!(self.held, Held::All(..)) {
            self.release();
            let gate = self.keyspace.gate.pass().ok_or(Busy)?;
            let held = (0..shards).map(|shard| self.lock(shard));
            self.held = Held::All(held.collect::<Result<_, Busy>>()?, gate);
        }
        Ok(())
    }

    /// Holds what a script needs to begin: the gate, with which [`Locks::grow`] may add shards.
    pub fn hold_growing(&mut self) -> Result<(), Busy> {
        let shards = self.keyspace.shards();
        if shards == 1 {
            return self.hold_one(0);
        }
        self.release();
        let gate = self.keyspace.gate.pass().ok_or(Busy)?;
        self.held = Held::Growing((0..shards).map(|_| None).collect(), gate);
        Ok(())
    }

    /// Holds what a command needs that visits one shard after the other. The gate keeps scripts
    /// away, which hold shards for long.
    pub fn hold_walking(&mut self) -> Result<(), Busy> {
        if self.keyspace.shards() == 1 {
            return self.hold_one(0);
        }
        self.release();
        self.held = Held::Walking(None, self.keyspace.gate.pass().ok_or(Busy)?);
        Ok(())
    }

    /// Adds a shard to those of a script, unless it is held.
    pub fn grow(&mut self, shard: usize) {
        if let Held::Growing(held, _) = &mut self.held
            && held[shard].is_none()
        {
            let mut guard = self.keyspace.lock(shard);
            guard.set_clock(self.clock);
            held[shard] = Some(guard);
        }
    }

    /// Adds all shards to those of a script.
    pub fn grow_all(&mut self) {
        (0..self.keyspace.shards()).for_each(|shard| self.grow(shard));
    }

    /// Comes to a shard, for a command that visits one after the other: a script keeps those
    /// that it visited, others let go of the last.
    pub(crate) fn visit(&mut self, shard: usize) {
        self.grow(shard);
        if let Held::Walking(held, _) = &mut self.held {
            *held = None;
            let mut guard = self.keyspace.lock(shard);
            guard.set_clock(self.clock);
            *held = Some((shard, guard));
        }
    }

    /// A shard that is held.
    #[inline]
    pub fn shard(&mut self, shard: usize) -> &mut Shard {
        if !matches!(&self.held, Held::One(held, _) if *held == shard) {
            return self.held.among_others(shard);
        }
        match &mut self.held {
            Held::One(_, guard) => guard,
            held => held.among_others(shard),
        }
    }

    /// Looks into the shards of some keys, all of which are held.
    #[inline]
    pub(crate) fn look_at(&mut self, keys: &[Key<'_>], look: impl Fn(&Shard, &Key<'_>)) {
        match &self.held {
            // They are all in this one.
            Held::One(_, shard) => keys.iter().for_each(|key| look(shard, key)),
            _ => keys.iter().for_each(|key| look(self.shard_of(key), key)),
        }
    }

    /// The shard of a key, held, beside others to read.
    pub fn shard_to_read(&self, key: &Key<'_>) -> &Shard {
        let shard = self.keyspace.shard_of(key.hash());
        let guard = match &self.held {
            Held::One(held, guard) if *held == shard => Some(guard),
            Held::Some(guards) => {
                guards.iter().find(|(held, _)| *held == shard).map(|(_, guard)| guard)
            }
            Held::All(guards, _) => guards.get(shard),
            Held::Growing(guards, _) => guards.get(shard).and_then(Option::as_ref),
            _ => None,
        };
        match guard {
            Some(guard) => guard,
            None => unreachable!("a command touches only the keys that it declares"),
        }
    }

    /// The shard of a key, held.
    #[inline]
    pub fn shard_of(&mut self, key: &Key<'_>) -> &mut Shard {
        self.shard(self.keyspace.shard_of(key.hash()))
    }

    /// The shards that are held, with their numbers.
    pub(crate) fn each_held(&mut self, mut visit: impl FnMut(usize, &mut Shard)) {
        match &mut self.held {
            Held::None => {}
            Held::One(number, guard) => visit(*number, guard),
            Held::Some(held) => held.iter_mut().for_each(|(number, guard)| visit(*number, guard)),
            Held::All(held, _) => {
                held.iter_mut().enumerate().for_each(|(number, guard)| visit(number, guard));
            }
            Held::Growing(held, _) => {
                let held = held.iter_mut().enumerate();
                held.filter_map(|(number, guard)| Some((number, guard.as_mut()?)))
                    .for_each(|(number, guard)| visit(number, guard));
            }
            Held::Walking(held, _) => {
                held.iter_mut().for_each(|(number, guard)| visit(*number, guard));
            }
        }
    }

    /// All shards, after [`Locks::hold_all`].
    pub fn each(&mut self, mut visit: impl FnMut(&mut Shard)) {
        for shard in 0..self.keyspace.shards() {
            visit(self.shard(shard));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_adds_shards_and_others_wait_for_the_gate_only() {
        let keyspace = Keyspace::new(4, 1);
        let locks = || Locks::new(&keyspace, AccessClock::default());
        let (mut script, mut other) = (locks(), locks());
        script.hold_growing().unwrap();
        script.grow(3);
        script.grow(1);
        assert!(script.holds(1) && script.holds(3) && !script.holds(0));
        assert!(other.hold_one(0).is_ok());
        keyspace.gate.set_busy(true);
        assert_eq!(other.hold_one(1), Err(Busy));
        assert_eq!(other.hold_set(&mut vec![0, 2]), Err(Busy));
        assert_eq!(other.hold_all(), Err(Busy));
        script.grow_all();
        assert!(other.hold_one(0).is_err());
        keyspace.gate.set_busy(false);
        script.release();
        assert!(other.hold_all().is_ok());
    }
}
