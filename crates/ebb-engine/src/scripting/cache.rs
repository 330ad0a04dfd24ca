//! Scripts by the digest of their source, as EVALSHA names them.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::ScriptFlags;

/// SHA-1 in 40 lower-case hexadecimal digits.
pub type Sha = [u8; 40];

/// More scripts than this that nobody asked to keep (SCRIPT LOAD) are forgotten, the one that
/// was not used for longest first.
const EVALUATED_MAX: usize = 500;

/// A script whose source compiles.
#[derive(Debug)]
pub struct Script {
    /// Its digest.
    pub sha: Sha,
    /// The source as it was given.
    pub source: Box<[u8]>,
    /// What its first line says of it; `None` if that line says nothing, and the rules from
    /// before Redis 7 hold.
    pub flags: Option<ScriptFlags>,
}

#[derive(Debug)]
struct Cached {
    script: Arc<Script>,
    /// When it was used, counted in uses; 0 if it is kept.
    used: u64,
}

/// All scripts.
#[derive(Debug, Default)]
pub struct ScriptCache {
    scripts: HashMap<Sha, Cached>,
    /// Uses of scripts that are not kept, oldest first. Only a script's last use counts.
    uses: VecDeque<(u64, Sha)>,
    clock: u64,
    evaluated: usize,
    bytes: usize,
    /// Scripts forgotten because there were too many.
    pub evicted: u64,
    /// Counts up when scripts are forgotten.
    pub version: u64,
}

/// Bytes of a script beside its source.
const OVERHEAD: usize = size_of::<Script>() + size_of::<(Sha, Cached)>();

impl ScriptCache {
    /// A script, which counts as used.
    pub fn get(&mut self, sha: &Sha) -> Option<Arc<Script>> {
        self.clock += 1;
        let clock = self.clock;
        let cached = self.scripts.get_mut(sha)?;
        let script = Arc::clone(&cached.script);
        if cached.used != 0 {
            cached.used = clock;
            self.uses.push_back((clock, *sha));
            self.trim_uses();
        }
        Some(script)
    }

    /// Whether a script is here.
    pub fn contains(&self, sha: &Sha) -> bool {
        self.scripts.contains_key(sha)
    }

    /// Adds a script. One that is not to be kept may be forgotten when there are many.
    pub fn add(&mut self, script: Arc<Script>, keep: bool) {
        self.clock += 1;
        let sha = script.sha;
        let used = if keep { 0 } else { self.clock };
        if let Some(cached) = self.scripts.get_mut(&sha) {
            if keep && cached.used != 0 {
                cached.used = 0;
                self.evaluated -= 1;
            }
            return;
        }
        self.bytes += script.source.len() + OVERHEAD;
        self.scripts.insert(sha, Cached { script, used });
        if !keep {
            self.evaluated += 1;
            self.uses.push_back((used, sha));
            while self.evaluated > EVALUATED_MAX {
                self.forget_oldest();
            }
        }
    }

    fn is_last_use(&self, (used, sha): &(u64, Sha)) -> bool {
        self.scripts.get(sha).is_some_and(|cached| cached.used == *used)
    }

    fn forget_oldest(&mut self) {
        while let Some(oldest) = self.uses.pop_front() {
            if self.is_last_use(&oldest)
                && let Some(cached) = self.scripts.remove(&oldest.1)
            {
                self.bytes -= cached.script.source.len() + OVERHEAD;
                self.evaluated -= 1;
                self.evicted += 1;
                self.version += 1;
                return;
            }
        }
    }

    /// Keeps the list of uses within some times the number of scripts.
    fn trim_uses(&mut self) {
        if self.uses.len() > EVALUATED_MAX * 4 {
            let uses = std::mem::take(&mut self.uses);
            self.uses = uses.into_iter().filter(|used| self.is_last_use(used)).collect();
        }
    }

    /// Forgets all scripts.
    pub fn flush(&mut self) {
        let (version, evicted, clock) = (self.version + 1, self.evicted, self.clock);
        *self = ScriptCache { version, evicted, clock, ..ScriptCache::default() };
    }

    /// Number of scripts.
    pub fn len(&self) -> usize {
        self.scripts.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.scripts.is_empty()
    }

    /// Bytes of the sources and of what holds them.
    pub fn bytes(&self) -> usize {
        self.bytes + self.uses.capacity() * size_of::<(u64, Sha)>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(number: usize) -> Arc<Script> {
        let mut sha = [b'0'; 40];
        sha[..8].copy_from_slice(format!("{number:08}").as_bytes());
        Arc::new(Script { sha, source: Box::new(*b"return 1"), flags: None })
    }

    #[test]
    fn the_scripts_used_last_stay() {
        let mut cache = ScriptCache::default();
        cache.add(script(0), true);
        for number in 1..=EVALUATED_MAX {
            cache.add(script(number), false);
        }
        assert_eq!((cache.len(), cache.evicted), (EVALUATED_MAX + 1, 0));
        for _ in 0..EVALUATED_MAX * 5 {
            assert!(cache.get(&script(1).sha).is_some());
        }
        cache.add(script(1000), false);
        assert!(cache.contains(&script(0).sha) && cache.contains(&script(1).sha));
        assert!(!cache.contains(&script(2).sha));
        assert_eq!((cache.len(), cache.evicted), (EVALUATED_MAX + 1, 1));
        // Once it is loaded, a script that was evaluated stays too.
        cache.add(script(3), true);
        for number in 2000..2000 + EVALUATED_MAX {
            cache.add(script(number), false);
        }
        assert!(cache.contains(&script(3).sha) && !cache.contains(&script(1).sha));
        let bytes = cache.bytes();
        cache.flush();
        assert!(cache.is_empty() && cache.bytes() < bytes);
    }
}
