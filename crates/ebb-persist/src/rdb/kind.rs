//! The bytes that name a type of value.

/// A string.
pub const STRING: u8 = 0;
/// A list of strings.
pub const LIST: u8 = 1;
/// A set of strings.
pub const SET: u8 = 2;
/// A sorted set with scores as text.
pub const SORTED_SET_TEXT: u8 = 3;
/// A hash.
pub const HASH: u8 = 4;
/// A sorted set with binary scores.
pub const SORTED_SET: u8 = 5;
/// A hash in a zipmap.
pub const HASH_ZIPMAP: u8 = 9;
/// A list in a ziplist.
pub const LIST_ZIPLIST: u8 = 10;
/// A set of integers.
pub const SET_INTSET: u8 = 11;
/// A sorted set in a ziplist.
pub const SORTED_SET_ZIPLIST: u8 = 12;
/// A hash in a ziplist.
pub const HASH_ZIPLIST: u8 = 13;
/// A list of ziplists.
pub const LIST_OF_ZIPLISTS: u8 = 14;
/// A stream of Redis 5.
pub const STREAM_1: u8 = 15;
/// A hash in a listpack.
pub const HASH_LISTPACK: u8 = 16;
/// A sorted set in a listpack.
pub const SORTED_SET_LISTPACK: u8 = 17;
/// A list of listpacks and long items.
pub const LIST_OF_LISTPACKS: u8 = 18;
/// A stream of Redis 7.0.
pub const STREAM_2: u8 = 19;
/// A set in a listpack.
pub const SET_LISTPACK: u8 = 20;
/// A stream of Redis 7.2.
pub const STREAM_3: u8 = 21;
/// A hash with deadlines of fields: as Valkey 9 writes it from version 80 on, and before as previews of Redis
/// 7.4 wrote it.
pub const HASH_DEADLINES_22: u8 = 22;
/// The same in a listpack, of previews of Redis 7.4.
pub const HASH_DEADLINES_23: u8 = 23;
/// A hash with deadlines of fields, of Redis 7.4.
pub const HASH_DEADLINES: u8 = 24;
/// The same in a listpack.
pub const HASH_DEADLINES_LISTPACK: u8 = 25;

/// The name of a type in messages.
pub fn name_of(kind: u8) -> &'static str {
    match kind {
        STRING => "String",
        LIST => "List",
        SET => "Set",
        SORTED_SET_TEXT | SORTED_SET => "Zset",
        HASH => "Hash",
        HASH_ZIPMAP => "Zipmap",
        LIST_ZIPLIST => "List ziplist",
        SET_INTSET => "Intset",
        SORTED_SET_ZIPLIST => "Zset ziplist",
        HASH_ZIPLIST => "Hash ziplist",
        LIST_OF_ZIPLISTS => "Quicklist ziplist",
        HASH_LISTPACK => "Hash listpack",
        SORTED_SET_LISTPACK => "Zset listpack",
        LIST_OF_LISTPACKS => "Quicklist listpack",
        SET_LISTPACK => "Set listpack",
        STREAM_1 | STREAM_2 | STREAM_3 => "Stream listpack",
        HASH_DEADLINES_22 | HASH_DEADLINES => "Hash with deadlines",
        HASH_DEADLINES_23 | HASH_DEADLINES_LISTPACK => "Hash listpack with deadlines",
        _ => "Unknown type",
    }
}
