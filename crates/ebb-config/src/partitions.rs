//! Partitions: the `partition` lines of the configuration, and the same words in commands.
//!
//! The value of the directive is one line for each partition, as a file has them without the
//! word `partition`. What partitions do is not known here.

use crate::grammar;
use crate::store::Config;
use crate::value::{Kind, Parsed, Reason, parse_i64, parse_memory, show_memory};
use crate::words::{MaxmemoryPolicy, Word};

/// Longest name of a partition, in bytes.
const NAME_MAX: usize = 64;
/// Longest default time to live: some 31,000 years, so that no sum of it and now overflows.
const TTL_MAX_S: u64 = 1_000_000_000_000;
/// The policy's word that means: whatever the server's is.
const INHERIT: &str = "inherit";

/// A partition as it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionLine {
    /// Its name.
    pub name: String,
    /// What its keys begin with; empty for all keys of its database.
    pub prefix: String,
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
    pub fn read(words: &[&str]) -> Result<PartitionLine, Reason> {
        let Some((name, settings)) = words.split_first() else {
            return Err(Reason::new("a partition needs a name"));
        };
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte);
        if name.is_empty() || name.len() > NAME_MAX || !name.bytes().all(allowed) {
            return Err(Reason(format!(
                "a partition's name is 1 to {NAME_MAX} letters, digits, '_', '-', '.' and ':'"
            )));
        }
        let mut line = PartitionLine {
            name: (*name).to_owned(),
            prefix: String::new(),
            db: None,
            maxmemory: 0,
            policy: None,
            default_ttl_s: 0,
            lazy_eviction: true,
        };
        line.set(settings, true)?;
        if line.prefix.is_empty() && line.db.is_none() {
            return Err(Reason::new("a partition needs a prefix or a db"));
        }
        Ok(line)
    }

    /// Changes settings by pairs of word and value; what its keys are stays. On an error some
    /// may be changed: work on a copy.
    pub fn alter(&mut self, settings: &[&str]) -> Result<(), Reason> {
        self.set(settings, false)
    }

    fn set(&mut self, settings: &[&str], is_new: bool) -> Result<(), Reason> {
        if !settings.len().is_multiple_of(2) {
            return Err(Reason::new("a partition's settings are pairs of a word and its value"));
        }
        for pair in settings.chunks_exact(2) {
            let (word, value) = (pair[0].to_ascii_lowercase(), pair[1]);
            match word.as_str() {
                "prefix" | "db" if !is_new => {
                    return Err(Reason(format!(
                        "the {word} of a partition cannot be changed: drop it and create another"
                    )));
                }
                "prefix" => value.clone_into(&mut self.prefix),
                "db" => self.db = Some(read_db(value)?),
                _ => self.set_limit(&word, value)?,
            }
        }
        Ok(())
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
            let quoted = grammar::quote_if_needed(self.prefix.as_bytes());
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
    pub fn conflict(&self, others: &[PartitionLine]) -> Option<Reason> {
        let other = others.iter().find(|other| {
            other.name == self.name || (&other.prefix, other.db) == (&self.prefix, self.db)
        })?;
        Some(if other.name == self.name {
            Reason(format!("a partition '{}' exists already", self.name))
        } else {
            Reason(format!("partition '{}' has the same prefix and db", other.name))
        })
    }
}

fn read_db(value: &str) -> Result<u32, Reason> {
    let number = parse_i64(value).and_then(|number| u32::try_from(number).ok());
    number.ok_or(Reason::new("db must be the number of a database"))
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
        let words: Result<Vec<String>, _> = words.into_iter().map(String::from_utf8).collect();
        let words = words.ok()?;
        PartitionLine::read(&words.iter().map(String::as_str).collect::<Vec<_>>()).ok()
    };
    value.lines().filter_map(read).collect()
}

/// The value of the directive that says these.
fn show_all(lines: &[PartitionLine]) -> String {
    lines.iter().map(PartitionLine::show).collect::<Vec<_>>().join("\n")
}

/// `partition`: one line for each.
pub(crate) fn line(current: &str, arguments: &[&str]) -> Result<String, Reason> {
    let mut lines = read_all(current);
    if !matches!(arguments, [] | [""]) {
        let line = PartitionLine::read(arguments)?;
        if let Some(conflict) = line.conflict(&lines) {
            return Err(conflict);
        }
        lines.push(line);
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
        let line = PartitionLine::read(&["q", "prefix", "a b\n"]).unwrap();
        assert_eq!(read_all(&show_all(std::slice::from_ref(&line))), [line]);
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
        assert!(line.alter(&["prefix", "y"]).unwrap_err().0.contains("cannot be changed"));
        line.alter(&["maxmemory", "1mb", "MAXMEMORY-POLICY", "Allkeys-LFU"]).unwrap();
        assert_eq!(line.show(), "a prefix x maxmemory 1mb maxmemory-policy allkeys-lfu");
        line.alter(&["maxmemory-policy", "inherit", "maxmemory", "0"]).unwrap();
        assert_eq!(line.show(), "a prefix x");
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
        for twice in ["partition a db 1\npartition a db 2", "partition a db 1\npartition b db 1"] {
            assert!(parse_bytes(twice.as_bytes(), 1).is_err());
        }
    }
}
