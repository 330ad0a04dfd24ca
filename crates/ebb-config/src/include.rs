//! Which files an `include` names.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::glob;

/// The files that `pattern` names, in order, relative to `base`. Without a wildcard that is the one path, whether
/// or not it exists; with one, what matches, which may be nothing. As in a shell a wildcard does not match a
/// leading dot and cannot match a slash.
pub(crate) fn expand(base: &Path, pattern: &[u8]) -> Vec<PathBuf> {
    let path = Path::new(OsStr::from_bytes(pattern));
    if !glob::is_pattern(pattern) {
        return vec![base.join(path)];
    }
    let mut found = vec![if path.is_absolute() { PathBuf::from("/") } else { base.to_owned() }];
    for component in pattern.split(|byte| *byte == b'/').filter(|component| !component.is_empty()) {
        found = found.iter().flat_map(|directory| descend(directory, component)).collect();
    }
    found
}

/// The entries of `directory` that match one component, sorted.
fn descend(directory: &Path, component: &[u8]) -> Vec<PathBuf> {
    if !glob::is_pattern(component) {
        let path = directory.join(OsStr::from_bytes(component));
        return if path.exists() { vec![path] } else { Vec::new() };
    }
    // A directory that cannot be read matches nothing, as in a shell.
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut names: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.file_name())).collect();
    names.retain(|name| {
        let hidden = name.as_bytes().starts_with(b".") && !component.starts_with(b".");
        !hidden && glob::matches(component, name.as_bytes(), false)
    });
    names.sort();
    names.into_iter().map(|name| directory.join(name)).collect()
}
