//! Where a command's keys are, and what it does with them: Redis 7's key specifications.

use super::bits::bits;

bits! {
    /// What a command does with a key; the words are those of COMMAND INFO.
    KeyFlags: u16 {
        /// Reads the value and may not change it.
        RO = "RO",
        /// Reads and changes the value.
        RW = "RW",
        /// Overwrites the value.
        OW = "OW",
        /// Deletes the key.
        RM = "RM",
        /// Returns or uses the value.
        ACCESS = "access",
        /// Changes the value depending on what it was.
        UPDATE = "update",
        /// Adds data.
        INSERT = "insert",
        /// Deletes data.
        DELETE = "delete",
        /// Is no key, but is routed like one.
        NOT_KEY = "not_key",
        /// The specification may miss keys.
        INCOMPLETE = "incomplete",
        /// The flags depend on the arguments.
        VARIABLE_FLAGS = "variable_flags",
    }
}

/// Where keys are among the arguments (the key specifications of Redis 7).
#[derive(Debug, Clone, Copy)]
pub struct KeySpec {
    /// What is done with them.
    pub flags: KeyFlags,
    /// Where the search begins.
    pub begin: Begin,
    /// How many there are from there.
    pub find: Find,
    /// A remark for COMMAND INFO.
    pub notes: &'static str,
}

/// Where the search for keys begins.
#[derive(Debug, Clone, Copy)]
pub enum Begin {
    /// At an argument.
    Index(usize),
    /// After a word, searched from an argument on (from the end, if negative).
    Keyword(&'static str, i32),
    /// Where a function finds it, which COMMAND INFO shows as unknown.
    Custom(fn(&[&[u8]]) -> Option<usize>),
}

/// Which arguments are keys, counted from the beginning.
#[derive(Debug, Clone, Copy)]
pub enum Find {
    /// From the first to `last` (negative: from the end), every `step`; `limit` of 2 and
    /// more takes only that part of the arguments that remain.
    Range {
        /// Distance of the last key, or from the end if negative.
        last: i32,
        /// Distance between keys.
        step: usize,
        /// Divisor of the remaining arguments.
        limit: usize,
    },
    /// An argument says how many keys follow.
    Count {
        /// Where the number is, from the beginning.
        number: usize,
        /// Where the first key is, from the beginning.
        first: usize,
        /// Distance between keys.
        step: usize,
    },
}

impl KeySpec {
    /// One key at an argument.
    pub const fn one(index: usize, flags: KeyFlags) -> KeySpec {
        KeySpec::range(index, 0, 1, flags)
    }

    /// Keys from an argument to `last`, every `step`.
    pub const fn range(index: usize, last: i32, step: usize, flags: KeyFlags) -> KeySpec {
        KeySpec {
            flags,
            begin: Begin::Index(index),
            find: Find::Range { last, step, limit: 0 },
            notes: "",
        }
    }

    /// A number at an argument, and that many keys after it, every `step`.
    pub const fn counted(index: usize, step: usize, flags: KeyFlags) -> KeySpec {
        KeySpec {
            flags,
            begin: Begin::Index(index),
            find: Find::Count { number: 0, first: 1, step },
            notes: "",
        }
    }

    fn first(&self, args: &[&[u8]]) -> Option<usize> {
        match self.begin {
            Begin::Index(index) => Some(index),
            Begin::Custom(find) => find(args),
            Begin::Keyword(word, from) => {
                let is_word = |&at: &usize| args[at].eq_ignore_ascii_case(word.as_bytes());
                let found = if from >= 0 {
                    (from as usize..args.len().saturating_sub(1)).find(is_word)
                } else {
                    let end = args.len().checked_sub(from.unsigned_abs() as usize)?;
                    (1..=end).rev().find(is_word)
                };
                found.map(|at| at + 1)
            }
        }
    }

    /// The positions of the keys; `None` if there are none.
    pub fn positions(
        &self,
        args: &[&[u8]],
    ) -> Result<Option<std::iter::StepBy<std::ops::RangeInclusive<usize>>>, InvalidKeys> {
        let Some(first) = self.first(args) else { return Ok(None) };
        let (first, last, step) = match self.find {
            Find::Range { last, step, limit } => {
                let last = if last >= 0 {
                    first + last as usize
                } else if limit <= 1 {
                    args.len().checked_sub(last.unsigned_abs() as usize).ok_or(InvalidKeys)?
                } else {
                    first + (args.len() - first.min(args.len())) / limit - 1
                };
                (first, last, step)
            }
            Find::Count { number, first: offset, step } => {
                let number = *args.get(first + number).ok_or(InvalidKeys)?;
                let number = ebb_types::number::parse_i64(number).ok_or(InvalidKeys)?;
                let number = usize::try_from(number).map_err(|_| InvalidKeys)?;
                if number == 0 {
                    return Ok(None);
                }
                let first = first + offset;
                let span = (number - 1).checked_mul(step).ok_or(InvalidKeys)?;
                (first, first.checked_add(span).ok_or(InvalidKeys)?, step)
            }
        };
        if last >= args.len() || last < first {
            return Err(InvalidKeys);
        }
        Ok(Some((first..=last).step_by(step)))
    }
}

/// The arguments do not say where the keys are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidKeys;
