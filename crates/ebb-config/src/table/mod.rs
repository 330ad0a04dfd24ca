//! The table of every directive, by group, and the lookup by name.
//!
//! Names, defaults and bounds are those of Redis 7.2; where Ebb differs, the row says why.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::directive::{Directive, Id};

/// Declares one group: a typed key for each row, and the rows. `after` is the number of rows in earlier groups.
macro_rules! group {
    (after $start:expr; $( $key:ident: $value:ty = $row:expr; )+) => {
        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        enum Place { $($key,)+ End }

        /// How many rows there are up to the end of this group.
        pub(crate) const END: usize = $start + Place::End as usize;

        /// The rows, in the order of their keys.
        pub(crate) const ROWS: &[$crate::directive::Directive] = &[$($row),+];

        $(
            #[doc = concat!("The value of the directive `", stringify!($key), "` (with `-` and in lower case).")]
            pub const $key: $crate::directive::Key<$value> =
                $crate::directive::Key::new($start + Place::$key as usize);
        )+

        /// Does each key's type hold every value that its row accepts?
        #[cfg(test)]
        pub(crate) fn misfits() -> Vec<&'static str> {
            let mut misfits = Vec::new();
            $(
                if !<$value as $crate::store::Value>::fits(&$key.id().directive().kind) {
                    misfits.push($key.id().name());
                }
                if stringify!($key).to_ascii_lowercase().replace('_', "-") != $key.id().name() {
                    misfits.push(stringify!($key));
                }
            )+
            misfits
        }
    };
}

pub(crate) mod cluster;
pub(crate) mod data;
pub(crate) mod diagnostics;
pub(crate) mod general;
pub(crate) mod memory;
pub(crate) mod network;
pub(crate) mod persistence;
pub(crate) mod replication;
pub(crate) mod security;
pub(crate) mod tls;

const GROUPS: [&[Directive]; 10] = [
    network::ROWS,
    general::ROWS,
    security::ROWS,
    memory::ROWS,
    data::ROWS,
    diagnostics::ROWS,
    persistence::ROWS,
    replication::ROWS,
    cluster::ROWS,
    tls::ROWS,
];

/// The largest value of C's `int`, of `unsigned int`, and of the 64-bit types.
const INT_MAX: i128 = i32::MAX as i128;
const UINT_MAX: i128 = u32::MAX as i128;
const LONG_MAX: i128 = i64::MAX as i128;
const ULONG_MAX: i128 = u64::MAX as i128;

static TABLE: LazyLock<Vec<Directive>> = LazyLock::new(|| GROUPS.concat());

static NAMES: LazyLock<HashMap<&'static str, Id>> = LazyLock::new(|| {
    ids().flat_map(|id| id.directive().names().map(move |name| (name, id))).collect()
});

/// The row of a directive.
pub(crate) fn row(id: Id) -> &'static Directive {
    &TABLE[usize::from(id.0)]
}

/// Every directive, in the order of the table.
pub fn ids() -> impl Iterator<Item = Id> {
    (0..tls::END).map(|place| Id(place as u16))
}

/// Finds a directive by its name or an alias, in any case. Also gives the name in lower case.
pub fn find(name: &str) -> Option<(Id, &'static str)> {
    let name = name.to_ascii_lowercase();
    NAMES.get_key_value(name.as_str()).map(|(name, id)| (*id, *name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directive::Feature;
    use std::collections::HashSet;

    /// What `CONFIG GET *` of Redis 7.0.15 lists, with the values it shows when started with `--save ""`.
    const REDIS_7_0_15: &str = include_str!("redis-7.0.15.tsv");
    /// What Valkey 9.1.2 or Redis 8.0.6 lists besides.
    const LATER: &str = include_str!("valkey-9.1.2-redis-8.0.6.tsv");

    #[test]
    fn every_directive_of_redis_is_here_with_its_default() {
        let mut names = 0;
        for line in REDIS_7_0_15.lines().chain(LATER.lines()) {
            let (name, default) = line.split_once('\t').expect("a name, a tab, a default");
            let (id, _) = find(name).unwrap_or_else(|| panic!("{name} is missing"));
            let default = match name {
                // Huge pages cost Redis dearly where it forks; Ebb does not.
                "disable-thp" => "no",
                // Moving is cheap: it is on, and begins early.
                "activedefrag" => "yes",
                "active-defrag-threshold-lower" => "5",
                "active-defrag-ignore-bytes" => "1048576",
                _ => default,
            };
            assert_eq!(shown_default(id), default, "{name}");
            names += 1;
        }
        assert_eq!(names, 192 + 51);
    }

    fn shown_default(id: Id) -> String {
        let row = id.directive();
        row.read_text("", row.default)
            .unwrap_or_else(|reason| panic!("{}: {reason}", row.name))
            .text
    }

    #[test]
    fn names_are_unique_and_in_lower_case() {
        let mut seen = HashSet::new();
        for name in ids().flat_map(|id| id.directive().names()) {
            assert!(seen.insert(name), "{name} is there twice");
            assert_eq!(name, name.to_ascii_lowercase());
        }
        for row in TABLE.iter() {
            assert!(row.names().any(|name| name == row.rewritten_as), "{}", row.name);
        }
        assert_eq!(TABLE.len(), tls::END);
        assert!(TABLE.len() < usize::from(u16::MAX));
    }

    #[test]
    fn what_is_off_is_off_by_default() {
        for id in ids() {
            if let Feature::Off { value, lacks } = id.directive().feature {
                assert_eq!(shown_default(id), value, "{}", id.name());
                assert!(lacks.starts_with("no "), "{lacks}");
            }
        }
    }

    #[test]
    fn keys_have_the_type_and_the_name_of_their_rows() {
        let misfits: Vec<&str> = [
            network::misfits(),
            general::misfits(),
            security::misfits(),
            memory::misfits(),
            data::misfits(),
            diagnostics::misfits(),
            persistence::misfits(),
            replication::misfits(),
            cluster::misfits(),
            tls::misfits(),
        ]
        .concat();
        assert_eq!(misfits, Vec::<&str>::new());
    }
}
