//! The latency monitor: events that took longer than `latency-monitor-threshold`.

use std::collections::{BTreeMap, VecDeque};

use parking_lot::Mutex;

/// Seconds for which an event is remembered, at one sample a second.
const HISTORY_MAX: usize = 160;

/// The worst time of one second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LatencySample {
    /// Seconds since 1970.
    pub time_s: i64,
    /// Milliseconds.
    pub latency_ms: u64,
}

/// What is known of one event.
#[derive(Debug, Clone, Default)]
pub struct LatencyEvent {
    /// Oldest first.
    pub history: VecDeque<LatencySample>,
    /// The worst since the last reset, in milliseconds.
    pub max_ms: u64,
}

/// Events by name: "command", "fast-command", "expire-cycle", ...
#[derive(Debug, Default)]
pub struct LatencyMonitor(Mutex<BTreeMap<String, LatencyEvent>>);

impl LatencyMonitor {
    /// Adds a sample; the worst of a second stays.
    pub fn add(&self, event: &str, time_s: i64, latency_ms: u64) {
        let mut events = self.0.lock();
        let event = events.entry(event.to_owned()).or_default();
        event.max_ms = event.max_ms.max(latency_ms);
        if let Some(last) = event.history.back_mut()
            && last.time_s == time_s
        {
            last.latency_ms = last.latency_ms.max(latency_ms);
            return;
        }
        if event.history.len() == HISTORY_MAX {
            event.history.pop_front();
        }
        event.history.push_back(LatencySample { time_s, latency_ms });
    }

    /// A copy of all events.
    pub fn all(&self) -> BTreeMap<String, LatencyEvent> {
        self.0.lock().clone()
    }

    /// One event.
    pub fn get(&self, event: &str) -> Option<LatencyEvent> {
        self.0.lock().get(event).cloned()
    }

    /// Forgets one event; answers whether it was there.
    pub fn reset(&self, event: &str) -> bool {
        self.0.lock().remove(event).is_some()
    }

    /// Forgets all; answers how many there were.
    pub fn reset_all(&self) -> usize {
        std::mem::take(&mut *self.0.lock()).len()
    }
}
