//! The glob used by `CONFIG GET` and by `include`: `*`, `?`, `[a-z]`, `[^a]` and `\` as an escape.
//!
//! Only the last `*` is ever retried, so the cost is at most `pattern * text` steps.

/// Does `text` contain a character that makes it a pattern?
pub(crate) fn is_pattern(text: &[u8]) -> bool {
    text.iter().any(|byte| matches!(byte, b'*' | b'?' | b'['))
}

/// Does the whole of `text` match `pattern`? With `fold`, ASCII case is ignored.
pub(crate) fn matches(pattern: &[u8], text: &[u8], fold: bool) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where to go on when a match fails: after the last star, one text byte further each time.
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            retry = Some((p, t));
            continue;
        }
        match one(&pattern[p..], text[t], fold) {
            Some(used) => {
                p += used;
                t += 1;
            }
            None => match retry {
                Some((after_star, from)) => {
                    p = after_star;
                    t = from + 1;
                    retry = Some((after_star, t));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// Matches one byte of text; returns how many pattern bytes that used.
fn one(pattern: &[u8], byte: u8, fold: bool) -> Option<usize> {
    let same = |a: u8, b: u8| {
        if fold { a.eq_ignore_ascii_case(&b) } else { a == b }
    };
    match *pattern.first()? {
        b'?' => Some(1),
        b'[' => class(pattern, byte, fold),
        b'\\' if pattern.len() > 1 => same(pattern[1], byte).then_some(2),
        literal => same(literal, byte).then_some(1),
    }
}

/// Matches a bracketed class. A class that is never closed extends to the end of the pattern.
fn class(pattern: &[u8], byte: u8, fold: bool) -> Option<usize> {
    let lower = |b: u8| if fold { b.to_ascii_lowercase() } else { b };
    let byte = lower(byte);
    let mut at = 1;
    let negated = pattern.get(at) == Some(&b'^');
    if negated {
        at += 1;
    }
    let mut found = false;
    while at < pattern.len() && pattern[at] != b']' {
        if pattern[at] == b'\\' && at + 1 < pattern.len() {
            at += 1;
        }
        let from = lower(pattern[at]);
        if pattern.get(at + 1) == Some(&b'-') && pattern.get(at + 2).is_some_and(|b| *b != b']') {
            let to = lower(pattern[at + 2]);
            found |= (from.min(to)..=from.max(to)).contains(&byte);
            at += 3;
        } else {
            found |= from == byte;
            at += 1;
        }
    }
    (found != negated).then_some((at + 1).min(pattern.len()))
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_classes_and_escapes() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("max*", "maxmemory", true),
            ("*-size", "repl-backlog-size", true),
            ("m*y*y", "maxmemory-policy", true),
            ("m*z", "maxmemory", false),
            ("p?rt", "port", true),
            ("[p-q]ort", "port", true),
            ("[^p]ort", "port", false),
            ("p\\ort", "port", true),
            ("p\\*", "port", false),
            ("[", "x", false),
            ("[x", "x", true),
            ("port", "ports", false),
            ("PORT", "port", true),
        ] {
            assert_eq!(
                matches(pattern.as_bytes(), text.as_bytes(), true),
                expected,
                "{pattern} {text}"
            );
        }
        assert!(!matches(b"A*", b"a", false));
    }
}
