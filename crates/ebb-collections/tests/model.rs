//! Every collection against a plain model, with its blocks moved between operations.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ebb_collections::{
    Arenas, Bound, Collection, End, FieldDeadline, Fill, Form, HashMut, Limits, ListMut,
    MemorySlot, Range, SetMut, Slot, SortedSetMut,
};
use ebb_heap::ArenaId;
use proptest::prelude::*;
use std::sync::LazyLock;

/// Arenas cannot be given back, so all cases share them, one case at a time.
static ARENAS: LazyLock<std::sync::Mutex<Arenas>> =
    LazyLock::new(|| std::sync::Mutex::new(Arenas { data: ArenaId::new(), index: ArenaId::new() }));

const LIMITS: Limits = Limits { entries: 12, value: 40 };

/// Short and long items, few enough to meet again.
fn item() -> impl Strategy<Value = Vec<u8>> {
    (0u32..60, prop_oneof![4 => Just(0usize), 1 => Just(30), 1 => Just(300)]).prop_map(
        |(number, extra)| {
            let mut item = number.to_string().into_bytes();
            item.extend(std::iter::repeat_n(b'x', extra));
            item
        },
    )
}

fn move_all(slot: &mut MemorySlot) {
    if let Some(grown) = slot.grown_mut() {
        move_all_of(grown);
    }
}

fn move_all_of(grown: &mut Collection) {
    let mut position = 0;
    loop {
        position = grown.relocate(position, |_| true).unwrap();
        if position == 0 {
            break;
        }
    }
}

/// The footprint is what the arenas hold.
fn check_bytes(arenas: Arenas, slot: &MemorySlot) {
    let footprint = slot.grown().map(Collection::footprint).unwrap_or_default();
    assert_eq!(arenas.data.live_bytes(), footprint.data);
    assert_eq!(arenas.index.live_bytes(), footprint.index);
}

#[derive(Debug, Clone)]
enum ListOp {
    Push(bool, Vec<u8>),
    Pop(bool),
    Set(usize, Vec<u8>),
    Insert(usize, Vec<u8>),
    Remove(usize, usize),
    Move,
}

fn list_op() -> impl Strategy<Value = ListOp> {
    prop_oneof![
        6 => (any::<bool>(), item()).prop_map(|(left, item)| ListOp::Push(left, item)),
        2 => any::<bool>().prop_map(ListOp::Pop),
        1 => (any::<usize>(), item()).prop_map(|(at, item)| ListOp::Set(at, item)),
        2 => (any::<usize>(), item()).prop_map(|(at, item)| ListOp::Insert(at, item)),
        1 => (any::<usize>(), 0usize..30).prop_map(|(at, n)| ListOp::Remove(at, n)),
        1 => Just(ListOp::Move),
    ]
}

/// The members of a sorted set in their order.
fn ordered(model: &BTreeMap<Vec<u8>, f64>) -> Vec<(Vec<u8>, f64)> {
    let mut order: Vec<_> = model.iter().map(|(member, &score)| (member.clone(), score)).collect();
    order.sort_by(|a, b| a.1.total_cmp(&b.1).then_with(|| a.0.cmp(&b.0)));
    order
}

fn check_list(list: &ListMut<MemorySlot>, model: &VecDeque<Vec<u8>>) {
    let list = list.as_ref();
    assert_eq!(list.len(), model.len());
    for from in [0, model.len() / 3, model.len()] {
        let mut seen = Vec::new();
        list.walk(from, |item| {
            seen.push(item.to_vec());
            true
        });
        assert!(seen.iter().eq(model.range(from..)), "from {from}");
        seen.clear();
        list.walk_back(from, |item| {
            seen.push(item.to_vec());
            true
        });
        assert!(seen.iter().rev().eq(model.range(..from)), "before {from}");
    }
    let middle = model.len() / 2;
    assert_eq!(list.get(middle).as_deref(), model.get(middle).map(Vec::as_slice));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(80))]

    #[test]
    fn lists(ops in prop::collection::vec(list_op(), 1..250), fill in prop_oneof![Just(-1), Just(4), Just(-2)],
        depths in prop::collection::vec(0usize..4, 1..3)) {
        let alone = ARENAS.lock().unwrap_or_else(|e| e.into_inner());
        let arenas = *alone;
        let mut fill = Fill::from_directive(fill).with_depth(depths[0]);
        let mut list = ListMut::new(MemorySlot::new(Form::List, arenas), fill);
        let mut model = VecDeque::new();
        for op in ops {
            let len = model.len();
            match op {
                ListOp::Push(true, item) => {
                    list.push(End::Left, &item).unwrap();
                    model.push_front(item);
                }
                ListOp::Push(false, item) => {
                    list.push(End::Right, &item).unwrap();
                    model.push_back(item);
                }
                ListOp::Pop(left) => {
                    let end = if left { End::Left } else { End::Right };
                    let popped = list.pop(end, <[u8]>::to_vec).unwrap();
                    prop_assert_eq!(popped, if left { model.pop_front() } else { model.pop_back() });
                }
                ListOp::Set(at, item) if len > 0 => {
                    list.set(at % len, &item).unwrap();
                    model[at % len] = item;
                }
                ListOp::Insert(at, item) => {
                    list.insert(at % (len + 1), &item).unwrap();
                    model.insert(at % (len + 1), item);
                }
                ListOp::Remove(at, count) => {
                    let from = at % (len + 1);
                    let to = (from + count).min(len);
                    list.remove(from..to).unwrap();
                    model.drain(from..to);
                }
                ListOp::Move => {
                    let mut slot = list.into_slot();
                    move_all(&mut slot);
                    // The directive may change at any time.
                    fill = fill.with_depth(depths[depths.len() - 1]);
                    list = ListMut::new(slot, fill);
                }
                ListOp::Set(..) => {}
            }
            check_list(&list, &model);
        }
        check_bytes(arenas, &list.into_slot());
    }

    #[test]
    fn hashes(ops in prop::collection::vec((0u8..8, item(), item(), 1i64..50), 1..200)) {
        let alone = ARENAS.lock().unwrap_or_else(|e| e.into_inner());
        let arenas = *alone;
        let mut hash = HashMut::new(MemorySlot::new(Form::Hash, arenas), LIMITS);
        let mut model: BTreeMap<Vec<u8>, (Vec<u8>, Option<i64>)> = BTreeMap::new();
        for (op, name, value, at) in ops {
            match op {
                0..3 => {
                    let new = hash.set(&name, &value, FieldDeadline::Clear).unwrap();
                    prop_assert_eq!(new, model.insert(name, (value, None)).is_none());
                }
                3 => {
                    hash.set(&name, &value, FieldDeadline::Keep).unwrap();
                    let deadline = model.get(&name).and_then(|(_, deadline)| *deadline);
                    model.insert(name, (value, deadline));
                }
                4 => {
                    hash.set(&name, &value, FieldDeadline::At(at)).unwrap();
                    model.insert(name, (value, Some(at)));
                }
                5 => prop_assert_eq!(hash.remove(&name).unwrap(), model.remove(&name).is_some()),
                6 => {
                    let deadline = (at > 10).then_some(at);
                    let found = hash.set_deadline(&name, deadline).unwrap();
                    prop_assert_eq!(found, model.contains_key(&name));
                    model.entry(name).and_modify(|field| field.1 = deadline);
                }
                _ => {
                    let next = model.values().filter_map(|field| field.1).min();
                    prop_assert_eq!(hash.as_ref().next_deadline(), next);
                    if let Some(name) = hash.expire_one(at).unwrap() {
                        let (_, deadline) = model.remove(&name).unwrap();
                        prop_assert!(deadline.unwrap() < at);
                    } else {
                        prop_assert!(next.is_none_or(|next| next >= at));
                    }
                    let mut slot = hash.into_slot();
                    move_all(&mut slot);
                    hash = HashMut::new(slot, LIMITS);
                }
            }
            let mut seen = BTreeMap::new();
            hash.as_ref().for_each(|field| {
                seen.insert(field.name.to_vec(), (field.value.to_vec(), field.deadline));
            });
            prop_assert_eq!(&seen, &model);
            prop_assert_eq!(hash.as_ref().len(), model.len());
        }
        let slot = hash.into_slot();
        check_bytes(arenas, &slot);
    }

    #[test]
    fn sets(ops in prop::collection::vec((0u8..8, item()), 1..200)) {
        let alone = ARENAS.lock().unwrap_or_else(|e| e.into_inner());
        let arenas = *alone;
        let mut set = SetMut::new(MemorySlot::new(Form::IntSet, arenas), LIMITS, 16);
        let mut model = BTreeSet::new();
        for (op, member) in ops {
            match op {
                0..4 => prop_assert_eq!(set.add(&member).unwrap(), model.insert(member)),
                4..7 => prop_assert_eq!(set.remove(&member).unwrap(), model.remove(&member)),
                _ => {
                    let mut slot = set.into_slot();
                    move_all(&mut slot);
                    set = SetMut::new(slot, LIMITS, 16);
                }
            }
            let seen: BTreeSet<_> = set.as_ref().to_vec().into_iter().collect();
            prop_assert_eq!(&seen, &model);
            let mut walked = Vec::new();
            set.as_ref().walk(|member| {
                walked.push(member.canonical());
                walked.len() < 20
            });
            let different: BTreeSet<_> = walked.iter().map(|member| member.to_vec()).collect();
            prop_assert_eq!(different.len(), model.len().min(20));
            prop_assert!(different.is_subset(&model));
            prop_assert_eq!(set.as_ref().len(), model.len());
            prop_assert!(model.iter().all(|member| set.as_ref().contains(member)));
        }
        check_bytes(arenas, &set.into_slot());
    }

    #[test]
    fn sorted_sets(ops in prop::collection::vec((0u8..8, item(), -5i8..6), 1..250)) {
        let alone = ARENAS.lock().unwrap_or_else(|e| e.into_inner());
        let arenas = *alone;
        let mut set = SortedSetMut::new(MemorySlot::new(Form::SortedSet, arenas), LIMITS);
        let mut model: BTreeMap<Vec<u8>, f64> = BTreeMap::new();
        for (op, member, score) in ops {
            let score = f64::from(score) / 2.0;
            match op {
                0 if score < -1.0 => {
                    let from = member.len() % (model.len() + 1);
                    let to = model.len().min(from + (score.abs() * 2.0) as usize);
                    set.remove_ranks(from..to).unwrap();
                    for (member, _) in &ordered(&model)[from..to] {
                        model.remove(member);
                    }
                }
                0..5 => {
                    let new = set.set(&member, score).unwrap();
                    prop_assert_eq!(new, model.insert(member, score).is_none());
                }
                5..7 => {
                    prop_assert_eq!(set.remove(&member).unwrap(), model.remove(&member).is_some());
                }
                _ => {
                    let mut slot = set.into_slot();
                    move_all(&mut slot);
                    set = SortedSetMut::new(slot, LIMITS);
                }
            }
            let order = ordered(&model);
            let mut seen = Vec::new();
            let view = set.as_ref();
            view.walk(0, |member, score| {
                seen.push((member.to_vec(), score));
                true
            });
            prop_assert_eq!(&seen, &order);
            for (rank, (member, score)) in order.iter().enumerate() {
                prop_assert_eq!(view.rank(member), Some((rank, *score)));
            }
            let range = Range::Score(Bound::Excluded(-1.0), Bound::Included(1.0));
            let ranks = view.ranks(&range);
            let inside = order.iter().filter(|(_, score)| *score > -1.0 && *score <= 1.0).count();
            prop_assert_eq!(ranks.len(), inside);
            if let Some((_, score)) = order.get(ranks.start).filter(|_| inside > 0) {
                prop_assert!(*score > -1.0);
            }
        }
        check_bytes(arenas, &set.into_slot());
    }
}

#[test]
fn copies_of_large_members_are_the_same() {
    let arenas = Arenas { data: ArenaId::new(), index: ArenaId::new() };
    let mut set = SetMut::new(MemorySlot::new(Form::Set, arenas), LIMITS, 16);
    let member = |n: usize| vec![b'a' + (n % 26) as u8; 1100 + n * 3];
    (0..600).for_each(|n| assert!(set.add(&member(n)).unwrap()));
    // Holes of all sizes: what is copied now gets blocks that are a little too large.
    (0..600).step_by(2).for_each(|n| assert!(set.remove(&member(n)).unwrap()));
    let slot = set.into_slot();
    let mut copy = slot.grown().unwrap().duplicate().unwrap();
    move_all_of(&mut copy);
    let mut other = MemorySlot::new(Form::Set, arenas);
    other.grow(copy).unwrap();
    let other = SetMut::new(other, LIMITS, 16);
    assert_eq!(other.as_ref().len(), 300);
    (1..600).step_by(2).for_each(|n| assert!(other.as_ref().contains(&member(n)), "{n}"));
}

#[test]
fn a_large_collection_is_freed_in_steps() {
    let arenas = Arenas { data: ArenaId::new(), index: ArenaId::new() };
    let mut set = SortedSetMut::new(MemorySlot::new(Form::SortedSet, arenas), LIMITS);
    for number in 0..5000u32 {
        set.set(number.to_string().as_bytes(), f64::from(number % 77)).unwrap();
    }
    let (_, bytes, grown) = set.into_slot().into_parts();
    assert!(bytes.is_empty());
    let mut grown = grown.unwrap();
    let copy = grown.duplicate().unwrap();
    assert_eq!(copy.len(), 5000);
    let mut steps = 0;
    while grown.free_step() {
        steps += 1;
    }
    assert!(steps > 10, "{steps}");
    drop(copy);
    drop(grown);
    assert_eq!((arenas.data.live_bytes(), arenas.index.live_bytes()), (0, 0));
}
