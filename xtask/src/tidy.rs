//! `./x tidy`: rules that the compiler does not know.
//!
//! - Crates import downwards only.
//! - `unsafe` stands only where it may, and every other crate forbids it.
//! - No `todo!`, `unimplemented!`, `dbg!`, and no marks of unfinished work.
//! - Files and functions have a limit; what is over it is in `ratchet.txt` with the size it
//!   may have at most, which may only shrink.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::source::{blanked, functions};

/// Crates from the lowest to the highest. Those in one row do not import each other.
const LAYERS: &[&[&str]] = &[
    &["ebb-heap", "ebb-types"],
    &["ebb-table", "ebb-resp", "ebb-config"],
    &["ebb-collections"],
    &["ebb-keyspace"],
    &["ebb-persist"],
    &["ebb-engine"],
    &["ebb-script"],
    &["ebb-commands"],
    &["ebb-server"],
    &["ebb"],
];

/// Where `unsafe` may stand.
const UNSAFE_ALLOWED: &[&str] = &[
    "crates/ebb-heap/src/",
    "crates/ebb-table/src/",
    "crates/ebb-collections/src/grown_sorted_set.rs",
    "crates/ebb-keyspace/src/entries.rs",
    "crates/ebb-keyspace/src/entry.rs",
    "crates/ebb-keyspace/src/entry/collection.rs",
    "crates/ebb-keyspace/src/entry/relocate.rs",
    "crates/ebb-resp/src/frame.rs",
    "crates/ebb-script/src/memory.rs",
    "crates/ebb-script/src/raw/",
    "crates/ebb-server/src/io/",
    "crates/ebb/src/allocator.rs",
];

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;
const RATCHET: &str = "xtask/ratchet.txt";

/// Words that mark unfinished work, in halves so that this file may name them.
const FORBIDDEN: &[(&str, &str)] =
    &[("todo", "!("), ("unimplemented", "!("), ("dbg", "!("), ("TO", "DO"), ("FIX", "ME")];

/// Runs all checks.
pub(crate) fn run() -> ExitCode {
    let mut problems = Vec::new();
    check_layers(&mut problems);
    let mut sizes = BTreeMap::new();
    for file in rust_files() {
        match fs::read_to_string(&file) {
            Ok(source) => check_file(&name_of(&file), &source, &mut problems, &mut sizes),
            Err(error) => problems.push(format!("{}: {error}", file.display())),
        }
    }
    check_forbids(&mut problems);
    check_ratchet(&sizes, &mut problems);
    for problem in &problems {
        eprintln!("{problem}");
    }
    if problems.is_empty() {
        println!("tidy: all is well");
        ExitCode::SUCCESS
    } else {
        eprintln!("tidy: {} problems", problems.len());
        ExitCode::FAILURE
    }
}

fn name_of(path: &Path) -> String {
    path.strip_prefix("./").unwrap_or(path).to_string_lossy().into_owned()
}

fn rust_files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders: Vec<PathBuf> = ["./crates", "./xtask", "./fuzz"].map(PathBuf::from).into();
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

fn layer_of(name: &str) -> Option<usize> {
    LAYERS.iter().position(|row| row.contains(&name))
}

/// Dependencies are what stands in `[dependencies]`; tests may use what they like.
fn check_layers(problems: &mut Vec<String>) {
    for name in LAYERS.iter().flat_map(|row| row.iter()) {
        let path = format!("crates/{name}/Cargo.toml");
        let Ok(manifest) = fs::read_to_string(&path) else {
            problems.push(format!("{path}: cannot be read"));
            continue;
        };
        for (number, dependency) in dependencies(&manifest) {
            let Some(below) = layer_of(dependency) else { continue };
            if layer_of(name).is_some_and(|layer| below >= layer) {
                problems.push(format!("{path}:{number}: {name} must not import {dependency}"));
            }
        }
    }
}

/// Names in `[dependencies]` with their line numbers.
fn dependencies(manifest: &str) -> Vec<(usize, &str)> {
    let mut inside = false;
    let mut found = Vec::new();
    for (number, line) in manifest.lines().enumerate() {
        if line.starts_with('[') {
            inside = line == "[dependencies]";
        } else if inside {
            let end = line.find(['.', ' ', '=']).unwrap_or(line.len());
            if end > 0 {
                found.push((number + 1, &line[..end]));
            }
        }
    }
    found
}

/// Lines before the tests.
fn lines_of_code(source: &str) -> usize {
    source.lines().position(|line| line == "#[cfg(test)]").unwrap_or(source.lines().count())
}

fn check_file(
    name: &str,
    source: &str,
    problems: &mut Vec<String>,
    sizes: &mut BTreeMap<String, usize>,
) {
    let blank = blanked(source);
    for (number, line) in blank.lines().enumerate() {
        let has_unsafe =
            line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|w| w == "unsafe");
        if has_unsafe && !UNSAFE_ALLOWED.iter().any(|allowed| name.starts_with(allowed)) {
            problems.push(format!("{name}:{}: unsafe may not stand here", number + 1));
        }
    }
    for (number, line) in source.lines().enumerate() {
        for (head, tail) in FORBIDDEN {
            if line.contains(&format!("{head}{tail}")) {
                problems.push(format!("{name}:{}: {head}{tail}", number + 1));
            }
        }
    }
    let is_test = name.contains("/tests") || name.ends_with("_tests.rs");
    if is_test {
        return;
    }
    let code = lines_of_code(source);
    if code > FILE_LINES_MAX {
        sizes.insert(name.to_owned(), code);
    }
    for function in functions(&blank) {
        if function.lines > FUNCTION_LINES_MAX && function.line <= code {
            sizes.insert(format!("{name}::{}", function.name), function.lines);
        }
    }
}

/// Crates without a place for `unsafe` say so to the compiler.
fn check_forbids(problems: &mut Vec<String>) {
    for name in LAYERS.iter().flat_map(|row| row.iter()) {
        let folder = format!("crates/{name}/");
        if UNSAFE_ALLOWED.iter().any(|allowed| allowed.starts_with(&folder)) {
            continue;
        }
        let path = format!("{folder}src/lib.rs");
        let source = fs::read_to_string(&path).unwrap_or_default();
        if !source.contains("#![forbid(unsafe_code)]") {
            problems.push(format!("{path}:1: #![forbid(unsafe_code)] is missing"));
        }
    }
}

fn check_ratchet(sizes: &BTreeMap<String, usize>, problems: &mut Vec<String>) {
    let text = fs::read_to_string(RATCHET).unwrap_or_default();
    let mut allowed: BTreeMap<&str, usize> = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        if line.starts_with('#') || line.is_empty() {
            continue;
        }
        match line.rsplit_once(' ').and_then(|(name, size)| Some((name, size.parse().ok()?))) {
            Some((name, size)) => {
                allowed.insert(name, size);
            }
            None => problems.push(format!("{RATCHET}:{}: not a name and a number", number + 1)),
        }
    }
    for (name, &size) in sizes {
        let unit = if name.contains("::") { FUNCTION_LINES_MAX } else { FILE_LINES_MAX };
        match allowed.get(name.as_str()) {
            None => problems.push(format!("{name}: {size} lines, more than {unit}")),
            Some(&limit) if size > limit => {
                problems.push(format!("{name}: has grown from {limit} to {size} lines"));
            }
            Some(&limit) if size < limit => {
                problems.push(format!("{RATCHET}: {name} is {size} lines now: lower its limit"));
            }
            Some(_) => {}
        }
    }
    for name in allowed.keys().filter(|name| !sizes.contains_key(**name)) {
        problems.push(format!("{RATCHET}: {name} is within the limits now: remove it"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, source: &str) -> Vec<String> {
        let (mut problems, mut sizes) = (Vec::new(), BTreeMap::new());
        check_file(name, source, &mut problems, &mut sizes);
        problems.extend(sizes.into_keys());
        problems
    }

    #[test]
    fn finds_what_it_forbids() {
        let bad = ["fn f() { unsafe { g() } }".to_owned(), format!("// {}{}", "TO", "DO: more")];
        for source in bad {
            assert_eq!(check("crates/ebb-engine/src/x.rs", &source).len(), 1, "{source}");
        }
        assert!(check("crates/ebb-engine/src/x.rs", "// unsafe is a word here").is_empty());
        assert!(check("crates/ebb-heap/src/x.rs", "unsafe {}").is_empty());
    }

    #[test]
    fn measures_files_and_functions() {
        let long = format!("fn long() {{\n{}}}\n", "    call();\n".repeat(FUNCTION_LINES_MAX));
        assert_eq!(check("a.rs", &long), ["a.rs::long"]);
        assert_eq!(check("a.rs", &"x\n".repeat(FILE_LINES_MAX + 1)), ["a.rs"]);
        let tests = format!("x\n#[cfg(test)]\n{}", "x\n".repeat(FILE_LINES_MAX + 1));
        assert!(check("a.rs", &tests).is_empty());
    }

    #[test]
    fn reads_dependencies() {
        let manifest = "[dependencies]\nebb-heap.workspace = true\nlibc = \"1\"\n[dev-dependencies]\nproptest = \"1\"\n";
        assert_eq!(dependencies(manifest), [(2, "ebb-heap"), (3, "libc")]);
    }
}
