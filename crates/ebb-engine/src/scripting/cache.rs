//! Scripts by the digest of their source, as EVALSHA names them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ebb_heap::{OutOfMemory, Shared};

use super::{ScriptFlags, Source, Sources};

/// SHA-1 in 40 lower-case hexadecimal digits.
pub type Sha = [u8; 40];

/// More scripts than this that nobody asked to keep (SCRIPT LOAD) are forgotten, the one that
/// was not used for longest first.
pub const EVALUATED_MAX: usize = 500;

/// A script whose source compiles.
#[derive(Debug)]
pub struct Script {
    /// Its digest.
    pub sha: Sha,
    source: Arc<Source>,
    /// What its first line says of it; `None` if that line says nothing, and the rules from
    /// before Redis 7 hold.
    pub flags: Option<ScriptFlags>,
    /// When it was used, counted in uses of scripts.
    last_use: AtomicU64,
    is_forgotten: AtomicBool,
}

impl Script {
    /// A script that was never used, and is in no cache.
    pub fn new(
        sources: &Sources,
        sha: Sha,
        source: &[u8],
        flags: Option<ScriptFlags>,
    ) -> Result<Arc<Script>, OutOfMemory> {
        let source = sources.add(source)?;
        let (last_use, is_forgotten) = Default::default();
        Ok(Arc::new(Script { sha, source, flags, last_use, is_forgotten }))
    }

    /// The source as it was given. It stays in its place while this is held.
    pub fn source(&self) -> Shared {
        self.source.read()
    }

    /// Whether this is its source.
    pub fn is(&self, source: &[u8]) -> bool {
        self.source.is(source)
    }

    /// The server has forgotten it: who kept it besides must ask again.
    pub fn is_forgotten(&self) -> bool {
        self.is_forgotten.load(Ordering::Acquire)
    }

    pub(super) fn note_use(&self, number: u64) {
        self.last_use.store(number, Ordering::Relaxed);
    }
}

#[derive(Debug)]
struct Cached {
    script: Arc<Script>,
    is_kept: bool,
}

/// All scripts.
#[derive(Debug, Default)]
pub struct ScriptCache {
    scripts: HashMap<Sha, Cached>,
    evaluated: usize,
    /// Of their sources.
    bytes: usize,
    /// Scripts forgotten because there were too many.
    pub evicted: u64,
}

/// Bytes of a script beside its source.
const OVERHEAD: usize = size_of::<Script>() + size_of::<(Sha, Cached)>() + Source::OUTSIDE;

impl ScriptCache {
    /// A script.
    pub fn get(&self, sha: &Sha) -> Option<Arc<Script>> {
        self.scripts.get(sha).map(|cached| Arc::clone(&cached.script))
    }

    /// Whether a script is here.
    pub fn contains(&self, sha: &Sha) -> bool {
        self.scripts.contains_key(sha)
    }

    /// Adds a script. One that is not to be kept may be forgotten when there are many.
    pub fn add(&mut self, script: Arc<Script>, keep: bool) {
        if let Some(cached) = self.scripts.get_mut(&script.sha) {
            if keep && !cached.is_kept {
                cached.is_kept = true;
                self.evaluated -= 1;
            }
            return;
        }
        if !keep {
            if self.evaluated >= EVALUATED_MAX {
                self.forget_oldest();
            }
            self.evaluated += 1;
        }
        // It may have been forgotten between its last use and now.
        script.is_forgotten.store(false, Ordering::Release);
        self.bytes += script.source.len();
        self.scripts.insert(script.sha, Cached { script, is_kept: keep });
    }

    /// There are some hundred to look at, which takes less than compiling the new one.
    fn forget_oldest(&mut self) {
        let evaluated = self.scripts.values().filter(|cached| !cached.is_kept);
        let oldest = evaluated.min_by_key(|cached| cached.script.last_use.load(Ordering::Relaxed));
        let Some(sha) = oldest.map(|cached| cached.script.sha) else { return };
        if let Some(Cached { script, .. }) = self.scripts.remove(&sha) {
            script.is_forgotten.store(true, Ordering::Release);
            self.bytes -= script.source.len();
            self.evaluated -= 1;
            self.evicted += 1;
        }
    }

    /// Forgets all scripts.
    pub(super) fn flush(&mut self) {
        for cached in self.scripts.values() {
            cached.script.is_forgotten.store(true, Ordering::Release);
        }
        *self = ScriptCache { evicted: self.evicted, ..ScriptCache::default() };
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
        self.bytes + self.overhead()
    }

    /// Bytes of what holds the sources.
    pub(super) fn overhead(&self) -> usize {
        self.len() * OVERHEAD
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;

    fn script(number: usize) -> Arc<Script> {
        static SOURCES: LazyLock<Sources> = LazyLock::new(Sources::default);
        let mut sha = [b'0'; 40];
        sha[..8].copy_from_slice(format!("{number:08}").as_bytes());
        Script::new(&SOURCES, sha, b"return 1", None).unwrap()
    }

    #[test]
    fn the_scripts_used_last_stay() {
        let mut cache = ScriptCache::default();
        cache.add(script(0), true);
        for number in 1..=EVALUATED_MAX {
            let script = script(number);
            script.note_use(number as u64);
            cache.add(script, false);
        }
        assert_eq!((cache.len(), cache.evicted), (EVALUATED_MAX + 1, 0));
        let (first, second) = (cache.get(&script(1).sha), cache.get(&script(2).sha));
        let (first, second) = (first.unwrap(), second.unwrap());
        first.note_use(EVALUATED_MAX as u64 + 1);
        let newest = script(1000);
        newest.note_use(EVALUATED_MAX as u64 + 2);
        cache.add(newest, false);
        assert!(second.is_forgotten() && !first.is_forgotten());
        assert!(cache.contains(&script(0).sha) && cache.contains(&script(1).sha));
        assert!(!cache.contains(&script(2).sha));
        assert_eq!((cache.len(), cache.evicted), (EVALUATED_MAX + 1, 1));
        // Once it is loaded, a script that was evaluated stays too.
        cache.add(script(3), true);
        for number in 2000..2000 + EVALUATED_MAX {
            let script = script(number);
            script.note_use(number as u64);
            cache.add(script, false);
        }
        assert!(cache.contains(&script(3).sha) && !cache.contains(&script(1).sha));
        let bytes = cache.bytes();
        cache.flush();
        assert!(cache.is_empty() && cache.bytes() < bytes);
    }
}
