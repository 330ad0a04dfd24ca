//! Errors that commands answer, with Redis's texts.

use std::borrow::Cow;

use ebb_keyspace::OutOfMemory;

/// What a command returns.
pub type CommandResult = Result<(), CommandError>;

/// A reply that begins with `-`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandError {
    /// Syntax error.
    Syntax,
    /// The value has another type.
    WrongType,
    /// Not an integer of 64 bits.
    NotInteger,
    /// Not a number.
    NotFloat,
    /// No such key.
    NoSuchKey,
    /// An index beyond the range.
    IndexOutOfRange,
    /// A number beyond the range of what it is for.
    OutOfRange,
    /// Memory is at its limit, or the operating system has none.
    OutOfMemory,
    /// Wrong number of arguments for a command, named in full (`config|get`).
    WrongArity(Cow<'static, str>),
    /// Any other text, code included: "ERR something".
    Text(Cow<'static, str>),
    /// The error of a command that a script called, which has been counted there.
    Counted(Cow<'static, str>),
}

impl CommandError {
    /// An error with a text of its own: "ERR " and more, or another code.
    pub fn new(text: impl Into<Cow<'static, str>>) -> CommandError {
        CommandError::Text(text.into())
    }

    /// The text after the `-`.
    pub fn text(&self) -> Cow<'_, str> {
        Cow::Borrowed(match self {
            CommandError::Syntax => "ERR syntax error",
            CommandError::WrongType => {
                "WRONGTYPE Operation against a key holding the wrong kind of value"
            }
            CommandError::NotInteger => "ERR value is not an integer or out of range",
            CommandError::NotFloat => "ERR value is not a valid float",
            CommandError::NoSuchKey => "ERR no such key",
            CommandError::IndexOutOfRange => "ERR index out of range",
            CommandError::OutOfRange => "ERR value is out of range",
            CommandError::OutOfMemory => "OOM command not allowed when used memory > 'maxmemory'.",
            CommandError::WrongArity(name) => {
                return format!("ERR wrong number of arguments for '{name}' command").into();
            }
            CommandError::Text(text) | CommandError::Counted(text) => text,
        })
    }

    /// Whether INFO errorstats has it already.
    pub fn is_counted(&self) -> bool {
        matches!(self, CommandError::Counted(_))
    }

    /// The first word, under which INFO errorstats counts it.
    pub fn code(&self) -> String {
        let text = self.text();
        text.split(' ').next().unwrap_or("ERR").to_owned()
    }
}

impl From<OutOfMemory> for CommandError {
    fn from(_: OutOfMemory) -> CommandError {
        CommandError::OutOfMemory
    }
}

/// An argument as an error quotes it: as in Redis only up to a zero byte, and at most `room`
/// bytes; unlike there always valid UTF-8.
pub fn quote(arg: &[u8], room: usize) -> Cow<'_, str> {
    let text = arg.split(|&byte| byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(&text[..text.len().min(room)])
}
