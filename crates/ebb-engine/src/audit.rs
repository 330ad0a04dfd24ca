//! MEMORY AUDIT's state, and the run itself: what the keyspace's audit needs from a server.
//!
//! A thread of the server runs it (`ebb-server/src/audit.rs`) when somebody asks. Each lock of a
//! shard is held for at most [`SLICE`], and the run rests three times as long as it works.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ebb_heap::{ArenaId, BlockInfo, watch};
use ebb_keyspace::audit::{self, Findings, Flaw, Walk};
use ebb_keyspace::{Shard, lazyfree};
use parking_lot::{Mutex, MutexGuard};

use crate::Server;
use crate::beside::Walk as WalkBeside;
use crate::server::unix_ms;

/// A shard's lock is held at most about this long.
pub const SLICE: Duration = Duration::from_micros(200);
/// Rests are so many times as long as the work before them.
const REST: u32 = 3;
/// A pass is repeated so often if tables were exchanged meanwhile.
const PASSES_MAX: usize = 5;
/// How long one waits for workers to answer, and for trash to be freed.
const PATIENCE: Duration = Duration::from_secs(10);
/// So many leaked blocks are told one by one.
const LEAKS_MAX: usize = 32;

/// A block that nobody owns.
#[derive(Debug, Clone, Copy)]
pub struct Leak {
    /// Its address in the heap, in units of 4 bytes, its bytes, and its owner's tag.
    pub block: BlockInfo,
    /// Where it was allocated.
    pub arena: ArenaId,
}

/// What an audit has found.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// When it began, in milliseconds since 1970.
    pub started_ms: i64,
    /// Milliseconds that it took.
    pub took_ms: u64,
    /// Why not everything could be proved; empty if it could.
    pub inconclusive: &'static str,
    /// Passes over all owners.
    pub passes: usize,
    /// Blocks that were looked at.
    pub blocks: usize,
    /// Blocks that nobody owns, and their bytes.
    pub leaked: (usize, usize),
    /// The first of them.
    pub leaks: Vec<Leak>,
    /// Keys, wrong counters, and owners that point nowhere.
    pub findings: Findings,
    /// Bytes that the audit itself took.
    pub memory: usize,
}

impl Report {
    /// Whether nothing is wrong, as far as could be proved.
    pub fn is_clean(&self) -> bool {
        self.leaked.0 == 0 && self.findings.flaw_count == 0 && self.findings.dangling.is_empty()
    }
}

/// Where an audit stands.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// What it does; empty if none runs.
    pub phase: &'static str,
    /// When it began, in milliseconds since 1970.
    pub started_ms: i64,
    /// Audits since the start.
    pub runs: u64,
    /// The last report.
    pub report: Option<Arc<Report>>,
}

/// Audits of a server.
#[derive(Debug, Default)]
pub struct Audit {
    status: Mutex<Status>,
    wanted: AtomicBool,
    /// Workers are there, and answer.
    pub has_workers: AtomicBool,
    /// Each asks all workers to claim what their connections hold.
    round: AtomicU64,
    /// The rounds that workers have answered last.
    answers: Mutex<Vec<u64>>,
}

impl Audit {
    /// Asks for an audit; false if one runs or is asked for already.
    pub fn start(&self) -> bool {
        let mut status = self.status.lock();
        let idle = status.phase.is_empty();
        if idle {
            (status.phase, status.started_ms) = ("waiting", unix_ms());
            self.wanted.store(true, Ordering::Release);
        }
        idle
    }

    /// Whether one was asked for; the caller runs it.
    pub fn take_wanted(&self) -> bool {
        self.wanted.swap(false, Ordering::AcqRel)
    }

    /// Where it stands.
    pub fn status(&self) -> Status {
        self.status.lock().clone()
    }

    /// The round that workers are to answer.
    #[inline]
    pub fn round(&self) -> u64 {
        self.round.load(Ordering::Acquire)
    }

    /// A worker has claimed what its connections hold, after it read the number of the round.
    pub fn answer(&self, worker: usize, round: u64) {
        let mut answers = self.answers.lock();
        if answers.len() <= worker {
            answers.resize(worker + 1, 0);
        }
        answers[worker] = round;
    }

    fn is_answered(&self, workers: usize) -> bool {
        let answers = self.answers.lock();
        let round = self.round();
        answers.len() == workers && answers.iter().all(|&answered| answered == round)
    }

    fn set_phase(&self, phase: &'static str) {
        self.status.lock().phase = phase;
    }
}

/// Runs an audit to its end, and files the report.
pub fn run(server: &Server) {
    let begun = Instant::now();
    let mut run = Run {
        server,
        report: Report { started_ms: unix_ms(), ..Report::default() },
        arenas: server.all_arenas(),
    };
    if watch::begin() {
        run.all();
        watch::end();
    } else {
        run.report.inconclusive = "another audit runs in this process";
    }
    run.report.took_ms = begun.elapsed().as_millis() as u64;
    let mut status = server.audit.status.lock();
    status.phase = "";
    status.runs += 1;
    status.report = Some(Arc::new(run.report));
}

struct Run<'s> {
    server: &'s Server,
    report: Report,
    arenas: Vec<ArenaId>,
}

/// Rests after some work.
pub(crate) fn rest(start: Instant) {
    std::thread::sleep(start.elapsed() * REST);
}

impl Run<'_> {
    fn all(&mut self) {
        audit::take_arrivals();
        self.watch();
        for _ in 0..PASSES_MAX {
            let before = audit::disturbances();
            self.report.passes += 1;
            self.report.inconclusive = "";
            self.pass();
            self.drain();
            self.ask_workers();
            let (_, unclaimed) = watch::unclaimed_segments();
            let disturbed = audit::disturbances() != before;
            let settled = self.report.inconclusive.is_empty() && !disturbed;
            // What looks like a leak is looked for once more.
            let confirmed = unclaimed == 0 || self.report.passes > 1;
            if settled && confirmed || self.server.is_stopping() {
                break;
            }
            if disturbed {
                self.report.inconclusive = "databases or partitions were exchanged all the time";
            }
        }
        self.check_totals();
        self.collect();
        self.report.memory = watch::bytes();
    }

    /// Files all blocks that are there.
    fn watch(&mut self) {
        self.server.audit.set_phase("listing blocks");
        for segment in 0..ebb_heap::segments_used() {
            let start = Instant::now();
            let arena = ebb_heap::arena_of(segment).filter(|arena| self.arenas.contains(arena));
            let Some(arena) = arena else { continue };
            if let Some(flaw) = arena.watch_segment(segment) {
                self.flaw(
                    format!("segment {segment}: {}", flaw.counter),
                    flaw.counted,
                    flaw.actual,
                );
            }
            rest(start);
        }
        self.report.blocks = self.arenas.iter().map(|arena| arena.stats().blocks).sum();
    }

    fn flaw(&mut self, counter: String, counted: usize, actual: usize) {
        self.report.findings.add(Flaw { counter, counted, actual });
    }

    /// One slice of work in a shard; `work` answers whether there is more.
    fn slices(&self, number: usize, mut work: impl FnMut(&mut Shard) -> bool) {
        let mut more = true;
        while more && !self.server.is_stopping() {
            let mut shard = self.server.keyspace.lock(number);
            let start = Instant::now();
            while more && start.elapsed() < SLICE {
                more = work(&mut shard);
            }
            // Workers that wait for the lock get it now.
            MutexGuard::unlock_fair(shard);
            rest(start);
        }
    }

    /// Goes over all owners in the keyspace. Flaws of counters are those of the last pass.
    fn pass(&mut self) {
        self.server.audit.set_phase("walking over keys");
        let keyspace = &self.server.keyspace;
        let mut walk = Walk::new(keyspace.hasher());
        for number in 0..keyspace.shards() {
            self.slices(number, |shard| walk.step(number, shard));
        }
        loop {
            let arrived = audit::take_arrivals();
            if arrived.is_empty() || self.server.is_stopping() {
                break;
            }
            for key in arrived {
                let number = keyspace.shard_of(keyspace.hasher().hash(&key));
                walk.add_arrival(&mut keyspace.lock(number), &key);
                self.slices(number, |shard| walk.step_arrivals(number, shard));
            }
        }
        if self.server.is_stopping() {
            (0..keyspace.shards()).for_each(|number| audit::forget(&mut keyspace.lock(number)));
        }
        self.walk_beside();
        let findings = &mut self.report.findings;
        findings.keys = walk.findings.keys;
        if self.report.passes == 1 {
            findings.dangling = walk.findings.dangling;
            walk.findings.flaws.into_iter().for_each(|flaw| findings.add(flaw));
        }
    }

    /// Goes over the owners beside the keyspace. What these own moves from none to another.
    fn walk_beside(&self) {
        self.server.audit.set_phase("walking over subscriptions, tracked keys and scripts");
        let (mut walk, mut more) = (WalkBeside::default(), true);
        while more && !self.server.is_stopping() {
            let start = Instant::now();
            while more && start.elapsed() < SLICE {
                more = self.server.claim_beside(&mut walk);
            }
            rest(start);
        }
    }

    /// Waits until all that was deleted is freed.
    fn drain(&mut self) {
        self.server.audit.set_phase("waiting for what is being freed");
        let start = Instant::now();
        while self.server.keyspace.trash_len() > 0 {
            if start.elapsed() > PATIENCE {
                self.report.inconclusive = "deleted values waited to be freed all the time";
                return;
            }
            if !self.server.audit.has_workers.load(Ordering::Relaxed) {
                self.server.keyspace.free_trash_step();
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Has every worker claim what its connections hold.
    fn ask_workers(&mut self) {
        let audit = &self.server.audit;
        if !audit.has_workers.load(Ordering::Relaxed) {
            return;
        }
        audit.set_phase("asking the workers");
        audit.round.fetch_add(1, Ordering::AcqRel);
        self.server.wake_all();
        let start = Instant::now();
        while !audit.is_answered(self.server.workers.len()) {
            if start.elapsed() > PATIENCE || self.server.is_stopping() {
                self.report.inconclusive = "a worker was busy with one command all the time";
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn check_totals(&mut self) {
        self.server.audit.set_phase("checking totals");
        for arena in self.arenas.clone() {
            for flaw in arena.check() {
                let counter = format!("arena {}: {}", arena.number(), flaw.counter);
                self.flaw(counter, flaw.counted, flaw.actual);
            }
        }
        let keyspace = &self.server.keyspace;
        if let Some(_gate) = keyspace.gate.pass() {
            let mut shards: Vec<_> = (0..keyspace.shards()).map(|n| keyspace.lock(n)).collect();
            let flaws = audit::check_totals(shards.iter_mut().map(|shard| &mut **shard));
            drop(shards);
            flaws.into_iter().for_each(|flaw| self.report.findings.add(flaw));
        }
        self.check_lazyfree();
    }

    fn check_lazyfree(&mut self) {
        for _ in 0..1000 {
            if let Some(found) = lazyfree::check() {
                for (name, (counted, actual)) in ["values", "bytes"].into_iter().zip(found) {
                    if counted != actual {
                        self.flaw(format!("waiting to be freed: {name}"), counted, actual);
                    }
                }
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        self.flaw("waiting to be freed: values".into(), lazyfree::pending(), 0);
    }

    /// Notes what is unclaimed.
    fn collect(&mut self) {
        let Report { leaked, leaks, .. } = &mut self.report;
        for segment in watch::unclaimed_segments().0 {
            let arena = ebb_heap::arena_of(segment).filter(|arena| self.arenas.contains(arena));
            let Some(arena) = arena else { continue };
            arena.unclaimed(segment, |block| {
                leaked.0 += 1;
                leaked.1 += block.bytes;
                if leaks.len() < LEAKS_MAX {
                    leaks.push(Leak { block, arena });
                }
            });
        }
    }
}
