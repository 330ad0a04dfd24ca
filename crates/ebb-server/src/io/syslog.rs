//! The system's log, syslog(3).

use std::ffi::CString;
use std::sync::OnceLock;

use ebb_config::SyslogFacility;

/// What stands before every message. syslog(3) keeps a pointer to it.
static IDENT: OnceLock<CString> = OnceLock::new();

/// Opens the system's log. Before that `write` does nothing.
pub(crate) fn open(ident: &str, facility: SyslogFacility) {
    let facility = match facility {
        SyslogFacility::User => libc::LOG_USER,
        SyslogFacility::Local0 => libc::LOG_LOCAL0,
        SyslogFacility::Local1 => libc::LOG_LOCAL1,
        SyslogFacility::Local2 => libc::LOG_LOCAL2,
        SyslogFacility::Local3 => libc::LOG_LOCAL3,
        SyslogFacility::Local4 => libc::LOG_LOCAL4,
        SyslogFacility::Local5 => libc::LOG_LOCAL5,
        SyslogFacility::Local6 => libc::LOG_LOCAL6,
        SyslogFacility::Local7 => libc::LOG_LOCAL7,
    };
    let ident = IDENT.get_or_init(|| text(ident));
    // SAFETY: the ident ends with a zero byte and is never freed.
    unsafe {
        libc::openlog(ident.as_ptr(), libc::LOG_PID | libc::LOG_NDELAY | libc::LOG_NOWAIT, facility)
    };
}

/// Sends a message, if the log was opened. Levels are those of `loglevel`, from 0 (debug) to 3 (warning).
pub(crate) fn write(level: u8, message: &str) {
    const PRIORITIES: [i32; 4] =
        [libc::LOG_DEBUG, libc::LOG_INFO, libc::LOG_NOTICE, libc::LOG_WARNING];
    if IDENT.get().is_some() {
        let message = text(message);
        // SAFETY: both texts end with a zero byte, and the format takes one text.
        unsafe { libc::syslog(PRIORITIES[usize::from(level)], c"%s".as_ptr(), message.as_ptr()) };
    }
}

/// A text for C, up to its first zero byte.
fn text(text: &str) -> CString {
    let end = text.find('\0').unwrap_or(text.len());
    CString::new(&text[..end]).unwrap_or_default()
}
