//! The first line of a script or a library: `#!lua name=... flags=...`.

use ebb_engine::CommandError;
use ebb_engine::scripting::ScriptFlags;

fn error(text: String) -> CommandError {
    CommandError::new(format!("ERR {text}"))
}

/// The first line of a source.
struct First<'a> {
    /// What follows `#!`, up to a blank.
    engine: String,
    /// The words after it.
    words: Vec<String>,
    /// The rest. It begins with the line's end, so that lines keep their numbers.
    code: &'a [u8],
}

/// The first line, if the source begins with one; `invalid` is the error if it does not end, or
/// its quotes do not.
fn split<'a>(source: &'a [u8], invalid: &str) -> Result<Option<First<'a>>, CommandError> {
    if !source.starts_with(b"#!") {
        return Ok(None);
    }
    let invalid = || error(invalid.into());
    let end = source.iter().position(|&byte| byte == b'\n').ok_or_else(invalid)?;
    let words = ebb_config::split_arguments(&source[..end]).ok_or_else(invalid)?;
    let mut words = words.into_iter().map(|word| String::from_utf8_lossy(&word).into_owned());
    let engine = words.next().and_then(|word| word.strip_prefix("#!").map(str::to_owned));
    let engine = engine.ok_or_else(invalid)?;
    Ok(Some(First { engine, words: words.collect(), code: &source[end..] }))
}

/// A script's flags, if it says any, and its code.
pub(crate) fn script(source: &[u8]) -> Result<(Option<ScriptFlags>, &[u8]), CommandError> {
    let Some(First { engine, words, code }) = split(source, "Invalid script shebang")? else {
        return Ok((None, source));
    };
    if engine != "lua" {
        return Err(error(format!("Unexpected engine in script shebang: #!{engine}")));
    }
    let mut flags = ScriptFlags::NONE;
    for word in words {
        let Some(list) = word.strip_prefix("flags=") else {
            return Err(error(format!("Unknown lua shebang option: {word}")));
        };
        for flag in list.split(',').filter(|flag| !flag.is_empty()) {
            match named(flag) {
                Some(known) => flags = flags | known,
                None => return Err(error(format!("Unexpected flag in script shebang: {flag}"))),
            }
        }
    }
    Ok((Some(flags), code))
}

/// The flag with a name, in this case only.
pub(crate) fn named(flag: &str) -> Option<ScriptFlags> {
    ScriptFlags::named(flag.as_bytes()).filter(|_| !flag.contains(|c: char| c.is_uppercase()))
}

/// A library's name, and its code.
pub(crate) fn library(source: &[u8]) -> Result<(String, &[u8]), CommandError> {
    let Some(First { engine, words, code }) = split(source, "Invalid library metadata")? else {
        return Err(error("Missing library metadata".into()));
    };
    let mut name = None;
    for word in &words {
        let Some(value) = word.strip_prefix("name=") else {
            return Err(error(format!("Invalid metadata value given: {word}")));
        };
        if name.replace(value).is_some() {
            let text = "Invalid metadata value, name argument was given multiple times";
            return Err(error(text.into()));
        }
    }
    let Some(name) = name else { return Err(error("Library name was not given".into())) };
    if !is_name(name) {
        return Err(error(NAME_RULE.into()));
    }
    if !engine.eq_ignore_ascii_case("lua") {
        return Err(error(format!("Engine '{engine}' not found")));
    }
    Ok((name.to_owned(), code))
}

/// What names of libraries and functions must be.
pub(crate) const NAME_RULE: &str = "Library names can only contain letters, numbers, or \
                                    underscores(_) and must be at least one character long";

/// Whether a library or a function may have this name.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text<T>(result: Result<T, CommandError>) -> String {
        result.err().map(|error| error.text().into_owned()).unwrap_or_default()
    }

    #[test]
    fn scripts_name_their_flags() {
        assert!(matches!(script(b"return 1"), Ok((None, b"return 1"))));
        let (flags, code) = script(b"#!lua flags=no-writes,allow-oom\nreturn 1").unwrap();
        assert_eq!(flags, Some(ScriptFlags::NO_WRITES | ScriptFlags::ALLOW_OOM));
        assert_eq!(code, b"\nreturn 1");
        assert_eq!(text(script(b"#!lua")), "ERR Invalid script shebang");
        assert_eq!(text(script(b"#!js\n")), "ERR Unexpected engine in script shebang: #!js");
        assert_eq!(text(script(b"#!lua x=1\n")), "ERR Unknown lua shebang option: x=1");
        assert_eq!(
            text(script(b"#!lua flags=No-Writes\n")),
            "ERR Unexpected flag in script shebang: No-Writes"
        );
    }

    #[test]
    fn libraries_have_a_name() {
        assert_eq!(library(b"#!lua name=a_1\nx").unwrap(), ("a_1".into(), &b"\nx"[..]));
        assert_eq!(library(b"#!lua name=\"a\"\nx").unwrap().0, "a");
        assert_eq!(text(library(b"#! name=a\nx")), "ERR Engine '' not found");
        assert_eq!(text(library(b"#!lua name=\"a\nx")), "ERR Invalid library metadata");
        assert_eq!(text(library(b"x")), "ERR Missing library metadata");
        assert_eq!(text(library(b"#!lua name=a")), "ERR Invalid library metadata");
        assert_eq!(text(library(b"#!lua\nx")), "ERR Library name was not given");
        assert_eq!(text(library(b"#!js name=a\nx")), "ERR Engine 'js' not found");
        assert!(text(library(b"#!lua name=\nx")).starts_with("ERR Library names can only"));
    }
}
