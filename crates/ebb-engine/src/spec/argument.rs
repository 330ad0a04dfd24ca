//! A command's syntax, as COMMAND DOCS and HELP show it.

/// One argument in a command's syntax, as COMMAND DOCS shows it.
#[derive(Debug, Clone, Copy)]
pub struct Argument {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: ArgumentKind,
    /// A literal word before it (or, for [`ArgumentKind::Token`], alone).
    pub token: Option<&'static str>,
    /// Index of the key specification, for keys.
    pub key_spec: Option<usize>,
    /// May be left out.
    pub optional: bool,
    /// May be repeated.
    pub multiple: bool,
    /// The word is repeated with it.
    pub multiple_token: bool,
    /// The version that added it.
    pub since: Option<&'static str>,
}

/// The types of arguments.
#[derive(Debug, Clone, Copy)]
pub enum ArgumentKind {
    /// Text.
    String,
    /// A whole number.
    Integer,
    /// A number.
    Double,
    /// A key.
    Key,
    /// A glob pattern.
    Pattern,
    /// Seconds or milliseconds since 1970.
    UnixTime,
    /// A word.
    Token,
    /// One of several.
    OneOf(&'static [Argument]),
    /// Several together.
    Block(&'static [Argument]),
}

impl Argument {
    /// An argument of a kind.
    pub const fn new(name: &'static str, kind: ArgumentKind) -> Argument {
        Argument {
            name,
            kind,
            token: None,
            key_spec: None,
            optional: false,
            multiple: false,
            multiple_token: false,
            since: None,
        }
    }

    /// A key, found by a key specification.
    pub const fn key(name: &'static str, key_spec: usize) -> Argument {
        let mut argument = Argument::new(name, ArgumentKind::Key);
        argument.key_spec = Some(key_spec);
        argument
    }

    /// Text.
    pub const fn string(name: &'static str) -> Argument {
        Argument::new(name, ArgumentKind::String)
    }

    /// A whole number.
    pub const fn integer(name: &'static str) -> Argument {
        Argument::new(name, ArgumentKind::Integer)
    }

    /// A word of its own.
    pub const fn word(name: &'static str, token: &'static str) -> Argument {
        let mut argument = Argument::new(name, ArgumentKind::Token);
        argument.token = Some(token);
        argument
    }

    /// One of several.
    pub const fn one_of(name: &'static str, of: &'static [Argument]) -> Argument {
        Argument::new(name, ArgumentKind::OneOf(of))
    }

    /// Several together.
    pub const fn block(name: &'static str, of: &'static [Argument]) -> Argument {
        Argument::new(name, ArgumentKind::Block(of))
    }

    /// That leads to keys of this key specification.
    pub const fn key_spec(mut self, key_spec: usize) -> Argument {
        self.key_spec = Some(key_spec);
        self
    }

    /// Preceded by a word.
    pub const fn after(mut self, token: &'static str) -> Argument {
        self.token = Some(token);
        self
    }

    /// That may be left out.
    pub const fn optional(mut self) -> Argument {
        self.optional = true;
        self
    }

    /// That may be repeated.
    pub const fn multiple(mut self) -> Argument {
        self.multiple = true;
        self
    }

    /// That may be repeated, each time with its word.
    pub const fn multiple_token(mut self) -> Argument {
        self.multiple_token = true;
        self
    }

    /// That a version added.
    pub const fn since(mut self, version: &'static str) -> Argument {
        self.since = Some(version);
        self
    }
}
