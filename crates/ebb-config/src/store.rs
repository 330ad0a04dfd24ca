//! The values at run time.
//!
//! Every directive has one slot with the text that `CONFIG GET` shows and, for numbers, booleans and words, the
//! same value as 64 bits. A hot reader of those pays one relaxed atomic load; a text costs a short read lock and
//! the clone of an `Arc`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

use crate::directive::{Id, Key};
use crate::id;
use crate::special::OutputBufferLimits;
use crate::table;
use crate::table::network::IO_THREADS_MAX;
use crate::users::UserLine;
use crate::value::{Kind, Parsed};

/// One directive's value as the store holds it.
pub struct Stored {
    bits: AtomicU64,
    text: RwLock<Arc<str>>,
    /// Has `CONFIG SET` ever changed it? Such values are what `CONFIG REWRITE` must not leave to an include.
    changed: AtomicBool,
}

impl Stored {
    pub(crate) fn bits(&self) -> u64 {
        // Relaxed: each value stands alone, and nothing else is published through it.
        self.bits.load(Ordering::Relaxed)
    }
}

/// A type that a directive's value is read as.
pub trait Value: Sized {
    /// Reads the value.
    fn load(stored: &Stored) -> Self;
    /// Can the type hold every value of this kind?
    fn fits(kind: &Kind) -> bool;
}

impl Value for bool {
    fn load(stored: &Stored) -> Self {
        stored.bits() != 0
    }

    fn fits(kind: &Kind) -> bool {
        matches!(kind, Kind::Bool)
    }
}

macro_rules! integers {
    ($($integer:ty),+) => { $(
        impl Value for $integer {
            fn load(stored: &Stored) -> Self {
                // Lossless: `fits` holds for every key, and the table's tests check it.
                stored.bits() as $integer
            }

            fn fits(kind: &Kind) -> bool {
                matches!(kind, Kind::Integer { min, max, .. }
                    if *min >= <$integer>::MIN as i128 && *max <= <$integer>::MAX as i128)
            }
        }
    )+ };
}

integers!(u16, u32, u64, i64);

/// A limit in bytes or as a part of `maxmemory`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryOrPercent {
    /// So many bytes.
    Bytes(u64),
    /// So many hundredths, from 1 to 100.
    Percent(u8),
}

impl Value for MemoryOrPercent {
    fn load(stored: &Stored) -> Self {
        let number = stored.bits() as i64;
        match u64::try_from(number) {
            Ok(bytes) => MemoryOrPercent::Bytes(bytes),
            // Lossless: the row's bounds keep percentages within 100.
            Err(_) => MemoryOrPercent::Percent(number.unsigned_abs().min(100) as u8),
        }
    }

    fn fits(kind: &Kind) -> bool {
        matches!(kind, Kind::Integer { min: -100, unit: crate::value::Unit::MemoryOrPercent, .. })
    }
}

impl Value for Arc<str> {
    fn load(stored: &Stored) -> Self {
        Arc::clone(&stored.text.read())
    }

    fn fits(kind: &Kind) -> bool {
        matches!(kind, Kind::Text(_) | Kind::Special(_))
    }
}

/// The configuration of a running server. Shared between threads; every method takes `&self`.
pub struct Config {
    slots: Box<[Stored]>,
    cores: usize,
    /// Held while values change, so that two `CONFIG SET` cannot interleave with each other or with a rewrite.
    pub(crate) changing: Mutex<()>,
    pub(crate) path: Option<PathBuf>,
    /// The files that it includes, in their canonical form.
    pub(crate) included: Vec<PathBuf>,
    pub(crate) renamed: Vec<(String, String)>,
    pub(crate) users: Mutex<Vec<UserLine>>,
}

/// Without the values: some are secrets, and a configuration ends up in logs.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Config {
    /// The defaults, on a machine of so many cores.
    pub fn new(cores: usize) -> Self {
        let slots = table::ids().map(|id| {
            let Parsed { text, bits } = default_of(id, cores);
            Stored {
                bits: AtomicU64::new(bits),
                text: RwLock::new(text.into()),
                changed: AtomicBool::new(false),
            }
        });
        Config {
            slots: slots.collect(),
            cores,
            changing: Mutex::new(()),
            path: None,
            included: Vec::new(),
            renamed: Vec::new(),
            users: Mutex::default(),
        }
    }

    /// The value of a directive: `config.get(id::MAXMEMORY)` is a `u64`.
    #[inline]
    pub fn get<T: Value>(&self, key: Key<T>) -> T {
        T::load(self.slot(key.id))
    }

    /// The value of any directive as `CONFIG GET` shows it.
    pub fn text(&self, id: Id) -> Arc<str> {
        Arc::clone(&self.slot(id).text.read())
    }

    /// The limits on output buffers, read from their text. For a hot path, keep the result and refresh it in the
    /// [`crate::Applier`].
    pub fn output_buffer_limits(&self) -> OutputBufferLimits {
        OutputBufferLimits::parse(&self.get(id::CLIENT_OUTPUT_BUFFER_LIMIT))
    }

    /// The percentiles to show for each command.
    pub fn latency_percentiles(&self) -> Vec<f64> {
        let text = self.get(id::LATENCY_TRACKING_INFO_PERCENTILES);
        text.split_whitespace().filter_map(|percentile| percentile.parse().ok()).collect()
    }

    /// The addresses to listen on. The flag is set for those written with `-`, which may be unavailable.
    pub fn bind_addresses(&self) -> Vec<(String, bool)> {
        let text = self.get(id::BIND);
        let address = |word: &str| match word.strip_prefix('-') {
            Some(address) => (address.to_owned(), true),
            None => (word.to_owned(), false),
        };
        text.split_whitespace().map(address).collect()
    }

    /// The pairs of `rename-command`, in order: a command and its new name, which is empty to disable it.
    pub fn renamed_commands(&self) -> &[(String, String)] {
        &self.renamed
    }

    /// The file that was read and that `CONFIG REWRITE` writes, as an absolute path.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Puts what the server found out in the place of a text, as for `dir` its absolute path. Nothing is checked
    /// and no hook is called.
    pub fn resolve(&self, key: Key<Arc<str>>, value: &str) {
        *self.slot(key.id).text.write() = value.into();
    }

    /// Puts what the system allows in the place of a number, as for `maxclients` under a limit on open files.
    pub fn resolve_number(&self, key: Key<u32>, value: u32) {
        self.store(key.id, &Parsed { text: value.to_string(), bits: u64::from(value) });
    }

    pub(crate) fn store(&self, id: Id, parsed: &Parsed) {
        let slot = self.slot(id);
        *slot.text.write() = parsed.text.as_str().into();
        slot.bits.store(parsed.bits, Ordering::Relaxed);
    }

    pub(crate) fn stored(&self, id: Id) -> Parsed {
        Parsed { text: self.text(id).as_ref().to_owned(), bits: self.slot(id).bits() }
    }

    pub(crate) fn mark_changed(&self, id: Id) {
        self.slot(id).changed.store(true, Ordering::Relaxed);
    }

    pub(crate) fn was_changed(&self, id: Id) -> bool {
        self.slot(id).changed.load(Ordering::Relaxed)
    }

    /// The value without any configuration.
    pub(crate) fn default_of(&self, id: Id) -> Parsed {
        default_of(id, self.cores)
    }

    fn slot(&self, id: Id) -> &Stored {
        &self.slots[usize::from(id.0)]
    }
}

fn default_of(place: Id, cores: usize) -> Parsed {
    let row = place.directive();
    if place == id::IO_THREADS.id() {
        let threads = cores.clamp(1, IO_THREADS_MAX);
        return Parsed { text: threads.to_string(), bits: threads as u64 };
    }
    // The table's tests read every default, so this cannot fail in a build that passed them.
    row.read_text("", row.default)
        .unwrap_or_else(|reason| unreachable!("the default of '{}': {reason}", row.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::{LogLevel, MaxmemoryPolicy};

    #[test]
    fn typed_values() {
        let config = Config::new(6);
        assert_eq!(config.get(id::PORT), 6379);
        assert_eq!(config.get(id::IO_THREADS), 6);
        assert_eq!(Config::new(1000).get(id::IO_THREADS), 128);
        assert!(config.get(id::PROTECTED_MODE));
        assert_eq!(config.get(id::PROTO_MAX_BULK_LEN), 512 << 20);
        assert_eq!(config.get(id::LOGLEVEL), LogLevel::Notice);
        assert_eq!(config.get(id::MAXMEMORY_POLICY), MaxmemoryPolicy::Noeviction);
        assert_eq!(config.get(id::LIST_MAX_LISTPACK_SIZE), -2);
        assert_eq!(config.get(id::MAXMEMORY_CLIENTS), MemoryOrPercent::Bytes(0));
        assert_eq!(&*config.get(id::SAVE), "");
        assert_eq!(config.bind_addresses(), [("*".to_owned(), false), ("::*".to_owned(), true)]);
        assert_eq!(config.latency_percentiles(), [50.0, 99.0, 99.9]);
        assert_eq!(config.output_buffer_limits().pubsub.soft_bytes, 8 << 20);
    }

    #[test]
    fn resolved_values() {
        let config = Config::new(1);
        config.resolve(id::DIR, "/data");
        config.resolve_number(id::MAXCLIENTS, 4064);
        assert_eq!(&*config.get(id::DIR), "/data");
        assert_eq!(config.get(id::MAXCLIENTS), 4064);
        assert_eq!(&*config.text(id::MAXCLIENTS.id()), "4064");
        config.resolve(id::REQUIREPASS, "secret");
        assert!(!format!("{config:?}").contains("secret"));
    }
}
