//! Compiled code that an interpreter keeps, by what commands call it.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use ahash::RandomState;
use ebb_engine::scripting::{EVALUATED_MAX, Function, Script, ScriptFlags, Sha};

/// A script or a function that is compiled.
pub(crate) struct Code {
    /// The digest of a script, the name of a function.
    pub(crate) name: Box<str>,
    pub(crate) flags: Option<ScriptFlags>,
    /// Its place in the interpreter's table of compiled code.
    pub(crate) slot: i32,
}

impl Code {
    pub(crate) fn of_function(function: &Function, slot: i32) -> Code {
        Code { name: function.name.as_str().into(), flags: Some(function.flags), slot }
    }
}

/// Sources and names are what clients send: they must not know who collides.
fn keyed() -> RandomState {
    let seed = || rand::random();
    RandomState::with_seeds(seed(), seed(), seed(), seed())
}

/// A script of this interpreter.
#[derive(Clone)]
struct Known {
    script: Arc<Script>,
    code: Rc<Code>,
}

/// Scripts: by their source, because that is found faster than its digest, and by their digest.
pub(crate) struct Scripts {
    /// By the hash of the source. Of two with the same hash, the one that came last is here.
    by_source: HashMap<u64, Known, RandomState>,
    hasher: RandomState,
    by_digest: HashMap<Sha, Known, RandomState>,
    sweep_at: usize,
}

impl Default for Scripts {
    fn default() -> Scripts {
        let (by_source, by_digest) = (HashMap::with_hasher(keyed()), HashMap::with_hasher(keyed()));
        Scripts { by_source, hasher: keyed(), by_digest, sweep_at: 0 }
    }
}

impl Scripts {
    /// The script with this source, if the server still has it.
    pub(crate) fn with_source(&self, source: &[u8]) -> Option<(&Script, &Rc<Code>)> {
        let known = self.by_source.get(&self.hasher.hash_one(source))?;
        known.live().filter(|(script, _)| script.is(source))
    }

    /// The script with this digest, if the server still has it.
    pub(crate) fn with_digest(&self, sha: &Sha) -> Option<(&Script, &Rc<Code>)> {
        self.by_digest.get(sha).and_then(Known::live)
    }

    /// Adds a script. Answers the places of scripts that are not needed any more.
    pub(crate) fn add(&mut self, script: Arc<Script>, code: &Rc<Code>) -> Vec<i32> {
        let known = Known { script, code: Rc::clone(code) };
        let replaced = self.by_digest.insert(known.script.sha, known.clone());
        let hash = self.hasher.hash_one(&*known.script.source());
        self.by_source.insert(hash, known);
        let mut free: Vec<i32> = replaced.iter().map(|known| known.code.slot).collect();
        if self.by_digest.len() >= self.sweep_at.max(EVALUATED_MAX * 2) {
            self.by_source.retain(|_, known| known.live().is_some());
            self.by_digest.retain(|_, known| {
                let lives = known.live().is_some();
                if !lives {
                    free.push(known.code.slot);
                }
                lives
            });
            self.sweep_at = self.by_digest.len() * 2;
        }
        free
    }
}

impl Known {
    fn live(&self) -> Option<(&Script, &Rc<Code>)> {
        (!self.script.is_forgotten()).then_some((&*self.script, &self.code))
    }
}

/// What names a compiled function of a library.
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct LibraryFunction {
    /// The library's number.
    pub(crate) library: u64,
    pub(crate) name: Box<str>,
}

/// Functions. Those of libraries that were removed go with their interpreter.
pub(crate) struct Functions {
    slots: HashMap<LibraryFunction, i32, RandomState>,
    /// By the names that they were called by, since the libraries changed last.
    called: HashMap<Box<[u8]>, Rc<Code>, RandomState>,
    changes: u64,
}

/// A function has as many names as its letters have cases: of more than this all are forgotten.
const CALLED_MAX: usize = 10_000;

impl Default for Functions {
    fn default() -> Functions {
        let (slots, called) = (HashMap::with_hasher(keyed()), HashMap::with_hasher(keyed()));
        Functions { slots, called, changes: 0 }
    }
}

impl Functions {
    /// Where a compiled function is.
    pub(crate) fn find(&self, function: &LibraryFunction) -> Option<i32> {
        self.slots.get(function).copied()
    }

    /// Notes where a compiled function is.
    pub(crate) fn keep(&mut self, function: LibraryFunction, slot: i32) {
        self.slots.insert(function, slot);
    }

    /// The function that was called by this name before, if the libraries are as they were then.
    pub(crate) fn called(&mut self, name: &[u8], changes: u64) -> Option<Rc<Code>> {
        if self.changes != changes {
            self.changes = changes;
            self.called.clear();
        }
        self.called.get(name).cloned()
    }

    /// A function was called by this name.
    pub(crate) fn note_called(&mut self, name: &[u8], code: &Rc<Code>) {
        if self.called.len() >= CALLED_MAX {
            self.called.clear();
        }
        self.called.insert(name.into(), Rc::clone(code));
    }
}

#[cfg(test)]
mod tests {
    use ebb_engine::scripting::Sources;

    use super::*;

    fn code(slot: i32) -> Rc<Code> {
        Rc::new(Code { name: "".into(), flags: None, slot })
    }

    thread_local! {
        static SOURCES: Sources = Sources::default();
    }

    fn script(number: usize) -> Arc<Script> {
        let source = format!("return {number}");
        let sha = crate::api::hex(source.as_bytes());
        SOURCES.with(|sources| Script::new(sources, sha, source.as_bytes(), None).unwrap())
    }

    #[test]
    fn what_the_server_forgot_is_not_found_and_swept() {
        let mut cache = ebb_engine::scripting::ScriptCache::default();
        let (mut scripts, mut freed) = (Scripts::default(), Vec::new());
        for number in 0..EVALUATED_MAX * 5 {
            let script = script(number);
            cache.add(Arc::clone(&script), false);
            freed.extend(scripts.add(script, &code(number as i32)));
        }
        for script in (0..EVALUATED_MAX * 5).map(script) {
            let known = scripts.with_source(&script.source()).is_some();
            assert_eq!(known, cache.contains(&script.sha));
            assert_eq!(known, scripts.with_digest(&script.sha).is_some());
        }
        let new = script(EVALUATED_MAX * 5 - 1);
        let found = scripts.with_source(&new.source()).unwrap();
        assert_eq!((found.0.sha, found.1.slot), (new.sha, EVALUATED_MAX as i32 * 5 - 1));
        assert!(scripts.by_source.len() <= EVALUATED_MAX * 2 && !freed.is_empty());
        assert_eq!(scripts.by_digest.len() + freed.len(), EVALUATED_MAX * 5);
    }

    #[test]
    fn names_of_functions_are_forgotten_when_libraries_change() {
        let mut functions = Functions::default();
        assert!(functions.called(b"F", 1).is_none());
        functions.note_called(b"F", &code(1));
        assert!(functions.called(b"F", 1).is_some() && functions.called(b"f", 1).is_none());
        assert!(functions.called(b"F", 2).is_none() && functions.called(b"F", 1).is_none());
    }
}
