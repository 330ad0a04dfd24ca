//! From the lines of a configuration file to values.

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::string::FromUtf8Error;
use std::{fs, io};

use crate::directive::Id;
use crate::partitions::{self, PARTITION};
use crate::store::Config;
use crate::users::USER;
use crate::value::Reason;
use crate::{grammar, id, include, system_reason, table};

/// The reason for a line that names no directive, and for a directive of lines only with the wrong arguments.
pub(crate) const BAD_DIRECTIVE: &str = "Bad directive or wrong number of arguments";

/// Directives that Redis accepts and has given no meaning for years; so does Ebb.
const WITHOUT_MEANING: [&str; 3] =
    ["list-max-ziplist-entries", "list-max-ziplist-value", "lua-replicate-commands"];

/// Why the server does not start. The display is what is printed.
#[derive(Debug)]
pub enum StartError {
    /// A line that cannot be accepted.
    Line {
        /// The included file; `None` for the main file and the command line, which count as one text.
        file: Option<PathBuf>,
        /// Counted from 1.
        number: usize,
        /// The line without surrounding blanks.
        line: String,
        /// What is wrong.
        reason: String,
    },
    /// A file that cannot be read.
    Open {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Standard input that cannot be read.
    StandardInput(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Line { file, number, line, reason } => {
                writeln!(f, "\n*** FATAL CONFIG FILE ERROR (Ebb {}) ***", crate::VERSION)?;
                write!(f, "Reading the configuration file, at line {number}")?;
                if let Some(file) = file {
                    write!(f, " of '{}'", file.display())?;
                }
                write!(f, "\n>>> '{line}'\n{reason}")
            }
            StartError::Open { path, error } => {
                write!(
                    f,
                    "Fatal error, can't open config file '{}': {}",
                    path.display(),
                    system_reason(error)
                )
            }
            StartError::StandardInput(error) => {
                write!(
                    f,
                    "Fatal error, can't read the configuration from standard input: {}",
                    system_reason(error)
                )
            }
        }
    }
}

impl std::error::Error for StartError {}

/// Reads a configuration text that includes no files, on a machine of so many cores. Any bytes give a
/// configuration or an error: this is what fuzzing calls.
pub fn parse_bytes(text: &[u8], cores: usize) -> Result<Config, StartError> {
    let mut loader = Loader::new(cores);
    loader.may_include = false;
    loader.load(text)?;
    Ok(loader.config)
}

/// The name and the values of a line as text.
pub(crate) fn as_text(mut arguments: Vec<Vec<u8>>) -> Result<Vec<String>, FromUtf8Error> {
    let is_partition = |name: &Vec<u8>| name.eq_ignore_ascii_case(PARTITION.as_bytes());
    if !arguments.first().is_some_and(is_partition) {
        return arguments.into_iter().map(String::from_utf8).collect();
    }
    let mut text = partitions::as_text(arguments.split_off(1))?;
    text.insert(0, PARTITION.to_owned());
    Ok(text)
}

/// Reads lines into a configuration.
pub(crate) struct Loader {
    pub(crate) config: Config,
    may_include: bool,
    /// The files being read, outermost first, in their canonical form: to refuse a file that includes itself.
    files: Vec<PathBuf>,
    /// Directives whose lines add up and of which a line was seen.
    appending: HashSet<Id>,
}

/// Why a line failed: for itself, or for a line of a file that it includes.
enum Failure {
    Here(Reason),
    Inside(StartError),
}

impl From<Reason> for Failure {
    fn from(reason: Reason) -> Self {
        Failure::Here(reason)
    }
}

impl Loader {
    pub(crate) fn new(cores: usize) -> Self {
        Loader {
            config: Config::new(cores),
            may_include: true,
            files: Vec::new(),
            appending: HashSet::new(),
        }
    }

    /// Marks `path` as the main file, so that it cannot include itself.
    pub(crate) fn enter_main(&mut self, path: &Path) {
        self.files.push(fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()));
    }

    /// Reads the text of the main file and the command line.
    pub(crate) fn load(&mut self, text: &[u8]) -> Result<(), StartError> {
        self.load_from(text, None)
    }

    fn load_from(&mut self, text: &[u8], file: Option<&Path>) -> Result<(), StartError> {
        for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let line = grammar::trim(line);
            if line.is_empty() || line[0] == b'#' {
                continue;
            }
            self.line(line).map_err(|failure| match failure {
                Failure::Inside(error) => error,
                Failure::Here(Reason(reason)) => StartError::Line {
                    file: file.map(Path::to_owned),
                    number: index + 1,
                    line: String::from_utf8_lossy(line).into_owned(),
                    reason,
                },
            })?;
        }
        Ok(())
    }

    fn line(&mut self, line: &[u8]) -> Result<(), Failure> {
        let arguments = grammar::split_arguments(line).ok_or(Reason::new(grammar::UNBALANCED))?;
        if arguments.first().is_some_and(|name| name.eq_ignore_ascii_case(USER.as_bytes())) {
            return Ok(self.config.add_user(&arguments[1..])?);
        }
        let arguments =
            as_text(arguments).map_err(|_| Reason::new("argument must be valid UTF-8"))?;
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let Some((name, values)) = arguments.split_first() else {
            return Ok(());
        };
        match table::find(name) {
            Some((id, name)) => Ok(self.directive(id, name, values)?),
            None => self.line_only(&name.to_ascii_lowercase(), values),
        }
    }

    fn directive(&mut self, id: Id, name: &str, values: &[&str]) -> Result<(), Reason> {
        let row = id.directive();
        if values.is_empty() && !row.kind.takes_many() {
            return Err(Reason::new("wrong number of arguments"));
        }
        let current = if row.appends && self.appending.insert(id) {
            String::new()
        } else {
            self.config.stored(id).text
        };
        let parsed = match values {
            [value] => row.read_text(&current, value)?,
            _ => row.read(&current, values)?,
        };
        row.check_feature(name, &parsed)?;
        self.config.store(id, &parsed);
        Ok(())
    }

    /// The directives that exist only as lines of a file: they have no value to get or set.
    fn line_only(&mut self, name: &str, values: &[&str]) -> Result<(), Failure> {
        let lacks = |what: &str| {
            Err(Reason(format!(
                "'{name} {}': this version of Ebb has {what} yet",
                values.join(" ")
            ))
            .into())
        };
        match (name, values) {
            ("include", [pattern]) => self.include(pattern),
            ("rename-command", [command, new_name]) => {
                self.config.renamed.push(((*command).to_owned(), (*new_name).to_owned()));
                Ok(())
            }
            ("loadmodule", [_, ..]) => lacks("no modules"),
            ("sentinel", _) => {
                Err(Reason::new("sentinel directive while not in sentinel mode").into())
            }
            (name, [_]) if WITHOUT_MEANING.contains(&name) => Ok(()),
            _ => Err(Reason::new(BAD_DIRECTIVE).into()),
        }
    }

    /// Paths are relative to `dir`, which is where the server will run.
    fn include(&mut self, pattern: &str) -> Result<(), Failure> {
        if !self.may_include {
            return Err(
                Reason::new("include is only possible from a file or the command line").into()
            );
        }
        let directory = self.config.get(id::DIR);
        for path in include::expand(Path::new(&*directory), pattern.as_bytes()) {
            let canonical = fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
            if self.files.contains(&canonical) {
                return Err(Reason(format!("'{}' includes itself", path.display())).into());
            }
            let text = fs::read(&path)
                .map_err(|error| Failure::Inside(StartError::Open { path: path.clone(), error }))?;
            if !self.config.included.contains(&canonical) {
                self.config.included.push(canonical.clone());
            }
            self.files.push(canonical);
            let result = self.load_from(&text, Some(&path));
            self.files.pop();
            result.map_err(Failure::Inside)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn load(text: &str) -> Config {
        parse_bytes(text.as_bytes(), 2).unwrap_or_else(|error| panic!("{error}"))
    }

    fn reason(text: &str) -> (usize, String) {
        match parse_bytes(text.as_bytes(), 2) {
            Err(StartError::Line { number, reason, .. }) => (number, reason),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn lines_comments_and_case() {
        let config = load(
            "# port 1\n\n  \t# x\r\nPORT 7000\r\nmaxmemory 1gb\nslave-priority 5\nmaxmemory 2gb",
        );
        assert_eq!(config.get(id::PORT), 7000);
        assert_eq!(config.get(id::MAXMEMORY), 2 << 30);
        assert_eq!(config.get(id::REPLICA_PRIORITY), 5);
    }

    #[test]
    fn several_arguments_or_one_quoted() {
        assert_eq!(&*load("bind 127.0.0.1 -::1").get(id::BIND), "127.0.0.1 -::1");
        assert_eq!(&*load("bind \"127.0.0.1 -::1\"").get(id::BIND), "127.0.0.1 -::1");
        assert_eq!(&*load("bind \"\"").get(id::BIND), "");
        let text =
            "client-output-buffer-limit normal 1 1 1\nclient-output-buffer-limit pubsub 2 2 2";
        let limits = load(text).output_buffer_limits();
        assert_eq!((limits.normal.hard_bytes, limits.pubsub.hard_bytes), (1, 2));
        assert_eq!(limits.replica.hard_bytes, 256 << 20);
    }

    #[test]
    fn reasons_and_line_numbers() {
        for (text, number, expected) in [
            ("port 7953\nfoo bar", 2, BAD_DIRECTIVE),
            ("port", 1, "wrong number of arguments"),
            ("port 1 2", 1, "wrong number of arguments"),
            ("port abc", 1, "argument couldn't be parsed into an integer"),
            ("port \"abc", 1, "Unbalanced quotes in configuration line"),
            ("port 99999", 1, "argument must be between 0 and 65535 inclusive"),
            ("include", 1, BAD_DIRECTIVE),
            ("rename-command x", 1, BAD_DIRECTIVE),
            ("user", 1, BAD_DIRECTIVE),
            ("save 1", 1, "Invalid save parameters"),
            ("replicaof a b", 1, "Invalid master port"),
            ("replicaof a", 1, "wrong number of arguments"),
            ("unixsocketperm 999", 1, "argument couldn't be parsed as an octal number"),
        ] {
            assert_eq!(reason(text), (number, expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_ebb_lacks_can_only_be_off() {
        load(
            "appendonly no\nsave \"\"\ncluster-enabled no\nreplicaof no one\ntls-port 0\nmaxmemory-policy noeviction",
        );
        load("appendfsync always\nrepl-backlog-size 2mb\nrdbcompression no");
        for (line, lacks) in [
            ("appendonly YES", "'appendonly yes': this version of Ebb has no append-only file yet"),
            ("save 3600 1", "'save 3600 1': this version of Ebb has no snapshots yet"),
            ("slaveof h 1", "'slaveof h 1': this version of Ebb has no replication yet"),
            ("loadmodule /x", "'loadmodule /x': this version of Ebb has no modules yet"),
        ] {
            assert_eq!(reason(line).1, lacks);
        }
    }

    #[test]
    fn users_are_kept_as_they_are_written() {
        let config = load("user default on nopass ~* &* +@all\nuser a \"~b\\xff\" (~x +get)");
        let [first, second] = config.users().try_into().expect("two lines");
        assert_eq!((&first.name[..], first.rules.len()), (&b"default"[..], 5));
        assert_eq!(second.rules, [b"~b\xff".to_vec(), b"(~x".to_vec(), b"+get)".to_vec()]);
        assert_eq!(
            reason("user a\nuser b\nUSER a on"),
            (
                3,
                "Error in user declaration 'a': Duplicate user found. A user can only be defined \
                 once in config files"
                    .to_owned()
            )
        );
    }

    #[test]
    fn the_message_has_redis_shape() {
        let error = parse_bytes(b"hz 1\n  foo bar", 1).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "\n*** FATAL CONFIG FILE ERROR (Ebb {}) ***\nReading the configuration file, at line 2\n\
                 >>> 'foo bar'\nBad directive or wrong number of arguments",
                crate::VERSION
            )
        );
    }

    #[test]
    fn renamed_commands_are_kept_and_hz_is_clamped() {
        let config = load("rename-command FLUSHALL \"\"\nrename-command keys k2\nhz 5000");
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(config.renamed_commands(), [pair("FLUSHALL", ""), pair("keys", "k2")]);
        assert_eq!(config.get(id::HZ), 500);
        assert_eq!(&*config.text(id::HZ.id()), "500");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(text in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = parse_bytes(&text, 2);
        }

        #[test]
        fn any_arguments_are_read_or_refused(
            place in 0..table::ids().count(),
            values in proptest::collection::vec("[-0-9a-z%{} \"*.]{0,12}", 0..6),
        ) {
            let name = table::ids().nth(place).expect("within the table").name();
            let _ = parse_bytes(format!("{name} {}", values.join(" ")).as_bytes(), 2);
        }
    }
}
