//! The slowest single operations while a collection grows element by element, and while it shrinks.
//!
//! `cargo run --release -p ebb-collections --example stalls -- [elements] [word of a name]`
//!
//! Without a server around it, and by the thread's own processor clock, so that what else the machine
//! does is not in the figures. With the word `collapse`, another thread makes huge pages of full
//! segments and gives empty ones back all the while, as a server's maintenance does; then the elapsed
//! times tell how long operations wait for it.

use std::collections::BinaryHeap;
use std::time::Instant;

use ebb_collections::stream::{NodeLimits, Stream, StreamId};
use ebb_collections::{
    Arenas, End, FieldDeadline, Fill, Form, HashMut, Limits, ListMut, MemorySlot, SetMut,
    SortedSetMut,
};
use ebb_heap::ArenaId;
use rustix::time::{ClockId, clock_gettime};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const LIMITS: Limits = Limits { entries: 128, value: 64 };
const NODE: NodeLimits = NodeLimits { bytes: 4096, entries: 100 };
/// How many of the slowest operations are shown.
const SHOWN: usize = 6;

/// One way to fill a collection and to empty it again.
struct Case {
    name: &'static str,
    grow: Box<dyn FnMut(u64)>,
    shrink: Box<dyn FnMut(u64)>,
}

fn main() {
    let mut count = 10_000_000;
    let mut words = Vec::new();
    for word in std::env::args().skip(1) {
        match word.parse() {
            Ok(number) => count = number,
            Err(_) if word == "collapse" => drop(std::thread::spawn(collapse)),
            Err(_) => words.push(word),
        }
    }
    for make in [hash, set, set_at_random, sorted_set, list, list_from_the_left, stream] {
        let arenas = Arenas { data: ArenaId::new(), index: ArenaId::new() };
        let mut case = make(arenas, count);
        if words.is_empty() || words.iter().any(|word| case.name.contains(word.as_str())) {
            measure(case.name, "grows", count, &mut case.grow);
            measure(case.name, "shrinks", count, &mut case.shrink);
        }
    }
}

/// What a server's maintenance thread does between two pauses.
fn collapse() {
    loop {
        let busy = ebb_heap::release_step() | ebb_heap::collapse_step();
        let pause = if busy { 100 } else { 50_000 };
        std::thread::sleep(std::time::Duration::from_micros(pause));
    }
}

fn cpu_ns() -> u64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Runs `operation` for 0 to `count` and prints the slowest runs, with the numbers they had.
fn measure(name: &str, what: &str, count: u64, operation: &mut dyn FnMut(u64)) {
    let mut by_cpu = BinaryHeap::new();
    let mut by_clock = BinaryHeap::new();
    let (mut clock, mut cpu) = (Instant::now(), cpu_ns());
    let start = cpu;
    for number in 0..count {
        operation(number);
        let (clock_now, cpu_now) = (Instant::now(), cpu_ns());
        keep(&mut by_cpu, cpu_now - cpu, number);
        keep(&mut by_clock, (clock_now - clock).as_nanos() as u64, number);
        (clock, cpu) = (clock_now, cpu_now);
    }
    println!("{name} {what}: {} ns an operation", (cpu - start) / count.max(1));
    println!("    ms of processor: {}", in_words(by_cpu));
    println!("    ms elapsed:      {}", in_words(by_clock));
}

type Slowest = BinaryHeap<std::cmp::Reverse<(u64, u64)>>;

fn keep(slowest: &mut Slowest, ns: u64, number: u64) {
    if slowest.len() < SHOWN || slowest.peek().is_some_and(|least| least.0.0 < ns) {
        slowest.push(std::cmp::Reverse((ns, number)));
        if slowest.len() > SHOWN {
            slowest.pop();
        }
    }
}

fn in_words(slowest: Slowest) -> String {
    let sorted = slowest.into_sorted_vec();
    let word = |(ns, number): (u64, u64)| format!("{:.3} (at {number})", ns as f64 / 1e6);
    sorted.into_iter().map(|slow| word(slow.0)).collect::<Vec<_>>().join(", ")
}

/// A collection that both halves of a case share.
fn shared<T>(value: T) -> (std::rc::Rc<std::cell::RefCell<T>>, std::rc::Rc<std::cell::RefCell<T>>) {
    let value = std::rc::Rc::new(std::cell::RefCell::new(value));
    (value.clone(), value)
}

fn hash(arenas: Arenas, _: u64) -> Case {
    let (one, other) = shared(HashMut::new(MemorySlot::new(Form::Hash, arenas), LIMITS));
    let grow = move |n| {
        let added = one.borrow_mut().set(format!("f{n}").as_bytes(), b"v", FieldDeadline::Clear);
        assert!(added.expect("memory"));
    };
    let shrink = move |n| {
        assert!(other.borrow_mut().remove(format!("f{n}").as_bytes()).expect("memory"));
    };
    Case { name: "hash", grow: Box::new(grow), shrink: Box::new(shrink) }
}

fn set(arenas: Arenas, _: u64) -> Case {
    set_in_order(arenas, "set", |n| n)
}

/// Members go in another order than they came, so that the last of each segment goes late.
fn set_at_random(arenas: Arenas, count: u64) -> Case {
    // Prime, so that each member's turn comes once.
    const STRIDE: u64 = 6_180_339_887;
    set_in_order(arenas, "set, any order", move |n| n * STRIDE % count)
}

fn set_in_order(arenas: Arenas, name: &'static str, order: impl Fn(u64) -> u64 + 'static) -> Case {
    let (one, other) = shared(SetMut::new(MemorySlot::new(Form::Set, arenas), LIMITS, 512));
    let grow = move |n| {
        assert!(one.borrow_mut().add(format!("m{n}").as_bytes()).expect("memory"));
    };
    let shrink = move |n| {
        let member = format!("m{}", order(n));
        assert!(other.borrow_mut().remove(member.as_bytes()).expect("memory"));
    };
    Case { name, grow: Box::new(grow), shrink: Box::new(shrink) }
}

fn sorted_set(arenas: Arenas, _: u64) -> Case {
    let slot = MemorySlot::new(Form::SortedSet, arenas);
    let (one, other) = shared(SortedSetMut::new(slot, LIMITS));
    let grow = move |n| {
        let score = (n * 7919 % 10_000_019) as f64;
        assert!(one.borrow_mut().set(format!("m{n}").as_bytes(), score).expect("memory"));
    };
    let shrink = move |n| {
        assert!(other.borrow_mut().remove(format!("m{n}").as_bytes()).expect("memory"));
    };
    Case { name: "sorted set", grow: Box::new(grow), shrink: Box::new(shrink) }
}

fn list_at(arenas: Arenas, name: &'static str, end: End) -> Case {
    let slot = MemorySlot::new(Form::List, arenas);
    let (one, other) = shared(ListMut::new(slot, Fill::from_directive(-2)));
    let grow = move |n| {
        one.borrow_mut().push(end, format!("element:{n}").as_bytes()).expect("memory");
    };
    let shrink = move |_| {
        let seen = other.borrow_mut().pop(End::Left, <[u8]>::len).expect("memory");
        assert!(seen.is_some());
    };
    Case { name, grow: Box::new(grow), shrink: Box::new(shrink) }
}

fn list(arenas: Arenas, _: u64) -> Case {
    list_at(arenas, "list", End::Right)
}

fn list_from_the_left(arenas: Arenas, _: u64) -> Case {
    list_at(arenas, "list from the left", End::Left)
}

fn stream(arenas: Arenas, _: u64) -> Case {
    let (one, other) = shared(Stream::new(arenas));
    let id = |n| StreamId { ms: n + 1, seq: 1 };
    let grow = move |n| {
        one.borrow_mut().append(id(n), &[b"f", b"v"], NODE).expect("memory");
    };
    let shrink = move |n| assert!(other.borrow_mut().delete(id(n)));
    Case { name: "stream", grow: Box::new(grow), shrink: Box::new(shrink) }
}
