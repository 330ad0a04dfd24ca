//! The log, in the line format of Redis: `pid:role time level message`.

use std::fmt::{self, Write as _};
use std::fs::OpenOptions;
use std::io::Write;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use ebb_config::LogLevel;
use parking_lot::RwLock;
use tracing::field::{Field, Visit};
use tracing::span;
use tracing::{Event, Level, Metadata, Subscriber};

/// The threshold: 0 logs everything, 4 nothing.
static THRESHOLD: AtomicU8 = AtomicU8::new(2);
/// The file, or empty for standard output.
static PATH: RwLock<String> = RwLock::new(String::new());

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

/// `21 Nov 2026 10:00:00.123`, in UTC.
fn timestamp(time: SystemTime) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs();
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let month = MONTHS[month - 1];
    let ms = since.subsec_millis();
    format!("{day:02} {month} {year} {hour:02}:{minute:02}:{second:02}.{ms:03}")
}

/// Year, month and day of a number of days since 1970 (after Hinnant, "chrono-compatible
/// low-level date algorithms").
fn civil(days: u64) -> (u64, usize, u64) {
    let z = days + 719_468;
    let era = z / 146_097;
    let day_of_era = z % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month as usize, day)
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
        let mark = level_of(event.metadata().level()).1;
        let time = timestamp(SystemTime::now());
        write_line(&format!("{}:M {time} {mark} {}\n", std::process::id(), message.0));
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        let at = |seconds: u64| timestamp(UNIX_EPOCH + Duration::from_millis(seconds * 1000 + 7));
        assert_eq!(at(0), "01 Jan 1970 00:00:00.007");
        assert_eq!(at(951_782_399), "28 Feb 2000 23:59:59.007");
        assert_eq!(at(951_782_400), "29 Feb 2000 00:00:00.007");
        assert_eq!(at(1_795_312_736), "22 Nov 2026 01:58:56.007");
    }
}
