//! Whether a worker sleeps a little before it asks for events again.
//!
//! When many clients each wait for a reply before they send the next request, their requests come
//! one by one, some microseconds apart, and a worker that takes each as it comes is put to sleep
//! and woken for nearly every one: the kernel's work for that costs several times what the
//! request does. Network cards have the same trouble with interrupts, and the same remedy is
//! used here (interrupt coalescing): the worker sleeps for a fixed time and then takes all that
//! has come. Requests that are taken together also wait for memory together; see `group`.
//!
//! It sleeps only where nobody is worse off: when requests come fast, from many clients, and the
//! last round found few of them, so that the worker is not behind. By Little's law a client waits
//! for (clients / events a second) between two of its requests. The sleep is at most a small part
//! of that, so that a few clients, whose round trips it would lengthen, never meet it.

use std::time::{Duration, Instant};

/// Rounds after which the load is judged anew.
const ROUNDS: u32 = 64;
/// A round that found as many events has enough: what waits for it is not made to wait longer.
const EVENTS_ENOUGH: u32 = 8;
/// Fewer events in a millisecond leave the worker idle most of the time anyway.
const EVENTS_A_MS_MIN: u128 = 25;
/// The sleep is at most this part of the time between two requests of a client.
const PART_OF_WAIT: u32 = 8;
/// A shorter sleep costs more than it saves.
const SLEEP_MIN: Duration = Duration::from_micros(10);

/// The events of the last rounds, and what follows from them.
pub(super) struct Coalescing {
    /// The number of this window of rounds, for telling who was counted in it.
    window: u32,
    since: Instant,
    rounds: u32,
    events: u32,
    clients: u32,
    /// Events in this round.
    found: u32,
    /// How long a sleep would be within the load of the last window.
    pays: Option<Duration>,
}

impl Coalescing {
    pub(super) fn new() -> Coalescing {
        let since = Instant::now();
        Coalescing { window: 1, since, rounds: 0, events: 0, clients: 0, found: 0, pays: None }
    }

    /// Counts an event of a client; `counted_in` is the client's own note of its last window.
    #[inline]
    pub(super) fn count(&mut self, counted_in: &mut u32) {
        self.found += 1;
        if *counted_in != self.window {
            *counted_in = self.window;
            self.clients += 1;
        }
    }

    /// Ends a round. How long to sleep before the next, if at all; never longer than `limit`.
    #[inline]
    pub(super) fn end_round(
        &mut self,
        limit: Duration,
        now: impl FnOnce() -> Instant,
    ) -> Option<Duration> {
        let found = std::mem::take(&mut self.found);
        self.events += found;
        self.rounds += 1;
        if self.rounds == ROUNDS {
            self.judge(now());
        }
        if !(1..EVENTS_ENOUGH).contains(&found) {
            return None;
        }
        self.pays.map(|pays| pays.min(limit)).filter(|sleep| *sleep >= SLEEP_MIN)
    }

    fn judge(&mut self, now: Instant) {
        self.pays = pays(self.clients, self.events, now - self.since);
        self.since = now;
        self.window = self.window.wrapping_add(1);
        (self.rounds, self.events, self.clients) = (0, 0, 0);
    }
}

/// The longest sleep that pays when so many clients caused so many events in this time.
fn pays(clients: u32, events: u32, took: Duration) -> Option<Duration> {
    if u128::from(events) * 1000 < EVENTS_A_MS_MIN * took.as_micros() {
        return None;
    }
    let between_requests = took * clients / events.max(1);
    Some(between_requests / PART_OF_WAIT).filter(|sleep| *sleep >= SLEEP_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said after a window in which each of `clients` has come in turn, `found` a round.
    fn after_a_window(clients: u32, found: u32, a_ms: u32, limit: Duration) -> Option<Duration> {
        let mut coalescing = Coalescing::new();
        let took = Duration::from_secs(1) * ROUNDS * found / (a_ms * 1000);
        let end = coalescing.since + took;
        let mut notes = vec![0; clients as usize];
        let mut turns = (0..clients as usize).cycle();
        let mut round = |coalescing: &mut Coalescing| {
            for at in turns.by_ref().take(found as usize) {
                coalescing.count(&mut notes[at]);
            }
            coalescing.end_round(limit, || end)
        };
        for _ in 1..ROUNDS {
            assert_eq!(round(&mut coalescing), None, "nothing is known yet");
        }
        round(&mut coalescing)
    }

    const LIMIT: Duration = Duration::from_micros(50);

    #[test]
    fn a_few_clients_are_answered_at_once() {
        assert_eq!(after_a_window(1, 1, 80, LIMIT), None);
        assert_eq!(after_a_window(4, 1, 80, LIMIT), None);
    }

    #[test]
    fn many_clients_that_ask_often_are_answered_together() {
        assert_eq!(after_a_window(50, 1, 80, LIMIT), Some(LIMIT));
        let of_sixteen = after_a_window(16, 2, 80, LIMIT).expect("sixteen are enough");
        assert!((SLEEP_MIN..LIMIT).contains(&of_sixteen), "{of_sixteen:?}");
    }

    #[test]
    fn nobody_waits_for_requests_that_seldom_come() {
        assert_eq!(after_a_window(50, 1, 10, LIMIT), None);
    }

    #[test]
    fn a_worker_that_is_behind_does_not_sleep() {
        assert_eq!(after_a_window(50, EVENTS_ENOUGH, 80, LIMIT), None);
    }

    #[test]
    fn the_setting_turns_it_off() {
        assert_eq!(after_a_window(50, 1, 80, Duration::ZERO), None);
    }

    #[test]
    fn a_round_without_events_is_followed_by_waiting_for_them() {
        assert_eq!(after_a_window(50, 1, 80, LIMIT), Some(LIMIT));
        let mut coalescing = Coalescing::new();
        coalescing.pays = Some(LIMIT);
        assert_eq!(coalescing.end_round(LIMIT, Instant::now), None);
    }
}
