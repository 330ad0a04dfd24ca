//! Sets of named flags.

macro_rules! bits {
    ($(#[$meta:meta])* $name:ident: $repr:ty { $($(#[$doc:meta])* $flag:ident = $word:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct $name($repr);

        impl $name {
            /// None of them.
            pub const NONE: $name = $name(0);
            bits!(@consts $name, $repr, 0, $($(#[$doc])* $flag,)*);
            const ALL: &'static [($name, &'static str)] = &[$(($name::$flag, $word),)*];

            /// Whether all of `other` are set.
            #[inline]
            pub const fn has(self, other: $name) -> bool {
                self.0 & other.0 == other.0
            }

            /// Whether any of `other` is set.
            pub const fn any(self, other: $name) -> bool {
                self.0 & other.0 != 0
            }

            /// These and `other`, also in constants.
            pub const fn and(self, other: $name) -> $name {
                $name(self.0 | other.0)
            }

            /// The names of those that are set, in order.
            pub fn names(self) -> impl Iterator<Item = &'static str> {
                Self::ALL.iter().filter(move |(flag, _)| self.has(*flag)).map(|(_, word)| *word)
            }

            /// The one with a name, in any case.
            pub fn named(name: &[u8]) -> Option<$name> {
                let mut all = Self::ALL.iter();
                all.find(|(_, word)| word.as_bytes().eq_ignore_ascii_case(name)).map(|(flag, _)| *flag)
            }

            /// All names.
            pub fn all_names() -> impl Iterator<Item = &'static str> {
                Self::ALL.iter().map(|(_, word)| *word)
            }
        }

        impl std::ops::BitOr for $name {
            type Output = $name;

            fn bitor(self, other: $name) -> $name {
                self.and(other)
            }
        }
    };
    (@consts $name:ident, $repr:ty, $n:expr, $(#[$doc:meta])* $flag:ident, $($rest:tt)*) => {
        $(#[$doc])*
        pub const $flag: $name = $name(1 << $n);
        bits!(@consts $name, $repr, $n + 1, $($rest)*);
    };
    (@consts $name:ident, $repr:ty, $n:expr,) => {};
}

pub(crate) use bits;
