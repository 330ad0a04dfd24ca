//! Rust source as tidy sees it: lines with comments and literals blanked out.

/// Replaces the contents of comments, strings and character literals by blanks, so that
/// braces and words in them do not count. Lines keep their numbers.
pub(crate) fn blanked(source: &str) -> String {
    let bytes: Vec<char> = source.chars().collect();
    let mut out = String::with_capacity(source.len());
    let mut at = 0;
    while at < bytes.len() {
        let end = skip_literal(&bytes, at);
        if end == at {
            out.push(bytes[at]);
            at += 1;
            continue;
        }
        out.extend(bytes[at..end].iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
        at = end;
    }
    out
}

/// The end of the comment or literal that begins at `at`, or `at` if none does.
fn skip_literal(text: &[char], at: usize) -> usize {
    let rest = &text[at..];
    let starts = |prefix: &str| prefix.chars().enumerate().all(|(i, c)| rest.get(i) == Some(&c));
    let find_end = |from: usize, closed: &dyn Fn(usize) -> Option<usize>| {
        (from..text.len()).find_map(closed).unwrap_or(text.len())
    };
    if starts("//") {
        return find_end(at, &|i| (text[i] == '\n').then_some(i));
    }
    if starts("/*") {
        return find_end(at + 2, &|i| {
            (text[i] == '*' && text.get(i + 1) == Some(&'/')).then_some(i + 2)
        });
    }
    let before = if at > 0 { text[at - 1] } else { ' ' };
    let in_word = before.is_alphanumeric() || before == '_';
    if !in_word && (starts("r\"") || starts("r#") || starts("br\"") || starts("br#")) {
        return skip_raw(text, at);
    }
    if rest[0] == '"' {
        return skip_quoted(text, at + 1, '"');
    }
    // A quote may also begin a lifetime: then no quote follows within two characters.
    if rest[0] == '\'' && (rest.get(1) == Some(&'\\') || rest.get(2) == Some(&'\'')) {
        return skip_quoted(text, at + 1, '\'');
    }
    at
}

fn skip_quoted(text: &[char], mut at: usize, quote: char) -> usize {
    while at < text.len() {
        match text[at] {
            '\\' => at += 2,
            c if c == quote => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

fn skip_raw(text: &[char], at: usize) -> usize {
    let Some(r) = (at..text.len()).find(|&i| text[i] == 'r') else { return at };
    let hashes = text[r + 1..].iter().take_while(|&&c| c == '#').count();
    let open = r + 1 + hashes;
    if text.get(open) != Some(&'"') {
        // `r#word`: an identifier.
        return at;
    }
    let closes = |i: usize| text[i] == '"' && (1..=hashes).all(|h| text.get(i + h) == Some(&'#'));
    (open + 1..text.len()).find(|&i| closes(i)).map_or(text.len(), |i| i + 1 + hashes)
}

/// A function: its name, first line (from 1) and number of lines.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Function {
    /// Its name.
    pub(crate) name: String,
    /// The line of its `fn`.
    pub(crate) line: usize,
    /// Lines to its closing brace.
    pub(crate) lines: usize,
}

/// All functions in blanked source.
pub(crate) fn functions(blanked: &str) -> Vec<Function> {
    let mut found = Vec::new();
    let lines: Vec<&str> = blanked.lines().collect();
    for (number, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else { continue };
        let mut depth = 0usize;
        let mut opened = false;
        'body: for (offset, line) in lines[number..].iter().enumerate() {
            for c in line.chars() {
                match c {
                    '{' => {
                        depth += 1;
                        opened = true;
                    }
                    '}' => depth = depth.saturating_sub(1),
                    ';' if !opened => break 'body,
                    _ => {}
                }
                if opened && depth == 0 {
                    found.push(Function { name, line: number + 1, lines: offset + 1 });
                    break 'body;
                }
            }
        }
    }
    found
}

fn function_name(line: &str) -> Option<String> {
    let mut words = line.split_whitespace();
    words.find(|&word| word == "fn")?;
    let name: String =
        words.next()?.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_comments_are_blank() {
        let source = "a \"{\\\"}\" 'x' '{' b'\\'' // }\nr#\"{\"# /* { */ 'life r#fn";
        let blank = blanked(source);
        assert!(!blank.contains(['{', '}']), "{blank}");
        assert_eq!(blank.lines().count(), 2);
        assert!(blank.contains("'life") && blank.contains("r#fn"));
    }

    #[test]
    fn functions_are_measured() {
        let source = "impl X {\n    fn a(&self) -> u8 {\n        if b { 1 } else { 2 }\n    }\n    fn c();\n}\nfn d() {}\n";
        let found = functions(&blanked(source));
        let all: Vec<_> = found.iter().map(|f| (f.name.as_str(), f.line, f.lines)).collect();
        assert_eq!(all, [("a", 2, 3), ("d", 7, 1)]);
    }
}
