//! A set of permissions: commands, keys, channels and databases. A user has one of its own, and
//! any number of further ones, of which each stands alone.

use std::collections::BTreeMap;

use ebb_types::glob;

use crate::absent;
use crate::spec::{Categories, KeyFlags};
use crate::table::Command;

use super::rules::{RuleError, Surroundings, has_spaces};

/// Commands as bits, by their numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
struct CommandSet(Box<[u64]>);

impl CommandSet {
    fn none(commands: usize) -> CommandSet {
        CommandSet(vec![0; commands.div_ceil(64)].into_boxed_slice())
    }

    #[inline]
    fn has(&self, number: usize) -> bool {
        self.0.get(number / 64).is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    fn put(&mut self, number: usize, on: bool) {
        if let Some(word) = self.0.get_mut(number / 64) {
            let bit = 1 << (number % 64);
            *word = if on { *word | bit } else { *word & !bit };
        }
    }

    fn fill(&mut self, on: bool) {
        self.0.fill(if on { u64::MAX } else { 0 });
    }
}

/// A pattern of keys and what may be done with them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct KeyPattern {
    pattern: Box<[u8]>,
    read: bool,
    write: bool,
}

/// The databases that may be used.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Databases {
    All,
    /// By ascending number.
    Only(Vec<usize>),
}

/// Permissions that hold together.
#[derive(Debug, Clone)]
pub struct Selector {
    commands: CommandSet,
    /// Nothing was taken away since all commands were given.
    all_commands: bool,
    /// Commands that do not exist yet are allowed: the last of `+@all` and `-@all` was the first.
    future: bool,
    /// What was said since then, in order: sign, and command or category.
    rules: Vec<String>,
    /// First arguments with which commands may be used that are not allowed otherwise.
    first_args: BTreeMap<usize, Vec<Box<[u8]>>>,
    all_keys: bool,
    keys: Vec<KeyPattern>,
    all_channels: bool,
    channels: Vec<Box<[u8]>>,
    databases: Databases,
}

impl Selector {
    /// Without permissions, but for databases (all) and channels (as configured).
    pub(super) fn new(around: &Surroundings<'_>) -> Selector {
        Selector {
            commands: CommandSet::none(around.commands.all().len()),
            all_commands: false,
            future: false,
            rules: Vec::new(),
            first_args: BTreeMap::new(),
            all_keys: false,
            keys: Vec::new(),
            all_channels: around.all_channels,
            channels: Vec::new(),
            databases: Databases::All,
        }
    }

    /// Takes everything away.
    pub(super) fn forbid_all(&mut self) {
        self.set_all_commands(false);
        (self.all_keys, self.all_channels) = (false, false);
        self.keys.clear();
        self.channels.clear();
    }

    /// Reads `(rule rule ...)`.
    pub(super) fn parse(text: &[u8], around: &Surroundings<'_>) -> Result<Selector, RuleError> {
        let inner = text.strip_prefix(b"(").and_then(|text| text.strip_suffix(b")"));
        let mut selector = Selector::new(around);
        for rule in inner.ok_or(RuleError::Syntax)?.split(u8::is_ascii_whitespace) {
            if !rule.is_empty() {
                selector.apply(rule, around)?;
            }
        }
        Ok(selector)
    }

    /// Applies one rule.
    pub(super) fn apply(
        &mut self,
        rule: &[u8],
        around: &Surroundings<'_>,
    ) -> Result<(), RuleError> {
        match rule.to_ascii_lowercase().as_slice() {
            b"allkeys" | b"~*" => {
                self.all_keys = true;
                self.keys.clear();
            }
            b"resetkeys" => {
                self.all_keys = false;
                self.keys.clear();
            }
            b"allchannels" | b"&*" => {
                self.all_channels = true;
                self.channels.clear();
            }
            b"resetchannels" => {
                self.all_channels = false;
                self.channels.clear();
            }
            b"alldbs" => self.databases = Databases::All,
            b"resetdbs" => self.databases = Databases::Only(Vec::new()),
            b"allcommands" | b"+@all" => self.set_all_commands(true),
            b"nocommands" | b"-@all" => self.set_all_commands(false),
            [b'd', b'b', b'=', list @ ..] => self.databases = parse_databases(list)?,
            _ => return self.apply_prefixed(rule, around),
        }
        Ok(())
    }

    fn apply_prefixed(&mut self, rule: &[u8], around: &Surroundings<'_>) -> Result<(), RuleError> {
        match rule {
            [b'~', pattern @ ..] => self.add_keys(pattern, true, true),
            [b'%', ..] if self.all_keys => Err(RuleError::AfterAllKeys),
            [b'%', rest @ ..] => {
                let (read, write, pattern) = parse_key_permission(rest)?;
                self.add_keys(pattern, read, write)
            }
            [b'&', pattern @ ..] => self.add_channels(pattern),
            [sign @ (b'+' | b'-'), b'@', category @ ..] => {
                self.set_category(category, *sign == b'+', around)
            }
            [sign @ (b'+' | b'-'), name @ ..] if absent::is_known(name) => {
                self.note(&String::from_utf8_lossy(name).to_ascii_lowercase(), *sign == b'+');
                Ok(())
            }
            [b'+', name @ ..] => self.allow(name, around),
            [b'-', name @ ..] => {
                let command = around.command(name).ok_or(RuleError::Unknown)?;
                self.set_command(command, false);
                self.note(command.name, false);
                Ok(())
            }
            _ => Err(RuleError::Syntax),
        }
    }

    fn set_all_commands(&mut self, on: bool) {
        self.commands.fill(on);
        (self.all_commands, self.future) = (on, on);
        self.rules.clear();
        self.first_args.clear();
    }

    /// Sets a command and its subcommands.
    fn set_command(&mut self, command: &Command, on: bool) {
        self.commands.put(command.number, on);
        self.first_args.remove(&command.number);
        self.all_commands &= on;
        command.subcommands.iter().for_each(|sub| self.set_command(sub, on));
    }

    fn set_category(
        &mut self,
        name: &[u8],
        on: bool,
        around: &Surroundings<'_>,
    ) -> Result<(), RuleError> {
        let category = Categories::named(name).ok_or(RuleError::Unknown)?;
        // A container comes before its subcommands, so that these have the last word.
        for &command in around.commands.top() {
            for &one in std::iter::once(&command).chain(&command.subcommands) {
                if one.spec.categories().has(category) {
                    self.set_command(one, on);
                }
            }
        }
        self.note(&format!("@{}", String::from_utf8_lossy(name).to_ascii_lowercase()), on);
        Ok(())
    }

    /// `+command`, `+container|subcommand`, or `+command|first-arg`.
    fn allow(&mut self, name: &[u8], around: &Surroundings<'_>) -> Result<(), RuleError> {
        let Some(bar) = name.iter().rposition(|&byte| byte == b'|') else {
            let command = around.command(name).ok_or(RuleError::Unknown)?;
            self.set_command(command, true);
            self.note(command.name, true);
            return Ok(());
        };
        let (container, first_arg) = (&name[..bar], &name[bar + 1..]);
        let command = around.command(container).ok_or(RuleError::Unknown)?;
        if command.parent.is_some() {
            return Err(RuleError::FirstArgOfSubcommand);
        }
        if first_arg.is_empty() {
            return Err(RuleError::Syntax);
        }
        if command.subcommands.is_empty() {
            let known = self.first_args.entry(command.number).or_default();
            if !known.iter().any(|arg| arg.eq_ignore_ascii_case(first_arg)) {
                known.push(first_arg.into());
            }
        } else {
            self.set_command(around.command(name).ok_or(RuleError::Unknown)?, true);
        }
        self.note(&String::from_utf8_lossy(name).to_ascii_lowercase(), true);
        Ok(())
    }

    /// Writes down what was said of a command or category, in the place of what was said of it,
    /// and of its subcommands, before. Order matters, so nothing else may be left out.
    fn note(&mut self, name: &str, on: bool) {
        self.rules.retain(|rule| {
            let rest = rule[1..].strip_prefix(name);
            !rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('|'))
        });
        self.rules.push(format!("{}{name}", if on { '+' } else { '-' }));
    }

    fn add_keys(&mut self, pattern: &[u8], read: bool, write: bool) -> Result<(), RuleError> {
        if self.all_keys {
            return Err(RuleError::AfterAllKeys);
        }
        if has_spaces(pattern) {
            return Err(RuleError::Syntax);
        }
        match self.keys.iter_mut().find(|known| *known.pattern == *pattern) {
            Some(known) => {
                known.read |= read;
                known.write |= write;
            }
            None => self.keys.push(KeyPattern { pattern: pattern.into(), read, write }),
        }
        Ok(())
    }

    fn add_channels(&mut self, pattern: &[u8]) -> Result<(), RuleError> {
        if self.all_channels {
            return Err(RuleError::AfterAllChannels);
        }
        if has_spaces(pattern) {
            return Err(RuleError::Syntax);
        }
        if !self.channels.iter().any(|known| **known == *pattern) {
            self.channels.push(pattern.into());
        }
        Ok(())
    }

    /// Whether everything is allowed, so that nothing need be looked at.
    pub(super) fn is_unrestricted(&self) -> bool {
        self.all_commands && self.all_keys && self.all_channels && self.allows_all_databases()
    }

    /// Whether a command is allowed, be it only for its first argument.
    pub(super) fn allows_command(&self, command: &Command, args: &[&[u8]]) -> bool {
        if self.all_commands || self.commands.has(command.number) {
            return true;
        }
        let Some(allowed) = self.first_args.get(&command.number) else { return false };
        args.get(1).is_some_and(|arg| allowed.iter().any(|one| one.eq_ignore_ascii_case(arg)))
    }

    /// Whether all keys may be used in every way.
    pub(super) fn allows_all_keys(&self) -> bool {
        self.all_keys
    }

    /// Whether a key may be used as these flags say.
    pub(super) fn allows_key(&self, key: &[u8], flags: KeyFlags) -> bool {
        let writes = flags.any(KeyFlags::INSERT.and(KeyFlags::DELETE).and(KeyFlags::UPDATE));
        let reads = flags.has(KeyFlags::ACCESS);
        self.all_keys
            || self.keys.iter().any(|known| {
                (known.read || !reads)
                    && (known.write || !writes)
                    && glob::matches(&known.pattern, key, false)
            })
    }

    /// Whether any key may be read.
    pub(super) fn reads_every_key(&self) -> bool {
        self.all_keys || self.keys.iter().any(|known| known.read && *known.pattern == *b"*")
    }

    /// Whether all channels may be used.
    pub(super) fn allows_all_channels(&self) -> bool {
        self.all_channels
    }

    /// Whether a channel may be used; a pattern must be one of those allowed, to the letter.
    pub(super) fn allows_channel(&self, channel: &[u8], is_pattern: bool) -> bool {
        self.all_channels
            || self.channels.iter().any(|known| {
                if is_pattern { **known == *channel } else { glob::matches(known, channel, false) }
            })
    }

    /// Whether every database may be used.
    pub(super) fn allows_all_databases(&self) -> bool {
        self.databases == Databases::All
    }

    /// Whether a database may be used.
    pub(super) fn allows_database(&self, db: usize) -> bool {
        match &self.databases {
            Databases::All => true,
            Databases::Only(some) => some.binary_search(&db).is_ok(),
        }
    }

    /// The commands as rules: `-@all +get`.
    pub fn describe_commands(&self) -> String {
        let mut text = String::from(if self.future { "+@all" } else { "-@all" });
        for rule in &self.rules {
            text.push(' ');
            text += rule;
        }
        text
    }

    /// The keys as rules: `~a %R~b`.
    pub fn describe_keys(&self) -> Vec<u8> {
        if self.all_keys {
            return b"~*".to_vec();
        }
        let keys = self.keys.iter().map(|known| {
            let prefix: &[u8] = match (known.read, known.write) {
                (true, false) => b"%R~",
                (false, true) => b"%W~",
                _ => b"~",
            };
            [prefix, &known.pattern].concat()
        });
        keys.collect::<Vec<_>>().join(&b' ')
    }

    /// The channels as rules: `&a &b`.
    pub fn describe_channels(&self) -> Vec<u8> {
        if self.all_channels {
            return b"&*".to_vec();
        }
        let channels = self.channels.iter().map(|known| [b"&", &known[..]].concat());
        channels.collect::<Vec<_>>().join(&b' ')
    }

    /// The databases as a rule: `db=0,1`, empty if none may be used, no text if all may be.
    pub fn describe_databases(&self) -> Option<String> {
        match &self.databases {
            Databases::All => None,
            Databases::Only(some) if some.is_empty() => Some(String::new()),
            Databases::Only(some) => {
                let numbers: Vec<String> = some.iter().map(usize::to_string).collect();
                Some(format!("db={}", numbers.join(",")))
            }
        }
    }

    /// Rules that make another selector what this one is.
    pub(super) fn describe(&self) -> Vec<u8> {
        let mut text = self.describe_keys();
        if !text.is_empty() {
            text.push(b' ');
        }
        if !self.all_channels {
            text.extend_from_slice(b"resetchannels ");
        }
        let channels = self.describe_channels();
        if !channels.is_empty() {
            text.extend_from_slice(&channels);
            text.push(b' ');
        }
        if let Some(databases) = self.describe_databases() {
            let rule = if databases.is_empty() { "resetdbs" } else { &databases };
            text.extend_from_slice(rule.as_bytes());
            text.push(b' ');
        }
        text.extend_from_slice(self.describe_commands().as_bytes());
        text
    }
}

/// What follows the `%` of `%R~pattern`.
fn parse_key_permission(text: &[u8]) -> Result<(bool, bool, &[u8]), RuleError> {
    let (mut read, mut write) = (false, false);
    let mut rest = text;
    while let [letter, after @ ..] = rest {
        rest = after;
        match letter.to_ascii_uppercase() {
            b'R' if !read => read = true,
            b'W' if !write => write = true,
            b'~' => break,
            _ => return Err(RuleError::Syntax),
        }
    }
    if read || write { Ok((read, write, rest)) } else { Err(RuleError::Syntax) }
}

/// What follows `db=`. A database need not be there: their number may be another when the rules are read again.
fn parse_databases(list: &[u8]) -> Result<Databases, RuleError> {
    let mut numbers = Vec::new();
    for number in list.split(|&byte| byte == b',') {
        let (sign, digits) = match number {
            [sign @ (b'-' | b'+'), digits @ ..] => (*sign, digits),
            digits => (b'+', digits),
        };
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return Err(RuleError::Syntax);
        }
        let number = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<i32>().ok());
        let number = number.filter(|&number| sign == b'+' || number == 0);
        numbers.push(number.ok_or(RuleError::DatabaseOutOfRange)? as usize);
    }
    numbers.sort_unstable();
    numbers.dedup();
    Ok(Databases::Only(numbers))
}
