//! Snapshots and the append-only file.

use std::sync::Arc;

use super::*;
use crate::directive::*;
use crate::special;
use crate::value::Unit::*;
use crate::words::*;

group! { after diagnostics::END;
    // Redis saves by itself unless told otherwise; Ebb has nothing to save with, so its default is not to.
    SAVE: Arc<str> = special("save", "", special::save).appends().off("", "no snapshots");
    DBFILENAME: Arc<str> = checked("dbfilename", "dump.rdb", special::db_filename).protected().tunes("snapshots");
    RDBCHECKSUM: bool = yes_no("rdbchecksum", "yes").immutable().tunes("snapshots");
    RDBCOMPRESSION: bool = yes_no("rdbcompression", "yes").tunes("snapshots");
    RDB_DEL_SYNC_FILES: bool = yes_no("rdb-del-sync-files", "no").tunes("snapshots");
    RDB_SAVE_INCREMENTAL_FSYNC: bool = yes_no("rdb-save-incremental-fsync", "yes").tunes("snapshots");
    RDB_KEY_SAVE_DELAY: i64 =
        number("rdb-key-save-delay", "0", -INT_MAX - 1, INT_MAX).hidden().tunes("snapshots");
    KEY_LOAD_DELAY: i64 = number("key-load-delay", "0", -INT_MAX - 1, INT_MAX).hidden().tunes("snapshots");
    LOADING_PROCESS_EVENTS_INTERVAL_BYTES: u64 =
        sized("loading-process-events-interval-bytes", "2mb", Memory, 1024, INT_MAX).hidden().tunes("snapshots");
    SANITIZE_DUMP_PAYLOAD: SanitizeDumpPayload =
        word::<SanitizeDumpPayload>("sanitize-dump-payload", "no").tunes("snapshots");
    STOP_WRITES_ON_BGSAVE_ERROR: bool = yes_no("stop-writes-on-bgsave-error", "yes").tunes("snapshots");
    APPENDONLY: bool = yes_no("appendonly", "no").denied_while_loading().off("no", "no append-only file");
    APPENDFILENAME: Arc<str> =
        checked("appendfilename", "appendonly.aof", special::append_filename).immutable().tunes("append-only file");
    APPENDDIRNAME: Arc<str> =
        checked("appenddirname", "appendonlydir", special::append_dirname).immutable().tunes("append-only file");
    APPENDFSYNC: Appendfsync = word::<Appendfsync>("appendfsync", "everysec").tunes("append-only file");
    NO_APPENDFSYNC_ON_REWRITE: bool = yes_no("no-appendfsync-on-rewrite", "no").tunes("append-only file");
    AUTO_AOF_REWRITE_PERCENTAGE: u32 =
        number("auto-aof-rewrite-percentage", "100", 0, INT_MAX).tunes("append-only file");
    AUTO_AOF_REWRITE_MIN_SIZE: u64 =
        sized("auto-aof-rewrite-min-size", "64mb", Memory, 0, LONG_MAX).tunes("append-only file");
    AOF_LOAD_TRUNCATED: bool = yes_no("aof-load-truncated", "yes").tunes("append-only file");
    AOF_USE_RDB_PREAMBLE: bool = yes_no("aof-use-rdb-preamble", "yes").tunes("append-only file");
    AOF_TIMESTAMP_ENABLED: bool = yes_no("aof-timestamp-enabled", "no").tunes("append-only file");
    AOF_REWRITE_INCREMENTAL_FSYNC: bool =
        yes_no("aof-rewrite-incremental-fsync", "yes").tunes("append-only file");
    AOF_DISABLE_AUTO_GC: bool = yes_no("aof-disable-auto-gc", "no").tunes("append-only file");
    // How RESTORE takes payloads of versions that are not known.
    RDB_VERSION_CHECK: RdbVersionCheck = word::<RdbVersionCheck>("rdb-version-check", "strict");
}
