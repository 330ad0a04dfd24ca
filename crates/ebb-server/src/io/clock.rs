//! The calendar of the place where the server runs.

/// A point in time on the local calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LocalTime {
    pub(crate) year: i64,
    /// 0 is January.
    pub(crate) month: usize,
    /// 1 is the first of the month.
    pub(crate) day: i32,
    pub(crate) hour: i32,
    pub(crate) minute: i32,
    pub(crate) second: i32,
    /// Ahead of UTC by so many seconds.
    pub(crate) offset_s: i64,
}

/// What the clock on the wall shows so many seconds after 1970 began in UTC.
pub(crate) fn local_time(seconds: i64) -> LocalTime {
    // SAFETY: all zeros is a valid `tm`, into which `localtime_r` writes; whether it does or
    // fails for want of a representable year, the structure is valid. Its first call reads TZ,
    // which nothing in this process changes.
    let tm = unsafe {
        let mut tm: libc::tm = std::mem::zeroed();
        libc::localtime_r(&seconds, &mut tm);
        tm
    };
    LocalTime {
        year: i64::from(tm.tm_year) + 1900,
        month: tm.tm_mon as usize,
        day: tm.tm_mday,
        hour: tm.tm_hour,
        minute: tm.tm_min,
        second: tm.tm_sec,
        offset_s: tm.tm_gmtoff,
    }
}
