//! The process: where it runs, what it writes, how it ends.

use std::sync::Arc;

use super::*;
use crate::directive::*;
use crate::special;
use crate::words::*;

group! { after network::END;
    DAEMONIZE: bool = yes_no("daemonize", "no").immutable();
    SUPERVISED: Supervised = word::<Supervised>("supervised", "no").immutable();
    PIDFILE: Arc<str> = text("pidfile", "").immutable();
    // Resolved to an absolute path at start, as `CONFIG GET` shows it.
    DIR: Arc<str> = text("dir", ".").protected().denied_while_loading();
    DATABASES: u32 = number("databases", "16", 1, INT_MAX).immutable();
    HZ: u32 = number("hz", "10", 0, INT_MAX).clamp(1, 500).tunes("timer frequency");
    DYNAMIC_HZ: bool = yes_no("dynamic-hz", "yes").tunes("timer frequency");
    LOGLEVEL: LogLevel = word::<LogLevel>("loglevel", "notice");
    LOGFILE: Arc<str> = text("logfile", "").immutable();
    SYSLOG_ENABLED: bool = yes_no("syslog-enabled", "no").immutable();
    SYSLOG_IDENT: Arc<str> = text("syslog-ident", "redis").immutable();
    SYSLOG_FACILITY: SyslogFacility =
        word::<SyslogFacility>("syslog-facility", "local0").immutable();
    ALWAYS_SHOW_LOGO: bool = yes_no("always-show-logo", "no").immutable().tunes("logo");
    SET_PROC_TITLE: bool = yes_no("set-proc-title", "yes").immutable();
    PROC_TITLE_TEMPLATE: Arc<str> = checked(
        "proc-title-template",
        "{title} {listen-addr} {server-mode}",
        special::title_template,
    );
    LOCALE_COLLATE: Arc<str> = text("locale-collate", "");
    SHUTDOWN_TIMEOUT: u32 = number("shutdown-timeout", "10", 0, INT_MAX).tunes("replication");
    SHUTDOWN_ON_SIGINT: Arc<str> =
        special("shutdown-on-sigint", "default", special::shutdown_words).tunes("saving at shutdown");
    SHUTDOWN_ON_SIGTERM: Arc<str> =
        special("shutdown-on-sigterm", "default", special::shutdown_words).tunes("saving at shutdown");
    OOM_SCORE_ADJ: OomScoreAdj = word::<OomScoreAdj>("oom-score-adj", "no");
    OOM_SCORE_ADJ_VALUES: Arc<str> =
        special("oom-score-adj-values", "0 200 800", special::oom_score_adj_values);
    DISABLE_THP: bool = yes_no("disable-thp", "no").immutable();
    IGNORE_WARNINGS: Arc<str> = text("ignore-warnings", "").tunes("checks of the system at start");
    SERVER_CPULIST: Arc<str> =
        checked("server-cpulist", "", special::cpu_list).alias(&["server_cpulist"]).immutable();
    // The threads that do not serve clients.
    BIO_CPULIST: Arc<str> =
        checked("bio-cpulist", "", special::cpu_list).alias(&["bio_cpulist"]).immutable();
    AOF_REWRITE_CPULIST: Arc<str> = checked("aof-rewrite-cpulist", "", special::cpu_list)
        .alias(&["aof_rewrite_cpulist"])
        .immutable()
        .tunes("append-only file");
    BGSAVE_CPULIST: Arc<str> = checked("bgsave-cpulist", "", special::cpu_list)
        .alias(&["bgsave_cpulist"])
        .immutable()
        .tunes("snapshots");
    LOG_FORMAT: LogFormat = word::<LogFormat>("log-format", "legacy");
    LOG_TIMESTAMP_FORMAT: LogTimestampFormat =
        word::<LogTimestampFormat>("log-timestamp-format", "legacy");
    // Nothing that clients send is logged.
    HIDE_USER_DATA_FROM_LOG: bool = yes_no("hide-user-data-from-log", "yes").tunes("crash reports");
    AVAILABILITY_ZONE: Arc<str> = text("availability-zone", "");
    // Ebb always names itself as Valkey does with "yes".
    EXTENDED_REDIS_COMPATIBILITY: bool =
        yes_no("extended-redis-compatibility", "no").tunes("names of another server");
}
