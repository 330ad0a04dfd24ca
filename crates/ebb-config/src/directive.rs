//! A row of the table: what one directive is called, what it holds, and whether Ebb has what it configures.

use std::marker::PhantomData;

use crate::store::Value;
use crate::value::{Kind, Parsed, Reason, Unit};
use crate::words::Word;

/// Whether what a directive configures exists in this version of Ebb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// It does what it says.
    Exists,
    /// It only refines the named feature, which Ebb does not have or does not need to tune. The value is checked,
    /// kept and shown; nothing else can come of it.
    Tunes(&'static str),
    /// It would turn on something that Ebb does not have: only the value that means off is accepted.
    Off {
        /// The value that means off, as `CONFIG GET` shows it.
        value: &'static str,
        /// What Ebb does not have, with its article: "no append-only file".
        lacks: &'static str,
    },
}

/// One directive. Built by the functions below and the chained methods; see the files of `table`.
#[derive(Clone, Copy, Debug)]
pub struct Directive {
    /// The name, in lower case.
    pub name: &'static str,
    /// Other names for the same value.
    pub aliases: &'static [&'static str],
    /// What values look like.
    pub kind: Kind,
    /// The value without any configuration, as it is written in a file.
    pub default: &'static str,
    /// Can only be set at start.
    pub immutable: bool,
    /// `CONFIG SET` needs `enable-protected-configs`.
    pub protected: bool,
    /// Holds a secret: never logged.
    pub sensitive: bool,
    /// `CONFIG GET` shows it only by its exact name.
    pub hidden: bool,
    /// Cannot be set while a data set is being loaded.
    pub denied_while_loading: bool,
    /// Lines of a file add up, after the first has replaced the default.
    pub appends: bool,
    /// The name that `CONFIG REWRITE` writes where the file has none yet: one that Redis reads too.
    pub rewritten_as: &'static str,
    /// Smallest and largest effective value: what lies outside is moved to the nearest, silently.
    pub clamp: Option<(i64, i64)>,
    /// Does Ebb have it?
    pub feature: Feature,
}

/// `yes` or `no`.
pub(crate) const fn yes_no(name: &'static str, default: &'static str) -> Directive {
    row(name, default, Kind::Bool)
}

/// An integer in decimal.
pub(crate) const fn number(
    name: &'static str,
    default: &'static str,
    min: i128,
    max: i128,
) -> Directive {
    row(name, default, Kind::Integer { min, max, unit: Unit::Plain })
}

/// An integer with another way of writing it.
pub(crate) const fn sized(
    name: &'static str,
    default: &'static str,
    unit: Unit,
    min: i128,
    max: i128,
) -> Directive {
    row(name, default, Kind::Integer { min, max, unit })
}

/// One of the words of `W`.
pub(crate) const fn word<W: Word>(name: &'static str, default: &'static str) -> Directive {
    row(name, default, Kind::Word(W::WORDS))
}

/// Free text.
pub(crate) const fn text(name: &'static str, default: &'static str) -> Directive {
    row(name, default, Kind::Text(crate::special::any))
}

/// Text that must pass a check.
pub(crate) const fn checked(
    name: &'static str,
    default: &'static str,
    check: fn(&str) -> Result<(), Reason>,
) -> Directive {
    row(name, default, Kind::Text(check))
}

/// Several arguments with a format of their own.
pub(crate) const fn special(
    name: &'static str,
    default: &'static str,
    read: fn(&str, &[&str]) -> Result<String, Reason>,
) -> Directive {
    row(name, default, Kind::Special(read))
}

const fn row(name: &'static str, default: &'static str, kind: Kind) -> Directive {
    Directive {
        name,
        aliases: &[],
        kind,
        default,
        immutable: false,
        protected: false,
        sensitive: false,
        hidden: false,
        denied_while_loading: false,
        appends: false,
        rewritten_as: name,
        clamp: None,
        feature: Feature::Exists,
    }
}

impl Directive {
    pub(crate) const fn alias(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    pub(crate) const fn immutable(mut self) -> Self {
        self.immutable = true;
        self
    }

    pub(crate) const fn protected(mut self) -> Self {
        self.protected = true;
        self
    }

    pub(crate) const fn sensitive(mut self) -> Self {
        self.sensitive = true;
        self
    }

    pub(crate) const fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    pub(crate) const fn denied_while_loading(mut self) -> Self {
        self.denied_while_loading = true;
        self
    }

    pub(crate) const fn appends(mut self) -> Self {
        self.appends = true;
        self
    }

    pub(crate) const fn rewritten_as(mut self, name: &'static str) -> Self {
        self.rewritten_as = name;
        self
    }

    pub(crate) const fn clamp(mut self, min: i64, max: i64) -> Self {
        self.clamp = Some((min, max));
        self
    }

    pub(crate) const fn tunes(mut self, feature: &'static str) -> Self {
        self.feature = Feature::Tunes(feature);
        self
    }

    pub(crate) const fn off(mut self, value: &'static str, lacks: &'static str) -> Self {
        self.feature = Feature::Off { value, lacks };
        self
    }

    /// Reads a value given as arguments. `current` is the value so far.
    pub(crate) fn read(&self, current: &str, arguments: &[&str]) -> Result<Parsed, Reason> {
        let mut parsed = self.kind.read(current, arguments)?;
        if let Some((min, max)) = self.clamp {
            let number = (parsed.bits as i64).clamp(min, max);
            parsed = Parsed { text: number.to_string(), bits: number as u64 };
        }
        Ok(parsed)
    }

    /// Reads a value given as one text, as `CONFIG SET` and one quoted argument do: where the directive takes
    /// several arguments, single spaces separate them.
    pub(crate) fn read_text(&self, current: &str, value: &str) -> Result<Parsed, Reason> {
        if !self.kind.takes_many() {
            return self.read(current, &[value]);
        }
        let arguments: Vec<&str> = value.split(' ').collect();
        self.read(current, &arguments)
    }

    /// Refuses a value that would turn on what Ebb does not have. `name` is the name that was used.
    pub(crate) fn check_feature(&self, name: &str, parsed: &Parsed) -> Result<(), Reason> {
        match self.feature {
            Feature::Off { value, lacks } if parsed.text != value => Err(Reason(format!(
                "'{name} {}': this version of Ebb has {lacks} yet",
                parsed.text
            ))),
            _ => Ok(()),
        }
    }

    /// The name and then the aliases.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }
}

/// The place of a directive in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(pub(crate) u16);

impl Id {
    /// The directive's row.
    pub fn directive(self) -> &'static Directive {
        crate::table::row(self)
    }

    /// The directive's name.
    pub fn name(self) -> &'static str {
        self.directive().name
    }
}

/// An [`Id`] with the type of its value: what [`crate::Config::get`] takes. See [`crate::id`].
#[derive(Debug)]
pub struct Key<T> {
    pub(crate) id: Id,
    value: PhantomData<fn() -> T>,
}

impl<T> Clone for Key<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Key<T> {}

impl<T: Value> Key<T> {
    pub(crate) const fn new(place: usize) -> Self {
        // Lossless: the table has a few hundred rows, which `table::tests` asserts.
        Key { id: Id(place as u16), value: PhantomData }
    }

    /// The directive's place, to compare with what an [`crate::Applier`] is told.
    pub const fn id(self) -> Id {
        self.id
    }
}
