//! How many of the workers serve.
//!
//! While one worker is enough, one serves all connections: what is ready together runs together, no second
//! thread is woken for every few requests, and what a command needs is in the cache of one core. When a worker
//! that serves is busy nearly all of the time, twice as many are tried; unless they get more done, the
//! others rest again: where the clients or the processors are the limit, more threads only cost more. When a command
//! takes so long that others wait for it, all serve; when those that serve would have little to do
//! without the last of them, it rests. Each worker hands over what it has too many of while nothing of those
//! connections is under way.
//!
//! What counts is time that a processor worked, not what passed on the clock: a worker whose processor was
//! lent to somebody else is not busy. Valkey starts and rests its threads by their processor time, too; with
//! `io-threads-always-active` all serve, always.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Thousandths of its time for which a worker works that has enough to do. One that is slower than what it
/// serves comes near 1000; with less to do, another would only take from it what it can do best.
pub const BUSY: u32 = 900;
/// The same for workers that have little to do.
const LITTLE: u32 = 500;
/// Connections have moved after this time.
const SETTLED: Duration = Duration::from_millis(100);
/// How long it is counted what more workers get done.
const TRIAL: Duration = Duration::from_millis(400);
/// Twice as many workers that get less than this done, as part of what was done before, are not worth it.
const WORTH: f64 = 1.1;
/// After a trial that was not worth it the next begins no sooner.
const CONTENT: Duration = Duration::from_secs(10);
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
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// When the number changed last.
    changed: Option<Instant>,
    trial: Option<Trial>,
    /// No trial before.
    content_until: Option<Instant>,
    /// When a command took long last.
    long: Option<Instant>,
    /// Not fewer before.
    stay_until: Option<Instant>,
}

/// Twice as many workers serve, to see what they get done.
#[derive(Debug)]
struct Trial {
    began: Instant,
    /// How many served before, and how many commands a second they ran.
    before: usize,
    rate: f64,
    /// When counting began, and the commands run by then.
    counted_from: Option<(Instant, u64)>,
}

impl Spread {
    pub(crate) fn new(workers: usize) -> Spread {
        Spread {
            serving: AtomicUsize::new(1),
            busy: (0..workers).map(|_| AtomicU32::new(0)).collect(),
            state: Mutex::default(),
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

    /// A worker has had enough to do for a while, in which all workers ran `rate` commands a second.
    pub fn ask_for_more(&self, now: Instant, rate: f64) {
        let (before, workers) = (self.serving(), self.busy.len());
        let mut state = self.state.lock();
        let is_content = state.content_until.is_some_and(|until| now < until);
        if before < workers && state.trial.is_none() && !is_content {
            state.trial = Some(Trial { began: now, before, rate, counted_from: None });
            self.change(&mut state, (before * 2).min(workers), now);
        }
    }

    /// Goes on with a trial, if there is one; `commands` have been run up to now.
    pub fn look_at_trial(&self, now: Instant, commands: u64) {
        let mut state = self.state.lock();
        let Some(Trial { began, before, rate, counted_from }) = &mut state.trial else { return };
        match *counted_from {
            None if now - *began >= SETTLED => *counted_from = Some((now, commands)),
            Some((since, by_then)) if now - since >= TRIAL => {
                let run = commands.saturating_sub(by_then) as f64;
                let is_worth_it = run / (now - since).as_secs_f64() >= *rate * WORTH;
                let before = *before;
                state.trial = None;
                if !is_worth_it {
                    state.content_until = Some(now + CONTENT);
                    self.change(&mut state, before, now);
                }
            }
            _ => {}
        }
    }

    /// A worker had a command for which others waited long.
    pub fn ask_for_all(&self, now: Instant) {
        let mut state = self.state.lock();
        let before = state.long.replace(now);
        if before.is_some_and(|before| now - before < AGAIN) {
            state.stay_until = Some(now + AWAKE);
            state.trial = None;
            if self.serving() < self.busy.len() {
                self.change(&mut state, self.busy.len(), now);
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
        let mut state = self.state.lock();
        let is_settled = state.changed.is_none_or(|changed| now - changed >= STAY);
        let may_rest = state.stay_until.is_none_or(|until| now >= until);
        if is_settled && may_rest && state.trial.is_none() {
            self.change(&mut state, fewer, now);
        }
    }

    fn change(&self, state: &mut State, serving: usize, now: Instant) {
        state.changed = Some(now);
        self.serving.store(serving, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// A trial that runs so many commands a second, asked for at 1,000; answers when it is over.
    fn tried(spread: &Spread, start: Instant, rate: u64) -> Instant {
        spread.ask_for_more(start, 1000.0);
        spread.look_at_trial(start + ms(20), 20);
        spread.look_at_trial(start + ms(120), 500);
        spread.ask_for_more(start + ms(300), 1000.0);
        spread.look_at_trial(start + ms(400), 700);
        spread.look_at_trial(start + ms(1120), 500 + rate);
        start + ms(1120)
    }

    #[test]
    fn twice_as_many_serve_while_they_get_more_done() {
        let spread = Spread::new(5);
        assert_eq!(spread.serving(), 1);
        let mut now = Instant::now();
        for serving in [2, 4, 5, 5] {
            now = tried(&spread, now, 1200);
            assert_eq!(spread.serving(), serving);
        }
    }

    #[test]
    fn who_gets_no_more_done_rests_again() {
        let spread = Spread::new(4);
        let start = Instant::now();
        let end = tried(&spread, start, 1050);
        assert_eq!(spread.serving(), 1);
        spread.ask_for_more(end + ms(9000), 1000.0);
        assert_eq!(spread.serving(), 1, "it was tried a moment ago");
        spread.ask_for_more(end + ms(11_000), 1000.0);
        assert_eq!(spread.serving(), 2);
    }

    #[test]
    fn the_last_rests_when_the_others_can_do_its_work() {
        let spread = Spread::new(3);
        let start = Instant::now();
        let now = tried(&spread, start, 2000);
        let now = tried(&spread, now, 2000);
        (0..3).for_each(|worker| spread.note(worker, 300));
        spread.rest(now - ms(200));
        assert_eq!(spread.serving(), 3, "it was needed a moment ago");
        spread.rest(now + ms(2000));
        assert_eq!(spread.serving(), 2, "two can do what took three 300 each");
        spread.note(2, 0);
        spread.note(0, 400);
        spread.rest(now + ms(9000));
        assert_eq!(spread.serving(), 2, "one cannot do what takes two 400 and 300");
        spread.note(0, 100);
        spread.rest(now + ms(9000));
        assert_eq!(spread.serving(), 1);
        spread.rest(now + ms(90_000));
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
