//! Partitions: the `partition` lines of the configuration, and the same words in commands.
//!
//! The value of the directive is one line for each partition, as a file has them without the
//! word `partition`. What partitions do is not known here.

use std::string::FromUtf8Error;

use crate::grammar;
use crate::store::Config;
use crate::value::{Kind, Parsed, Reason, parse_i64, parse_memory, show_memory};
use crate::words::{MaxmemoryPolicy, Word};

/// The name of the lines.
pub(crate) const PARTITION: &str = "partition";
/// Longest name of a partition, in bytes.
const NAME_MAX: usize = 64;
/// Longest default time to live: some 31,000 years, so that no sum of it and now overflows.
const TTL_MAX_S: u64 = 1_000_000_000_000;
/// The policy's word that means: whatever the server's is.
const INHERIT: &str = "inherit";
/// The word for all databases.
const ALL: &str = "all";

/// A partition as it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionLine {
    /// Its name.
    pub name: String,
    /// What its keys begin with, any bytes; empty for all keys of its database.
    pub prefix: Vec<u8>,
    /// The database of its keys; `None` for all databases.
    pub db: Option<u32>,
    /// The bytes that it may take; 0 if there is no limit.
    pub maxmemory: u64,
    /// How it makes room; `None` for the server's `maxmemory-policy`.
    pub policy: Option<MaxmemoryPolicy>,
    /// Seconds that a key lives that gets no deadline of its own; 0 for ever.
    pub default_ttl_s: u64,
    /// Whether large values that are evicted are freed later, by another thread.
    pub lazy_eviction: bool,
}

impl PartitionLine {
    /// Reads `name word value ...`.
    pub fn read<W: AsRef<[u8]>>(words: &[W]) -> Result<PartitionLine, Reason> {
        let Some((name, settings)) = words.split_first() else {
            return Err(Reason::new("a partition needs a name"));
        };
        let mut line = PartitionLine {
            name: read_name(name.as_ref())?,
            prefix: Vec::new(),
            db: None,
            maxmemory: 0,
            policy: None,
            default_ttl_s: 0,
            lazy_eviction: true,
        };
        line.alter(settings)?;
        Ok(line)
    }

    /// Changes settings by pairs of word and value. On an error some may be changed: work on a
    /// copy.
    pub fn alter<W: AsRef<[u8]>>(&mut self, settings: &[W]) -> Result<(), Reason> {
        if !settings.len().is_multiple_of(2) {
            return Err(Reason::new("a partition's settings are pairs of a word and its value"));
        }
        for pair in settings.chunks_exact(2) {
            let (word, value) = (pair[0].as_ref(), pair[1].as_ref());
            // What is no text is no word and no value of any setting but the prefix.
            let word = String::from_utf8_lossy(word).to_ascii_lowercase();
            let text = String::from_utf8_lossy(value);
            match word.as_str() {
                "prefix" => self.prefix = value.to_vec(),
                "db" => self.db = read_db(&text)?,
                _ => self.set_limit(&word, &text)?,
            }
        }
        if self.prefix.is_empty() && self.db.is_none() {
            return Err(Reason::new("a partition needs a prefix or a db"));
        }
        Ok(())
    }

    /// Whether two have the same keys.
    pub fn is_of_same_keys(&self, other: &PartitionLine) -> bool {
        (&self.prefix, self.db) == (&other.prefix, other.db)
    }

    fn set_limit(&mut self, word: &str, value: &str) -> Result<(), Reason> {
        match word {
            "maxmemory" => {
                let bytes = parse_memory(value).filter(|&bytes| i64::try_from(bytes).is_ok());
                self.maxmemory = bytes.ok_or(Reason::new("maxmemory must be a memory value"))?;
            }
            "maxmemory-policy" if value.eq_ignore_ascii_case(INHERIT) => self.policy = None,
            "maxmemory-policy" => self.policy = Some(read_policy(value)?),
            "default-ttl" => {
                let seconds = parse_i64(value).and_then(|seconds| u64::try_from(seconds).ok());
                let seconds = seconds.filter(|&seconds| seconds <= TTL_MAX_S);
                self.default_ttl_s =
                    seconds.ok_or(Reason::new("default-ttl must be seconds, or 0 for none"))?;
            }
            "lazyfree-lazy-eviction" => {
                let read = Kind::Bool.read("", &[value]);
                let on = read.map_err(|_| Reason::new("lazyfree-lazy-eviction is yes or no"))?;
                self.lazy_eviction = on.bits != 0;
            }
            _ => return Err(Reason(format!("a partition has no setting '{word}'"))),
        }
        Ok(())
    }

    /// The line as a file has it, without the first word.
    pub fn show(&self) -> String {
        let mut text = self.name.clone();
        let mut add = |word: &str, value: &str| text += &format!(" {word} {value}");
        if !self.prefix.is_empty() {
            // In quotes it is ASCII, whatever its bytes are.
            let quoted = grammar::quote_if_needed(&self.prefix);
            add("prefix", &String::from_utf8_lossy(&quoted));
        }
        if let Some(db) = self.db {
            add("db", &db.to_string());
        }
        if self.maxmemory != 0 {
            add("maxmemory", &show_memory(self.maxmemory));
        }
        if let Some(policy) = self.policy {
            add("maxmemory-policy", policy.word());
        }
        if self.default_ttl_s != 0 {
            add("default-ttl", &self.default_ttl_s.to_string());
        }
        if !self.lazy_eviction {
            add("lazyfree-lazy-eviction", "no");
        }
        text
    }

    /// The word of its policy.
    pub fn policy_word(&self) -> &'static str {
        self.policy.map_or(INHERIT, Word::word)
    }

    /// Why it cannot be beside others.
    pub fn conflict<'l>(
        &self,
        mut others: impl Iterator<Item = &'l PartitionLine>,
    ) -> Option<Reason> {
        let other = others.find(|other| other.name == self.name || other.is_of_same_keys(self))?;
        Some(if other.name == self.name {
            Reason(format!("a partition '{}' exists already", self.name))
        } else {
            Reason(format!("partition '{}' has the same prefix and db", other.name))
        })
    }
}

fn read_name(name: &[u8]) -> Result<String, Reason> {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.:".contains(byte);
    let is_good = (1..=NAME_MAX).contains(&name.len()) && name.iter().all(allowed);
    let name = is_good.then(|| String::from_utf8_lossy(name).into_owned());
    name.ok_or_else(|| {
        Reason(format!(
            "a partition's name is 1 to {NAME_MAX} letters, digits, '_', '-', '.' and ':'"
        ))
    })
}

fn read_db(value: &str) -> Result<Option<u32>, Reason> {
    if value.eq_ignore_ascii_case(ALL) {
        return Ok(None);
    }
    let number = parse_i64(value).and_then(|number| u32::try_from(number).ok());
    number.map(Some).ok_or(Reason::new("db must be the number of a database, or 'all'"))
}

fn read_policy(value: &str) -> Result<MaxmemoryPolicy, Reason> {
    let words = MaxmemoryPolicy::WORDS;
    let at = words.iter().position(|word| word.eq_ignore_ascii_case(value));
    let policy = at.and_then(MaxmemoryPolicy::at);
    policy.ok_or_else(|| {
        Reason(format!("maxmemory-policy is one of: {INHERIT}, {}", words.join(", ")))
    })
}

/// The partitions in a value of the directive.
fn read_all(value: &str) -> Vec<PartitionLine> {
    let read = |line: &str| {
        let words = grammar::split_arguments(line.as_bytes())?;
        PartitionLine::read(&words).ok()
    };
    value.lines().filter_map(read).collect()
}

/// The value of the directive that says these.
pub(crate) fn show_all<'l>(lines: impl IntoIterator<Item = &'l PartitionLine>) -> String {
    lines.into_iter().map(PartitionLine::show).collect::<Vec<_>>().join("\n")
}

/// Arguments of the directive as text, that [`line()`] reads as the same bytes. One alone is a
/// whole line in quotes.
pub(crate) fn as_text(arguments: Vec<Vec<u8>>) -> Result<Vec<String>, FromUtf8Error> {
    if let [_] = arguments.as_slice() {
        return arguments.into_iter().map(String::from_utf8).collect();
    }
    let quoted = arguments.iter().map(|argument| grammar::quote_if_needed(argument));
    quoted.map(String::from_utf8).collect()
}

/// `partition`: one line for each. One that says what another said already changes nothing, as
/// when the command line says again what `CONFIG REWRITE` has written.
pub(crate) fn line(current: &str, arguments: &[&str]) -> Result<String, Reason> {
    let mut lines = read_all(current);
    let words = grammar::split_arguments(arguments.join(" ").as_bytes())
        .ok_or(Reason::new(grammar::UNBALANCED))?;
    if !words.is_empty() {
        let line = PartitionLine::read(&words)?;
        if !lines.contains(&line) {
            if let Some(conflict) = line.conflict(lines.iter()) {
                return Err(conflict);
            }
            lines.push(line);
        }
    }
    Ok(show_all(&lines))
}

impl Config {
    /// The partitions, in the order in which they were made.
    pub fn partitions(&self) -> Vec<PartitionLine> {
        read_all(&self.get(crate::id::PARTITION))
    }

    /// Says which partitions there are: what `CONFIG GET` shows and `CONFIG REWRITE` writes.
    pub fn set_partitions(&self, lines: &[PartitionLine]) {
        let text = show_all(lines);
        self.store(crate::id::PARTITION.id(), &Parsed { text, bits: 0 });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{id, parse_bytes};

    fn read(line: &str) -> Result<PartitionLine, String> {
        PartitionLine::read(&line.split(' ').collect::<Vec<_>>()).map_err(|reason| reason.0)
    }

    #[test]
    fn a_line_is_shown_as_it_is_read() {
        for text in [
            "sessions prefix sess: maxmemory 2gb maxmemory-policy allkeys-lru",
            "a db 3",
            "b prefix x db 0 default-ttl 60 lazyfree-lazy-eviction no",
            "c prefix x maxmemory 1000001 maxmemory-policy noeviction",
        ] {
            assert_eq!(read(text).unwrap().show(), text);
        }
        let all: Vec<u8> = (0..=255).collect();
        for prefix in [&b"a b\n"[..], b"\x00", b"\xff'\"\\", "\u{e9}".as_bytes(), &all] {
            let line = PartitionLine::read(&[b"q", &b"prefix"[..], prefix]).unwrap();
            assert_eq!(line.prefix, prefix);
            assert_eq!(read_all(&show_all([&line])), [line]);
        }
        let line = PartitionLine::read(&[b"q", &b"prefix"[..], b"\x00\xffa\n"]).unwrap();
        assert_eq!(line.show(), r#"q prefix "\x00\xffa\n""#);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, part) in [
            ("", "name is 1 to 64"),
            ("a b", "pairs"),
            ("sp/ace prefix x", "name is 1 to 64"),
            ("a maxmemory 1gb", "needs a prefix or a db"),
            ("a prefix x maxmemory many", "memory value"),
            ("a prefix x maxmemory-policy lru", "is one of: inherit, volatile-lru"),
            ("a prefix x default-ttl -1", "seconds"),
            ("a prefix x default-ttl 9999999999999", "seconds"),
            ("a db -1", "number of a database"),
            ("a prefix x lazyfree-lazy-eviction 1", "yes or no"),
            ("a prefix x size 1", "no setting 'size'"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
        let mut line = read("a prefix x").unwrap();
        assert!(line.alter(&["prefix", ""]).unwrap_err().0.contains("needs a prefix or a db"));
        line.alter(&["prefix", "", "db", "2"]).unwrap();
        assert_eq!(line.show(), "a db 2");
        assert!(line.alter(&["db", "ALL"]).unwrap_err().0.contains("needs a prefix or a db"));
        line.alter(&["DB", "ALL", "prefix", "x"]).unwrap();
        line.alter(&["maxmemory", "1mb", "MAXMEMORY-POLICY", "Allkeys-LFU"]).unwrap();
        assert_eq!(line.show(), "a prefix x maxmemory 1mb maxmemory-policy allkeys-lfu");
        line.alter(&["maxmemory-policy", "inherit", "maxmemory", "0"]).unwrap();
        assert_eq!(line.show(), "a prefix x");
    }

    #[test]
    fn prefixes_of_any_bytes_are_read_from_a_file() {
        let file = b"partition a prefix \"\\x00\\xff \" db 0\npartition \"b prefix c\"\npartition d prefix \xfe\n";
        let config = parse_bytes(file, 1).unwrap();
        let prefixes: Vec<_> = config.partitions().into_iter().map(|line| line.prefix).collect();
        assert_eq!(prefixes, [&b"\x00\xff "[..], b"c", b"\xfe"]);
        assert_eq!(config.rewritten(file, false), file);
        let written = config.rewritten(b"", false);
        assert!(written.is_ascii());
        assert_eq!(parse_bytes(&written, 1).unwrap().partitions(), config.partitions());
        for wrong in [
            &b"partition \xff prefix x"[..],
            b"partition \"a prefix \xff\"",
            b"partition \"a prefix 'x\"",
        ] {
            assert!(parse_bytes(wrong, 1).is_err());
        }
    }

    #[test]
    fn lines_of_a_file_add_up_and_are_rewritten() {
        let file = b"port 1\npartition a prefix x maxmemory 1mb\n# why\npartition b db 1\n";
        let config = parse_bytes(file, 1).unwrap();
        assert_eq!(&*config.get(id::PARTITION), "a prefix x maxmemory 1mb\nb db 1");
        assert_eq!(config.rewritten(file, false), file);
        let mut lines = config.partitions();
        lines[0].alter(&["default-ttl", "5"]).unwrap();
        config.set_partitions(&lines);
        let expected =
            "port 1\npartition a prefix x maxmemory 1mb default-ttl 5\npartition b db 1\n# why\n";
        assert_eq!(String::from_utf8(config.rewritten(file, false)).unwrap(), expected);
        config.set_partitions(&[]);
        assert_eq!(config.rewritten(file, false), b"port 1\n# why\n");
        config.set_partitions(&lines[..1]);
        let added = String::from_utf8(config.rewritten(b"port 1\n", false)).unwrap();
        assert!(added.ends_with("\npartition a prefix x maxmemory 1mb default-ttl 5\n"));
        let again = parse_bytes(b"partition a db 1\npartition a db 1 maxmemory 0", 1).unwrap();
        assert_eq!(again.partitions().len(), 1);
        for twice in ["partition a db 1\npartition a db 2", "partition a db 1\npartition b db 1"] {
            assert!(parse_bytes(twice.as_bytes(), 1).is_err());
        }
    }
}
