//! How much a worker has to do, and connections that move from one worker to another; see
//! [`ebb_engine::spread`].

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ebb_engine::spread::BUSY;
use mio::{Interest, Token};

use super::{Arrival, Worker, inbox};
use crate::connection::Connection;
use crate::io as system;

/// How long a worker is looked at before it is judged.
const WINDOW: Duration = Duration::from_millis(20);
/// Who is busy for so long, window after window, has enough to do.
const STREAK: Duration = Duration::from_millis(300);
/// A round that works longer keeps others waiting.
const LONG: Duration = Duration::from_millis(5);
/// Time by which what a worker had to do is forgotten, mostly.
const MEMORY: Duration = Duration::from_secs(1);

/// What a worker has to do.
pub(super) struct Load {
    /// When the window began, and how long a processor had worked for this thread by then.
    since: Instant,
    worked: Duration,
    /// When it began to be busy, window after window, and the commands that the server had run by then.
    streak: Option<(Instant, u64)>,
    /// Thousandths of its time that it worked lately.
    busy: f64,
    /// The workers that served when it last compared connections.
    serving: usize,
}

/// What a window showed.
struct Seen {
    /// Commands that the server ran a second while this worker was busy for long.
    busy_rate: Option<f64>,
    /// Its last round kept others waiting.
    is_long: bool,
}

impl Load {
    pub(super) fn new() -> Load {
        Load { since: Instant::now(), worked: Duration::ZERO, streak: None, busy: 0.0, serving: 1 }
    }

    /// Ends a window with a round that took from `round` to `end`. By now a processor has `worked` so
    /// long for the thread, and the server has run so many commands.
    fn end_window(
        &mut self,
        round: Instant,
        end: Instant,
        worked: Duration,
        commands: u64,
    ) -> Seen {
        let took = (end - self.since).max(Duration::from_micros(1));
        let work = worked.saturating_sub(self.worked);
        let before = round.saturating_duration_since(self.since);
        let share = work.as_secs_f64() / took.as_secs_f64();
        let weight = (took.as_secs_f64() / MEMORY.as_secs_f64()).min(1.0);
        self.busy += (share.min(1.0) * 1000.0 - self.busy) * weight;
        // A short window, which a long round ended, says nothing of what is usual.
        let is_busy = took >= WINDOW && share * 1000.0 >= f64::from(BUSY);
        let begun = self.streak.filter(|_| is_busy);
        let lasted = begun.filter(|(begun, _)| end - *begun >= STREAK);
        let busy_rate = lasted.map(|(begun, by_then)| {
            commands.saturating_sub(by_then) as f64 / (end - begun).as_secs_f64()
        });
        self.streak =
            if lasted.is_some() { None } else { begun }.or(is_busy.then_some((end, commands)));
        (self.since, self.worked) = (end, worked);
        // However busy it was before, the rest is this round's.
        Seen { busy_rate, is_long: work >= LONG + before }
    }
}

impl Worker {
    /// Looks at what it has to do, now and then, after a round that began at `round`.
    #[inline]
    pub(super) fn watch_load(&mut self, round: Instant, took: Duration) {
        let end = round + took;
        if self.server.workers.len() > 1 && (end - self.load.since >= WINDOW || took >= LONG) {
            self.judge_load(round, end);
        }
    }

    #[cold]
    fn judge_load(&mut self, round: Instant, end: Instant) {
        let spread = &self.server.spread;
        let commands = self.server.counters.commands.load(Ordering::Relaxed);
        let Seen { busy_rate, is_long } =
            self.load.end_window(round, end, system::thread_time(), commands);
        spread.note(self.number, self.load.busy as u32);
        spread.look_at_trial(end, commands);
        if let Some(rate) = busy_rate {
            spread.ask_for_more(end, rate);
        }
        if is_long {
            spread.ask_for_all(end);
        }
        if self.load.serving != self.server.serving_workers() {
            self.share_out();
        }
    }

    /// Hands over connections if it has more than the others; all, if it is to rest.
    pub(super) fn share_out(&mut self) {
        if self.server.workers.len() == 1 || self.server.is_stopping() {
            return;
        }
        let serving = self.server.serving_workers();
        self.load.serving = serving;
        let held = |worker: usize| self.server.workers[worker].connections.load(Ordering::Relaxed);
        let own = held(self.number);
        let excess = if self.number < serving {
            let fair = (0..self.server.workers.len()).map(held).sum::<usize>().div_ceil(serving);
            // A few more are no reason to move.
            own.checked_sub(fair).filter(|&more| more > fair / 8).unwrap_or(0)
        } else {
            own
        };
        if excess > 0 {
            self.hand_over(excess, serving);
        }
    }

    /// Hands over so many connections, as far as nothing of theirs is under way: of those that were in
    /// use lately and of the others the same part.
    fn hand_over(&mut self, count: usize, serving: usize) {
        let mut candidates: Vec<(i64, usize)> = Vec::new();
        for (at, connection) in self.connections.iter().enumerate() {
            if let Some(connection) = connection.as_ref().filter(|c| c.may_move()) {
                let figures = &connection.session.client.figures;
                candidates.push((figures.last_active_ms.load(Ordering::Relaxed), at));
            }
        }
        candidates.sort_unstable();
        let of = candidates.len();
        let count = count.min(of);
        let chosen = (0..of).filter(|place| (place + 1) * count / of > place * count / of);
        let mut told = vec![false; serving];
        for (_, at) in chosen.map(|place| candidates[place]) {
            let held =
                |&worker: &usize| self.server.workers[worker].connections.load(Ordering::Relaxed);
            let others = (0..serving).filter(|&worker| worker != self.number);
            let Some(to) = others.min_by_key(held) else { return };
            self.send_off(at, to);
            told[to] = true;
        }
        let told = told.iter().zip(&self.server.workers).filter(|(told, _)| **told);
        told.for_each(|(_, worker)| worker.wake());
    }

    /// Leaves a connection for another worker.
    fn send_off(&mut self, at: usize, to: usize) {
        let Some(mut connection) = self.connections[at].take() else { return };
        self.vacant.push(at);
        let client = &connection.session.client;
        self.by_id.remove(&client.id);
        client.move_to(to);
        self.server.workers[self.number].connections.fetch_sub(1, Ordering::Relaxed);
        self.server.workers[to].connections.fetch_add(1, Ordering::Relaxed);
        // Where this fails the other fails to watch it, and closes it.
        let _ = self.poll.registry().deregister(connection.socket.source());
        connection.watches_writable = false;
        inbox(to).arrivals.lock().push(Arrival::Moved(connection));
    }

    /// Takes in a connection that another worker handed over.
    pub(super) fn receive(&mut self, mut connection: Box<Connection>) {
        let at = self.vacancy();
        let source = connection.socket.source();
        let watched = self.poll.registry().register(source, Token(at), Interest::READABLE);
        let client = connection.session.client.id;
        self.by_id.insert(client, at);
        self.connections[at] = Some(connection);
        if let Err(error) = watched {
            tracing::warn!("Error registering fd event for a client: {error}");
            self.close(at);
            return;
        }
        // What came on the way may have been told to the worker that it came from.
        self.unheeded.push(client);
        self.again.push(at);
    }

    /// Tells a client's worker, if the client is not one of this worker's any more.
    pub(super) fn pass_on(&self, client: u64) {
        let moved = self.server.clients.get(client).map(|client| client.worker());
        if let Some(worker) = moved.filter(|&worker| worker != self.number) {
            self.server.workers[worker].tell(&[client], true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_worker_is_busy_that_has_no_time_for_long() {
        let mut load = Load::new();
        let start = load.since;
        let mut end = |at, worked, commands| {
            let end = start + ms(at);
            load.end_window(end, end, ms(worked), commands).busy_rate.map(|rate| rate.round())
        };
        assert_eq!(end(20, 19, 100), None);
        assert_eq!(end(200, 195, 1000), None);
        assert_eq!(end(420, 405, 4100), Some(10_000.0), "commands a second since it began");
        assert_eq!(end(440, 424, 4200), None, "that is told once");
        assert_eq!(end(460, 440, 4300), None, "it had time");
        assert_eq!(end(780, 758, 4400), None, "so it begins anew");
    }

    #[test]
    fn a_long_round_is_one_that_worked_long() {
        let mut load = Load::new();
        let start = load.since;
        let seen = load.end_window(start + ms(4), start + ms(14), ms(4), 0);
        assert!(!seen.is_long, "its processor was taken away");
        let seen = load.end_window(start + ms(18), start + ms(28), ms(14), 0);
        assert!(seen.is_long, "of ten milliseconds four at most were before");
    }

    #[test]
    fn what_it_had_to_do_is_forgotten() {
        let mut load = Load::new();
        let start = load.since;
        load.end_window(start + ms(1000), start + ms(1000), ms(900), 0);
        assert_eq!(load.busy.round(), 900.0);
        load.end_window(start + ms(1250), start + ms(1250), ms(900), 0);
        assert_eq!(load.busy.round(), 675.0);
    }
}
