//! Partitions: named parts of the keyspace with limits, deadlines and counters of their own.
//!
//! - [`registry`] knows which there are, and divides the databases among them.
//! - [`limits`] makes room in a partition before a command that may need memory, or refuses it.
//! - [`upkeep`] is what the maintenance thread does: keys are moved to their partitions, and
//!   what is over a limit that was lowered is evicted.
//! - [`deadlines`] gives keys the time to live that their partition says.
//!
//! While there are no partitions, each of these costs one relaxed load.

pub mod deadlines;
pub mod limits;
pub mod registry;
pub mod upkeep;

pub use limits::Quota;
pub use registry::{Partition, Partitions, Table};
