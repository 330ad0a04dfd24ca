//! `CONFIG GET` and `CONFIG SET`.

use std::collections::HashSet;
use std::fmt;

use crate::directive::{Directive, Id};
use crate::store::Config;
use crate::value::{Parsed, Reason};
use crate::{glob, id, table};

/// What the server does when a value changes: listen on another port, close clients over a new limit.
///
/// Any `FnMut(&Config, Id) -> Result<(), Reason>` is one.
pub trait Applier {
    /// Called once for each directive that changed, after all new values are in `config`. An error takes every
    /// value back; the directives applied so far, this one included, are then applied again with the old values,
    /// and errors of that are ignored. A hook may read and [`Config::resolve`], but not set or rewrite: the lock
    /// that keeps changes apart is held.
    fn apply(&mut self, config: &Config, changed: Id) -> Result<(), Reason>;
}

impl<F: FnMut(&Config, Id) -> Result<(), Reason>> Applier for F {
    fn apply(&mut self, config: &Config, changed: Id) -> Result<(), Reason> {
        self(config, changed)
    }
}

/// Why `CONFIG SET` failed. The display is the error reply, without the leading `-`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetError {
    /// No directive has this name.
    Unknown(String),
    /// A value was refused; nothing has changed.
    Failed {
        /// The directive, by the name that was used.
        name: String,
        /// Redis's reason.
        reason: Reason,
    },
}

impl fmt::Display for SetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            SetError::Unknown(name) => {
                format!("ERR Unknown option or number of arguments for CONFIG SET - '{name}'")
            }
            SetError::Failed { name, reason } => {
                format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}")
            }
        };
        // An error reply is one line, whatever the argument contained.
        f.write_str(&text.replace(['\r', '\n'], " "))
    }
}

impl std::error::Error for SetError {}

/// A pair of `CONFIG SET` whose name was found.
struct Change<'a> {
    id: Id,
    name: &'static str,
    value: &'a [u8],
}

impl Change<'_> {
    fn failed(&self, reason: impl Into<String>) -> SetError {
        SetError::Failed { name: self.name.to_owned(), reason: Reason::new(reason) }
    }
}

impl Config {
    /// `CONFIG GET`: names and values of what matches any pattern, each name once. An exact name is answered as it
    /// was written and may be a hidden directive's; a pattern gives every matching name, aliases included.
    pub fn get_matching(&self, patterns: &[&[u8]]) -> Vec<(String, String)> {
        let mut seen = HashSet::new();
        let mut found = Vec::new();
        let mut add = |id: Id, name: &'static str, shown: &str| {
            if seen.insert(name) {
                found.push((shown.to_owned(), self.text(id).as_ref().to_owned()));
            }
        };
        for pattern in patterns {
            if glob::is_pattern(pattern) {
                for id in table::ids().filter(|id| !id.directive().hidden) {
                    for name in id
                        .directive()
                        .names()
                        .filter(|name| glob::matches(pattern, name.as_bytes(), true))
                    {
                        add(id, name, name);
                    }
                }
            } else if let Ok(shown) = std::str::from_utf8(pattern)
                && let Some((id, name)) = table::find(shown)
            {
                add(id, name, shown);
            }
        }
        found
    }

    /// `CONFIG SET`: all pairs or none. `local` is whether the client is connected over loopback or a Unix socket,
    /// which `enable-protected-configs local` asks for.
    pub fn set(
        &self,
        pairs: &[(&[u8], &[u8])],
        local: bool,
        applier: &mut dyn Applier,
    ) -> Result<(), SetError> {
        let changes = self.find_all(pairs, local)?;
        let _changing = self.changing.lock();
        let parsed = self.read_all(&changes)?;

        let before: Vec<Parsed> = changes.iter().map(|change| self.stored(change.id)).collect();
        for (change, parsed) in changes.iter().zip(&parsed) {
            self.store(change.id, parsed);
        }
        let mut applied: Vec<Id> = Vec::new();
        for (change, before_it) in changes.iter().zip(&before) {
            if applied.contains(&change.id) || self.stored(change.id) == *before_it {
                continue;
            }
            applied.push(change.id);
            if let Err(reason) = applier.apply(self, change.id) {
                // All are taken back before any hook runs, so that hooks see the old values only.
                for (change, before) in changes.iter().zip(&before) {
                    self.store(change.id, before);
                }
                for id in applied {
                    let _ = applier.apply(self, id);
                }
                return Err(change.failed(reason.0));
            }
        }
        changes.iter().for_each(|change| self.mark_changed(change.id));
        Ok(())
    }

    /// Finds the directives by name; the first name that may not be set ends it.
    fn find_all<'a>(
        &self,
        pairs: &[(&[u8], &'a [u8])],
        local: bool,
    ) -> Result<Vec<Change<'a>>, SetError> {
        let mut changes: Vec<Change<'a>> = Vec::with_capacity(pairs.len());
        for (name, value) in pairs {
            let Some((id, name)) = std::str::from_utf8(name).ok().and_then(table::find) else {
                return Err(SetError::Unknown(String::from_utf8_lossy(name).into_owned()));
            };
            let change = Change { id, name, value };
            let Directive { immutable, protected, .. } = id.directive();
            if *immutable {
                return Err(change.failed("can't set immutable config"));
            }
            if *protected && !self.get(id::ENABLE_PROTECTED_CONFIGS).allows(local) {
                return Err(change.failed("can't set protected config"));
            }
            if changes.iter().any(|earlier| earlier.name == name) {
                return Err(change.failed("duplicate parameter"));
            }
            changes.push(change);
        }
        Ok(changes)
    }

    /// Reads the values in order. An alias after its name, or the reverse, sees what came before it.
    fn read_all(&self, changes: &[Change<'_>]) -> Result<Vec<Parsed>, SetError> {
        let mut parsed: Vec<Parsed> = Vec::with_capacity(changes.len());
        for change in changes {
            let row = change.id.directive();
            let value = std::str::from_utf8(change.value)
                .map_err(|_| change.failed("argument must be valid UTF-8"))?;
            let earlier = (0..parsed.len()).rev().find(|at| changes[*at].id == change.id);
            // Lines of a file add up; a value that is set replaces.
            let current = match earlier {
                _ if row.appends => String::new(),
                Some(at) => parsed[at].text.clone(),
                None => self.stored(change.id).text,
            };
            let read = row.read_text(&current, value).and_then(|parsed| {
                row.check_feature(change.name, &parsed)?;
                Ok(parsed)
            });
            parsed.push(read.map_err(|reason| change.failed(reason.0))?);
        }
        // The last of several names for one directive wins, also in what the earlier ones store.
        Ok(parsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(config: &Config, pairs: &[(&str, &str)]) -> Result<(), String> {
        let pairs: Vec<(&[u8], &[u8])> =
            pairs.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
        config
            .set(&pairs, false, &mut |_: &Config, _: Id| Ok(()))
            .map_err(|error| error.to_string())
    }

    fn get(config: &Config, patterns: &[&str]) -> Vec<(String, String)> {
        config.get_matching(&patterns.iter().map(|pattern| pattern.as_bytes()).collect::<Vec<_>>())
    }

    fn names(config: &Config, patterns: &[&str]) -> Vec<String> {
        get(config, patterns).into_iter().map(|(name, _)| name).collect()
    }

    fn failed(name: &str, reason: &str) -> Result<(), String> {
        Err(format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}"))
    }

    #[test]
    fn get_by_name_and_by_pattern() {
        let config = Config::new(2);
        assert_eq!(get(&config, &["MaxMemory"]), [("MaxMemory".to_owned(), "0".to_owned())]);
        assert_eq!(names(&config, &["port", "PORT", "po?t", "nosuch"]), ["port"]);
        let mut hash = names(&config, &["HASH-max-*"]);
        hash.sort();
        assert_eq!(
            hash,
            [
                "hash-max-listpack-entries",
                "hash-max-listpack-value",
                "hash-max-ziplist-entries",
                "hash-max-ziplist-value"
            ]
        );
        assert_eq!(names(&config, &["key-load-delay"]), ["key-load-delay"]);
        assert_eq!(names(&config, &["key-load*"]), Vec::<String>::new());
        assert!(names(&config, &["*"]).len() > 192);
    }

    #[test]
    fn set_reads_checks_and_keeps() {
        let config = Config::new(2);
        assert_eq!(
            set(
                &config,
                &[("MAXMEMORY", "1GB"), ("slave-priority", "5"), ("replica-priority", "6")]
            ),
            Ok(())
        );
        assert_eq!(config.get(id::MAXMEMORY), 1 << 30);
        assert_eq!(config.get(id::REPLICA_PRIORITY), 6);
        assert_eq!(set(&config, &[("client-output-buffer-limit", "pubsub 1mb 1kb 5")]), Ok(()));
        assert_eq!(config.output_buffer_limits().pubsub.hard_bytes, 1 << 20);
        assert_eq!(config.output_buffer_limits().replica.hard_bytes, 256 << 20);
    }

    #[test]
    fn errors_come_in_redis_order() {
        let config = Config::new(2);
        let unknown = |name: &str| {
            Err(format!("ERR Unknown option or number of arguments for CONFIG SET - '{name}'"))
        };
        assert_eq!(set(&config, &[("Xyz", "1")]), unknown("Xyz"));
        assert_eq!(set(&config, &[("hz", "abc"), ("xxx", "1")]), unknown("xxx"));
        assert_eq!(set(&config, &[("include", "x")]), unknown("include"));
        let immutable = "can't set immutable config";
        assert_eq!(
            set(&config, &[("daemonize", "no"), ("xxx", "1")]),
            failed("daemonize", immutable)
        );
        assert_eq!(
            set(&config, &[("daemonize", "no"), ("hz", "1"), ("hz", "2")]),
            failed("daemonize", immutable)
        );
        assert_eq!(set(&config, &[("hz", "1"), ("hz", "2")]), failed("hz", "duplicate parameter"));
        assert_eq!(set(&config, &[("dir", "/tmp")]), failed("dir", "can't set protected config"));
        assert_eq!(
            set(&config, &[("port", "7952"), ("Maxmemory", "xx")]),
            failed("maxmemory", "argument must be a memory value")
        );
        assert_eq!(config.get(id::PORT), 6379);
        assert_eq!(
            set(&config, &[("appendonly", "yes")]),
            failed(
                "appendonly",
                "'appendonly yes': this version of Ebb has no append-only file yet"
            )
        );
        assert_eq!(set(&config, &[("appendonly", "no"), ("save", "")]), Ok(()));
        assert_eq!(set(&config, &[("a\r\nb", "1")]), unknown("a  b"));
    }

    #[test]
    fn protected_directives_follow_the_guard() {
        let config = crate::parse_bytes(b"enable-protected-configs local", 2).expect("valid");
        let pair: (&[u8], &[u8]) = (b"dbfilename", b"x.rdb");
        let mut nothing = |_: &Config, _: Id| Ok(());
        assert!(config.set(&[pair], false, &mut nothing).is_err());
        assert_eq!(config.set(&[pair], true, &mut nothing), Ok(()));
    }

    #[test]
    fn a_failing_hook_takes_everything_back() {
        let config = Config::new(2);
        let mut seen = Vec::new();
        let mut applier = |config: &Config, changed: Id| {
            seen.push((changed, config.text(changed).to_string()));
            if changed == id::PORT.id() && config.get(id::PORT) == 7000 {
                return Err(Reason("Unable to listen on this port. Check server logs.".to_owned()));
            }
            Ok(())
        };
        let pairs: [(&[u8], &[u8]); 4] =
            [(b"hz", b"20"), (b"timeout", b"0"), (b"port", b"7000"), (b"maxclients", b"5")];
        let error = config.set(&pairs, false, &mut applier).unwrap_err().to_string();
        assert_eq!(Err(error), failed("port", "Unable to listen on this port. Check server logs."));
        let hz = id::HZ.id();
        let port = id::PORT.id();
        let expected = [(hz, "20"), (port, "7000"), (hz, "10"), (port, "6379")];
        assert_eq!(
            seen,
            expected.map(|(id, text)| (id, text.to_owned())),
            "an unchanged value is not applied"
        );
        assert_eq!(
            (config.get(id::HZ), config.get(id::PORT), config.get(id::MAXCLIENTS)),
            (10, 6379, 10000)
        );
    }
}
