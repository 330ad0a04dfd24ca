//! The glob patterns of KEYS, SCAN, PSUBSCRIBE and ACL rules, over bytes.
//!
//! `*` stands for any bytes, `?` for one, `[a-c^]` for one of a class, `[^...]` for one not of it, and a backslash
//! takes away the meaning of the byte after it. A class that is not closed ends with the pattern.

/// Whether the whole of `text` matches `pattern`; with `ignore_case`, ASCII letters match in either case.
///
/// Each part of a pattern but `*` takes exactly one byte, so only the last `*` seen ever needs to be tried again with
/// a longer match. That bounds the work by the product of the lengths, for which recursive matchers need a rule to
/// give up early.
pub fn matches(pattern: &[u8], text: &[u8], ignore_case: bool) -> bool {
    // As in Redis, not even `*` matches nothing at all; KEYS and SCAN pass over `*` without asking.
    if text.is_empty() {
        return pattern.is_empty();
    }
    let (mut rest, mut position) = (pattern, 0);
    // The pattern after the last `*`, and where in the text its match begins.
    let mut retry: Option<(&[u8], usize)> = None;
    while let Some(&byte) = text.get(position) {
        if let [b'*', after @ ..] = rest {
            if after.is_empty() {
                return true;
            }
            rest = after;
            retry = Some((rest, position));
            continue;
        }
        if let Some(after) = match_one(rest, byte, ignore_case) {
            rest = after;
            position += 1;
            continue;
        }
        let Some((after_star, start)) = retry else {
            return false;
        };
        rest = after_star;
        position = start + 1;
        retry = Some((rest, position));
    }
    rest.iter().all(|&byte| byte == b'*')
}

/// Matches the first part of `pattern`, which is not `*`, against a byte, and gives the pattern after it.
fn match_one(pattern: &[u8], byte: u8, ignore_case: bool) -> Option<&[u8]> {
    let (matched, rest) = match pattern {
        [] => return None,
        [b'?', rest @ ..] => (true, rest),
        [b'[', b'^', rest @ ..] => {
            let (found, rest) = in_class(rest, byte, ignore_case);
            (!found, rest)
        }
        [b'[', rest @ ..] => in_class(rest, byte, ignore_case),
        [b'\\', literal, rest @ ..] | [literal, rest @ ..] => {
            (same(*literal, byte, ignore_case), rest)
        }
    };
    matched.then_some(rest)
}

/// Whether the class whose members begin `class` has the byte, and what follows the class.
fn in_class(mut class: &[u8], byte: u8, ignore_case: bool) -> (bool, &[u8]) {
    let mut found = false;
    loop {
        class = match class {
            [] => return (found, class),
            // Redis does not fold the case of an escaped member.
            [b'\\', member, rest @ ..] => {
                found |= *member == byte;
                rest
            }
            [b']', rest @ ..] => return (found, rest),
            [first, b'-', last, rest @ ..] => {
                let fold = |byte: u8| {
                    if ignore_case { byte.to_ascii_lowercase() } else { byte }
                };
                let (low, high) = (*first.min(last), *first.max(last));
                found |= (fold(low)..=fold(high)).contains(&fold(byte));
                rest
            }
            [member, rest @ ..] => {
                found |= same(*member, byte, ignore_case);
                rest
            }
        };
    }
}

fn same(a: u8, b: u8, ignore_case: bool) -> bool {
    a == b || (ignore_case && a.eq_ignore_ascii_case(&b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns_match_as_in_redis() {
        let cases = [
            ("h?llo", "hello", true),
            ("h*llo", "heeeello", true),
            ("h[ae]llo", "hillo", false),
            ("h[^e]llo", "hallo", true),
            ("h[a-b]llo", "hbllo", true),
            ("h[b-a]llo", "hallo", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("a\\", "a\\", true),
            ("[abc", "b", true),
            ("[\\]]", "]", true),
            ("*", "", false),
            ("", "", true),
            ("a*", "a", true),
            ("a**", "a", true),
            ("*b*c", "abbcxc", true),
            ("a", "ab", false),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(
                matches(pattern.as_bytes(), text.as_bytes(), false),
                expected,
                "{pattern} {text}"
            );
        }
        assert!(matches(b"HeL[A-M]o", b"hello", true));
        assert!(!matches(b"[\\A]", b"a", true));
    }

    #[test]
    fn many_stars_take_no_exponential_time() {
        let pattern = b"a*".repeat(200);
        assert!(!matches(&[&pattern[..], b"b"].concat(), &[b'a'; 5000], false));
    }

    fn model(pattern: &[u8], text: &[u8]) -> bool {
        match pattern {
            [] => text.is_empty(),
            [b'*', rest @ ..] => (0..=text.len()).any(|taken| model(rest, &text[taken..])),
            _ => text.split_first().is_some_and(|(&byte, text)| {
                match_one(pattern, byte, false).is_some_and(|rest| model(rest, text))
            }),
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_recursive_definition(pattern in "[ab*?\\[\\]^\\\\-]{0,9}", text in "[abc]{1,8}") {
            prop_assert_eq!(matches(pattern.as_bytes(), text.as_bytes(), false), model(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
