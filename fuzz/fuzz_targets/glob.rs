//! Matches any bytes against any pattern, and compares with a plain definition of what matches.
#![no_main]

use ebb_types::glob::matches;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (bool, &[u8], &[u8])| {
    let (ignore_case, pattern, text) = input;
    // Nothing is matched by nothing only.
    let expected = if text.is_empty() { pattern.is_empty() } else { model(pattern, text, ignore_case) };
    assert_eq!(matches(pattern, text, ignore_case), expected, "{pattern:?} {text:?}");
});

/// What a part of a pattern stands for.
enum Part {
    Any,
    /// One byte of these.
    Byte([bool; 256]),
}

fn parts(mut pattern: &[u8], ignore_case: bool) -> Vec<Part> {
    let mut parts = Vec::new();
    while let Some((&first, rest)) = pattern.split_first() {
        let mut set = [false; 256];
        pattern = rest;
        match first {
            b'*' => {
                parts.push(Part::Any);
                continue;
            }
            b'?' => set = [true; 256],
            b'[' => {
                let negated = rest.first() == Some(&b'^');
                pattern = class(&rest[usize::from(negated)..], &mut set, ignore_case);
                set.iter_mut().for_each(|member| *member ^= negated);
            }
            b'\\' if !rest.is_empty() => {
                add(&mut set, rest[0], ignore_case);
                pattern = &rest[1..];
            }
            literal => add(&mut set, literal, ignore_case),
        }
        parts.push(Part::Byte(set));
    }
    parts
}

/// Reads the members of a class, and gives what follows it.
fn class<'p>(mut rest: &'p [u8], set: &mut [bool; 256], ignore_case: bool) -> &'p [u8] {
    while let Some((&member, after)) = rest.split_first() {
        rest = after;
        if member == b'\\' && !after.is_empty() {
            set[usize::from(after[0])] = true;
            rest = &after[1..];
        } else if member == b']' {
            break;
        } else if after.len() >= 2 && after[0] == b'-' {
            let fold = |byte: u8| if ignore_case { byte.to_ascii_lowercase() } else { byte };
            let (low, high) = (member.min(after[1]), member.max(after[1]));
            let inside = |byte: u8| fold(low) <= fold(byte) && fold(byte) <= fold(high);
            (0..=255).filter(|&byte| inside(byte)).for_each(|byte| set[usize::from(byte)] = true);
            rest = &after[2..];
        } else {
            add(set, member, ignore_case);
        }
    }
    rest
}

fn add(set: &mut [bool; 256], byte: u8, ignore_case: bool) {
    set[usize::from(byte)] = true;
    if ignore_case {
        set[usize::from(byte.to_ascii_lowercase())] = true;
        set[usize::from(byte.to_ascii_uppercase())] = true;
    }
}

/// Follows all the ways in which a text can match at once: `ends[n]` says that the parts so far match its first n
/// bytes.
fn model(pattern: &[u8], text: &[u8], ignore_case: bool) -> bool {
    let mut ends = vec![false; text.len() + 1];
    ends[0] = true;
    for part in parts(pattern, ignore_case) {
        match part {
            Part::Any => (0..text.len()).for_each(|at| ends[at + 1] |= ends[at]),
            Part::Byte(set) => {
                for at in (0..text.len()).rev() {
                    ends[at + 1] = ends[at] && set[usize::from(text[at])];
                }
                ends[0] = false;
            }
        }
    }
    ends[text.len()]
}
