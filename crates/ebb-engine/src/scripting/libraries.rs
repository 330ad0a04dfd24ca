//! Libraries of functions, as FUNCTION LOAD adds them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{ScriptFlags, Source};

/// A function of a library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its name, by which FCALL finds it in any case.
    pub name: String,
    /// What it says of itself.
    pub description: Option<String>,
    /// Flags.
    pub flags: ScriptFlags,
}

/// A library.
#[derive(Debug)]
pub struct Library {
    /// Its name.
    pub name: String,
    /// Its whole source.
    pub source: Arc<Source>,
    /// What it registered, by name.
    pub functions: Vec<Function>,
    /// No other library has or had this number.
    pub number: u64,
}

/// All libraries.
#[derive(Debug, Default, Clone)]
pub struct Libraries {
    by_name: BTreeMap<String, Arc<Library>>,
    /// The library of each function, by its name in lower case.
    owners: BTreeMap<String, Arc<Library>>,
    next_number: u64,
    /// Counts up when libraries are removed.
    pub version: u64,
    /// Counts up when libraries are added or removed.
    pub changes: u64,
}

impl Libraries {
    /// A number for a library.
    pub fn next_number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    /// The same without any library.
    pub fn emptied(&self) -> Libraries {
        let mut empty = self.clone();
        empty.flush();
        empty
    }

    /// Whether there is a library with this name.
    pub fn has(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// Adds a library, in the place of one with its name if `replace`. The error is the text
    /// for the client, without its code.
    pub fn add(&mut self, library: Library, replace: bool) -> Result<(), String> {
        let old = self.by_name.get(&library.name);
        if old.is_some() && !replace {
            return Err(format!("Library '{}' already exists", library.name));
        }
        let taken = |function: &&Function| {
            let owner = self.owners.get(&function.name.to_ascii_lowercase());
            owner.is_some_and(|owner| owner.name != library.name)
        };
        if let Some(function) = library.functions.iter().find(taken) {
            return Err(format!("Function {} already exists", function.name));
        }
        self.remove(&library.name.clone());
        let library = Arc::new(library);
        for function in &library.functions {
            self.owners.insert(function.name.to_ascii_lowercase(), Arc::clone(&library));
        }
        self.by_name.insert(library.name.clone(), library);
        self.changes += 1;
        Ok(())
    }

    /// Removes a library; answers whether it was there.
    pub fn remove(&mut self, name: &str) -> bool {
        let Some(library) = self.by_name.remove(name) else { return false };
        library.functions.iter().for_each(|function| {
            self.owners.remove(&function.name.to_ascii_lowercase());
        });
        self.version += 1;
        self.changes += 1;
        true
    }

    /// Removes all libraries.
    pub fn flush(&mut self) {
        self.by_name.clear();
        self.owners.clear();
        self.version += 1;
        self.changes += 1;
    }

    /// A function and its library.
    pub fn function(&self, name: &str) -> Option<(Arc<Library>, Function)> {
        let library = self.owners.get(&name.to_ascii_lowercase())?;
        let mut functions = library.functions.iter();
        let function = functions.find(|function| function.name.eq_ignore_ascii_case(name))?;
        Some((Arc::clone(library), function.clone()))
    }

    /// All libraries, by name.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Library>> {
        self.by_name.values()
    }

    /// How many libraries and functions there are.
    pub fn counts(&self) -> (usize, usize) {
        (self.by_name.len(), self.owners.len())
    }

    /// Bytes of the sources and of what holds them.
    pub fn bytes(&self) -> usize {
        let sources: usize = self.by_name.values().map(|library| library.source.len()).sum();
        sources + self.overhead()
    }

    /// Bytes of what holds the sources.
    pub(super) fn overhead(&self) -> usize {
        let function = |f: &Function| {
            size_of::<Function>()
                + f.name.len() * 2
                + f.description.iter().map(String::len).sum::<usize>()
        };
        let library = |library: &Arc<Library>| {
            let functions: usize = library.functions.iter().map(function).sum();
            size_of::<Library>() + Source::OUTSIDE + library.name.len() * 2 + functions
        };
        self.by_name.values().map(library).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Sources;
    use super::*;

    fn library(sources: &Sources, name: &str, functions: &[&str]) -> Library {
        let function = |name: &&str| Function {
            name: (*name).into(),
            description: None,
            flags: ScriptFlags::NONE,
        };
        Library {
            name: name.into(),
            source: sources.add(name.as_bytes()).unwrap(),
            functions: functions.iter().map(function).collect(),
            number: 0,
        }
    }

    #[test]
    fn names_belong_to_one_library() {
        let sources = Sources::default();
        let library = |name: &str, functions: &[&str]| library(&sources, name, functions);
        let mut libraries = Libraries::default();
        assert_eq!(libraries.add(library("a", &["f", "g"]), false), Ok(()));
        assert_eq!(
            libraries.add(library("a", &["f"]), false),
            Err("Library 'a' already exists".into())
        );
        assert_eq!(
            libraries.add(library("b", &["x", "g"]), true),
            Err("Function g already exists".into())
        );
        assert_eq!(libraries.add(library("a", &["f"]), true), Ok(()));
        assert!(libraries.function("g").is_none() && libraries.function("F").is_some());
        assert_eq!(libraries.counts(), (1, 1));
        assert_eq!(libraries.bytes(), libraries.overhead() + 1);
        // What was refused or replaced is gone.
        assert!((1..32).contains(&sources.arena().live_bytes()));
        assert!(libraries.remove("a") && !libraries.remove("a"));
        assert_eq!((libraries.counts(), libraries.bytes()), ((0, 0), 0));
        assert_eq!(sources.arena().live_bytes(), 0);
    }
}
