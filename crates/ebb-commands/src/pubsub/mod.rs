//! Publish and subscribe.

use ebb_engine::CommandSpec;

mod container;
#[cfg(test)]
mod notifications;
mod publish;
mod subscribe;

/// The group's commands.
pub const COMMANDS: &[&CommandSpec] = &[
    &subscribe::PSUBSCRIBE,
    &publish::PUBLISH,
    &container::PUBSUB,
    &subscribe::PUNSUBSCRIBE,
    &publish::SPUBLISH,
    &subscribe::SSUBSCRIBE,
    &subscribe::SUBSCRIBE,
    &subscribe::SUNSUBSCRIBE,
    &subscribe::UNSUBSCRIBE,
];
