//! How many of the workers serve.
//!
//! While one worker is enough, one serves all connections: what is ready together runs together, no second
//! thread is woken for every few requests, and what a command needs is in the cache of one core. When the workers
//! that serve are busy nearly all of the time, twice as many do; when a command takes so long that others wait
//! for it, all do. When those that serve would have little to do without the last of them, it rests.
//! Each worker hands over what it has too many of while nothing of those connections is under way.
//!
//! What counts is time that a processor worked, not what passed on the clock: a worker whose processor was
//! lent to somebody else is not busy. Valkey 9 starts and rests its threads in the same way; with
//! `io-threads-always-active` all serve, always.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Thousandths of its time for which a worker works that has enough to do. One that is slower than what it
/// serves comes near 1000; with less to do, another would only take from it what it can do best.
pub const BUSY: u32 = 900;
/// The same for workers that have little to do.
const LITTLE: u32 = 500;
/// What another worker changes is seen only after this time.
const STEP: Duration = Duration::from_millis(50);
/// A worker that was needed is not sent to rest before.
const STAY: Duration = Duration::from_secs(2);
/// A second command that takes long within this time shows that the first was no exception.
const AGAIN: Duration = Duration::from_secs(1);
/// So long all workers serve after a command that took long.
const AWAKE: Duration = Duration::from_secs(10);

/// How many workers serve, and why.
#[derive(Debug)]
pub struct Spread {
    serving: AtomicUsize,
    /// Thousandths of its time for which each worker worked lately.
    busy: Box<[AtomicU32]>,
    times: Mutex<Times>,
}

#[derive(Debug, Default)]
struct Times {
    /// When the number changed last.
    changed: Option<Instant>,
    /// When a command took long last.
    long: Option<Instant>,
    /// Not fewer before.
    stay_until: Option<Instant>,
}

impl Spread {
    pub(crate) fn new(workers: usize) -> Spread {
        Spread {
            serving: AtomicUsize::new(1),
            busy: (0..workers).map(|_| AtomicU32::new(0)).collect(),
            times: Mutex::default(),
        }
    }

    /// How many serve: the first ones.
    #[inline]
    pub fn serving(&self) -> usize {
        self.serving.load(Ordering::Relaxed)
    }

    /// Notes for how many thousandths of its time a worker worked lately.
    pub fn note(&self, worker: usize, busy: u32) {
        self.busy[worker].store(busy, Ordering::Relaxed);
    }

    /// A worker has enough to do.
    pub fn ask_for_more(&self, now: Instant) {
        let mut times = self.times.lock();
        let is_settled = times.changed.is_none_or(|changed| now - changed >= STEP);
        if is_settled && self.serving() < self.busy.len() {
            self.change(&mut times, (self.serving() * 2).min(self.busy.len()), now);
        }
        times.stay_until = times.stay_until.max(Some(now + STAY));
    }

    /// A worker had a command for which others waited long.
    pub fn ask_for_all(&self, now: Instant) {
        let mut times = self.times.lock();
        let before = times.long.replace(now);
        if before.is_some_and(|before| now - before < AGAIN) {
            times.stay_until = Some(now + AWAKE);
            if self.serving() < self.busy.len() {
                self.change(&mut times, self.busy.len(), now);
            }
        }
    }

    /// Sends a worker to rest if those before it can do its work; called a few times a second.
    pub fn rest(&self, now: Instant) {
        let fewer = self.serving() - 1;
        let busy: u32 = self.busy.iter().map(|busy| busy.load(Ordering::Relaxed)).sum();
        if fewer == 0 || busy > LITTLE * fewer as u32 {
            return;
        }
        let mut times = self.times.lock();
        let is_settled = times.changed.is_none_or(|changed| now - changed >= STAY);
        if is_settled && times.stay_until.is_none_or(|until| now >= until) {
            self.change(&mut times, fewer, now);
        }
    }

    fn change(&self, times: &mut Times, serving: usize, now: Instant) {
        times.changed = Some(now);
        self.serving.store(serving, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn one_serves_until_it_has_enough_to_do() {
        let spread = Spread::new(5);
        let start = Instant::now();
        assert_eq!(spread.serving(), 1);
        spread.ask_for_more(start);
        assert_eq!(spread.serving(), 2);
        spread.ask_for_more(start + ms(10));
        assert_eq!(spread.serving(), 2, "what the second changes is not seen yet");
        spread.ask_for_more(start + ms(60));
        assert_eq!(spread.serving(), 4);
        spread.ask_for_more(start + ms(120));
        assert_eq!(spread.serving(), 5, "there are no more");
    }

    #[test]
    fn the_last_rests_when_the_others_can_do_its_work() {
        let spread = Spread::new(3);
        let start = Instant::now();
        spread.ask_for_more(start);
        spread.ask_for_more(start + ms(100));
        (0..3).for_each(|worker| spread.note(worker, 300));
        spread.rest(start + ms(1000));
        assert_eq!(spread.serving(), 3, "it was needed a moment ago");
        spread.rest(start + ms(2200));
        assert_eq!(spread.serving(), 2, "two can do what took three 300 each");
        spread.note(2, 0);
        spread.note(0, 400);
        spread.rest(start + ms(9000));
        assert_eq!(spread.serving(), 2, "one cannot do what takes two 400 and 300");
        spread.note(0, 100);
        spread.rest(start + ms(9000));
        assert_eq!(spread.serving(), 1);
        spread.rest(start + ms(90_000));
        assert_eq!(spread.serving(), 1, "somebody has to");
    }

    #[test]
    fn all_serve_while_commands_take_long() {
        let spread = Spread::new(4);
        let start = Instant::now();
        spread.ask_for_all(start);
        spread.ask_for_all(start + ms(1500));
        assert_eq!(spread.serving(), 1, "now and then nobody minds");
        spread.ask_for_all(start + ms(1600));
        assert_eq!(spread.serving(), 4);
        spread.rest(start + ms(11_000));
        assert_eq!(spread.serving(), 4);
        spread.rest(start + ms(11_700));
        assert_eq!(spread.serving(), 3);
        spread.rest(start + ms(12_000));
        assert_eq!(spread.serving(), 3, "one after the other");
    }
}
