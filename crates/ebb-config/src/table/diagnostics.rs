//! What is measured and kept to be looked at; crash reports; knobs for tests.

use std::sync::Arc;

use super::*;
use crate::directive::*;
use crate::special;

group! { after data::END;
    COMMANDLOG_EXECUTION_SLOWER_THAN: i64 =
        number("commandlog-execution-slower-than", "10000", -1, LONG_MAX).alias(&["slowlog-log-slower-than"]).rewritten_as("slowlog-log-slower-than");
    COMMANDLOG_SLOW_EXECUTION_MAX_LEN: u64 =
        number("commandlog-slow-execution-max-len", "128", 0, LONG_MAX).alias(&["slowlog-max-len"]).rewritten_as("slowlog-max-len");
    COMMANDLOG_REQUEST_LARGER_THAN: i64 =
        number("commandlog-request-larger-than", "1048576", -1, LONG_MAX);
    COMMANDLOG_LARGE_REQUEST_MAX_LEN: u64 =
        number("commandlog-large-request-max-len", "128", 0, LONG_MAX);
    COMMANDLOG_REPLY_LARGER_THAN: i64 = number("commandlog-reply-larger-than", "1048576", -1, LONG_MAX);
    COMMANDLOG_LARGE_REPLY_MAX_LEN: u64 = number("commandlog-large-reply-max-len", "128", 0, LONG_MAX);
    LATENCY_MONITOR_THRESHOLD: u64 =
        number("latency-monitor-threshold", "0", 0, LONG_MAX);
    LATENCY_TRACKING: bool = yes_no("latency-tracking", "yes");
    LATENCY_TRACKING_INFO_PERCENTILES: Arc<str> =
        special("latency-tracking-info-percentiles", "50 99 99.9", special::percentiles);
    CRASH_LOG_ENABLED: bool = yes_no("crash-log-enabled", "yes").tunes("crash reports");
    CRASH_MEMCHECK_ENABLED: bool = yes_no("crash-memcheck-enabled", "yes").tunes("crash reports");
    USE_EXIT_ON_PANIC: bool = yes_no("use-exit-on-panic", "no").hidden().tunes("crash reports");
    WATCHDOG_PERIOD: u32 =
        number("watchdog-period", "0", 0, INT_MAX).hidden().off("0", "no software watchdog");
}
