//! The log, in the line format of Redis, `pid:role time level message`, or in one of Valkey's.

use std::fmt::{self, Write as _};
use std::fs::OpenOptions;
use std::io::Write;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use ebb_config::{LogFormat, LogLevel, LogTimestampFormat};
use parking_lot::RwLock;
use tracing::field::{Field, Visit};
use tracing::span;
use tracing::{Event, Level, Metadata, Subscriber};

use crate::io::clock::{LocalTime, local_time};
use crate::io::syslog;

/// The threshold: 0 logs everything, 4 nothing.
static THRESHOLD: AtomicU8 = AtomicU8::new(2);
/// The file, or empty for standard output.
static PATH: RwLock<String> = RwLock::new(String::new());

/// How lines look, and the times in them.
static FORMATS: RwLock<(LogFormat, LogTimestampFormat)> =
    RwLock::new((LogFormat::Legacy, LogTimestampFormat::Legacy));

struct Lines;

/// Redis's level and its mark for each of tracing's.
fn level_of(level: &Level) -> (u8, char) {
    match *level {
        Level::TRACE => (0, '.'),
        Level::DEBUG => (1, '-'),
        Level::INFO => (2, '*'),
        Level::WARN | Level::ERROR => (3, '#'),
    }
}

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string cannot fail.
        let _ = if field.name() == "message" {
            write!(self.0, "{value:?}")
        } else {
            write!(self.0, " {}={value:?}", field.name())
        };
    }
}

/// A time as the log writes it: `21 Nov 2026 10:00:00.123`, `2026-11-21T10:00:00.123+01:00`, both
/// on the local calendar, or milliseconds since 1970.
fn timestamp(ms: u64, format: LogTimestampFormat, local: impl FnOnce(i64) -> LocalTime) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    if format == LogTimestampFormat::Milliseconds {
        return ms.to_string();
    }
    let LocalTime { year, month, day, hour, minute, second, offset_s } = local((ms / 1000) as i64);
    let clock = format!("{hour:02}:{minute:02}:{second:02}.{:03}", ms % 1000);
    if format == LogTimestampFormat::Legacy {
        return format!("{day:02} {} {year} {clock}", MONTHS[month]);
    }
    let sign = if offset_s < 0 { '-' } else { '+' };
    let offset = offset_s.unsigned_abs() / 60;
    let (hours, minutes) = (offset / 60, offset % 60);
    format!("{year}-{:02}-{day:02}T{clock}{sign}{hours:02}:{minutes:02}", month + 1)
}

/// One line, in a format of Valkey's (`log-format`).
fn line(format: LogFormat, time: &str, (level, mark): (u8, char), message: &str) -> String {
    let pid = std::process::id();
    let level = ["debug", "verbose", "notice", "warning"][usize::from(level)];
    match format {
        LogFormat::Legacy => format!("{pid}:M {time} {mark} {message}\n"),
        LogFormat::Logfmt => {
            let message = message.replace('"', "'").replace(['\r', '\n'], " ");
            format!(
                "pid={pid} role=primary timestamp=\"{time}\" level={level} message=\"{message}\"\n"
            )
        }
        LogFormat::Json => {
            let message = json_string(message);
            format!(
                "{{\"pid\":{pid},\"role\":\"primary\",\"timestamp\":\"{time}\",\"level\":\"{level}\",\
                 \"message\":{message}}}\n"
            )
        }
    }
}

fn json_string(text: &str) -> String {
    let mut json = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => json.extend(['\\', c]),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            // Writing to a string cannot fail.
            c if c < ' ' => drop(write!(json, "\\u{:04x}", u32::from(c))),
            c => json.push(c),
        }
    }
    json.push('"');
    json
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event()
            && level_of(metadata.level()).0 >= THRESHOLD.load(Ordering::Relaxed)
            && metadata.target().starts_with("ebb")
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        let level = level_of(event.metadata().level());
        let (format, times) = *FORMATS.read();
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let time = timestamp(since.as_millis() as u64, times, local_time);
        write_line(&line(format, &time, level, &message.0));
        syslog::write(level.0, &message.0);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

fn write_line(line: &str) {
    let path = PATH.read();
    // A log that cannot be written must not stop the server.
    let _ = if path.is_empty() {
        std::io::stdout().write_all(line.as_bytes())
    } else {
        let file = OpenOptions::new().create(true).append(true).open(&*path);
        file.and_then(|mut file| file.write_all(line.as_bytes()))
    };
}

/// Starts logging to a file, or to standard output if `path` is empty. Fails if the file
/// cannot be written.
pub fn start(path: &str, level: LogLevel) -> std::io::Result<()> {
    if !path.is_empty() {
        OpenOptions::new().create(true).append(true).open(path)?;
    }
    *PATH.write() = path.to_owned();
    set_level(level);
    // A second start in one process (tests) keeps the first subscriber: they are alike.
    let _ = tracing::subscriber::set_global_default(Lines);
    Ok(())
}

/// Changes the threshold.
pub fn set_level(level: LogLevel) {
    let threshold = match level {
        LogLevel::Debug => 0,
        LogLevel::Verbose => 1,
        LogLevel::Notice => 2,
        LogLevel::Warning => 3,
        LogLevel::Nothing => 4,
    };
    THRESHOLD.store(threshold, Ordering::Relaxed);
    tracing::callsite::rebuild_interest_cache();
}

/// Changes how lines look, and the times in them.
pub(crate) fn set_formats(lines: LogFormat, times: LogTimestampFormat) {
    *FORMATS.write() = (lines, times);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 22 November 2026, 19:28:56 in a zone 5.5 hours ahead, or 9.5 behind.
    fn place(offset_s: i64) -> impl Fn(i64) -> LocalTime {
        move |seconds| {
            assert_eq!(seconds, 1_795_355_936);
            let (hour, minute, second) = (19, 28, 56);
            LocalTime { year: 2026, month: 10, day: 22, hour, minute, second, offset_s }
        }
    }

    #[test]
    fn times_are_written_as_set() {
        let at = |format, offset_s| timestamp(1_795_355_936_007, format, place(offset_s));
        assert_eq!(at(LogTimestampFormat::Legacy, 19_800), "22 Nov 2026 19:28:56.007");
        assert_eq!(at(LogTimestampFormat::Iso8601, 19_800), "2026-11-22T19:28:56.007+05:30");
        assert_eq!(at(LogTimestampFormat::Iso8601, -34_200), "2026-11-22T19:28:56.007-09:30");
        assert_eq!(at(LogTimestampFormat::Milliseconds, 0), "1795355936007");
    }

    #[test]
    fn the_calendar_is_that_of_the_place() {
        let now = local_time(951_782_400);
        let minutes = i64::from(now.hour * 60 + now.minute);
        let days = match (now.month, now.day) {
            (1, 28) => -1,
            (1, 29) => 0,
            other => panic!("{other:?}"),
        };
        assert_eq!((days * 24 * 60 + minutes) * 60, now.offset_s, "midnight in UTC, leap day");
        assert_eq!((now.year, now.second), (2000, 0));
    }

    #[test]
    fn lines_are_read_by_machines() {
        let line = |format| line(format, "7", (3, '#'), "a \"b\"\nc\\\u{1}");
        let pid = std::process::id();
        assert_eq!(line(LogFormat::Legacy), format!("{pid}:M 7 # a \"b\"\nc\\\u{1}\n"));
        assert_eq!(
            line(LogFormat::Logfmt),
            format!(
                "pid={pid} role=primary timestamp=\"7\" level=warning message=\"a 'b' c\\\u{1}\"\n"
            )
        );
        assert_eq!(
            line(LogFormat::Json),
            format!(
                "{{\"pid\":{pid},\"role\":\"primary\",\"timestamp\":\"7\",\"level\":\"warning\","
            ) + r#""message":"a \"b\"\nc\\\u0001"}"#
                + "\n"
        );
    }
}
