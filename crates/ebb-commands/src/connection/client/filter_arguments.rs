//! What COMMAND DOCS tells of the filters of CLIENT LIST and CLIENT KILL.

use ebb_engine::Argument;

const TYPES: &[Argument] = &[
    Argument::word("normal", "NORMAL"),
    Argument::word("master", "MASTER"),
    Argument::word("primary", "PRIMARY"),
    Argument::word("slave", "SLAVE"),
    Argument::word("replica", "REPLICA"),
    Argument::word("pubsub", "PUBSUB"),
];

const fn text(name: &'static str, token: &'static str) -> Argument {
    Argument::string(name).after(token).optional()
}

const fn number(name: &'static str, token: &'static str) -> Argument {
    Argument::integer(name).after(token).optional()
}

/// All filters: those of Redis, those that Valkey added, and their opposites.
pub(super) const FILTERS: &[Argument] = &[
    number("client-id", "ID").multiple(),
    Argument::one_of("client-type", TYPES).after("TYPE").optional(),
    text("username", "USER"),
    text("addr", "ADDR"),
    text("laddr", "LADDR"),
    Argument::one_of("skipme", &[Argument::word("yes", "YES"), Argument::word("no", "NO")])
        .after("SKIPME")
        .optional(),
    number("maxage", "MAXAGE").since("7.4.0"),
    text("name", "NAME").since("8.1.0"),
    number("idle", "IDLE").since("8.1.0"),
    text("flags", "FLAGS").since("8.1.0"),
    text("lib-name", "LIB-NAME").since("8.1.0"),
    text("lib-ver", "LIB-VER").since("8.1.0"),
    number("db", "DB").since("8.1.0"),
    text("ip", "IP").since("8.1.0"),
    number("not-client-id", "NOT-ID").multiple().since("8.1.0"),
    Argument::one_of("not-client-type", TYPES).after("NOT-TYPE").optional().since("8.1.0"),
    text("not-username", "NOT-USER").since("8.1.0"),
    text("not-addr", "NOT-ADDR").since("8.1.0"),
    text("not-laddr", "NOT-LADDR").since("8.1.0"),
    text("not-name", "NOT-NAME").since("8.1.0"),
    text("not-flags", "NOT-FLAGS").since("8.1.0"),
    text("not-lib-name", "NOT-LIB-NAME").since("8.1.0"),
    text("not-lib-ver", "NOT-LIB-VER").since("8.1.0"),
    number("not-db", "NOT-DB").since("8.1.0"),
    text("not-ip", "NOT-IP").since("8.1.0"),
];
