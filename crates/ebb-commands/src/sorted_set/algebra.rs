//! Unions, intersections and differences of sorted sets and sets.

use std::cmp::{Ordering, Reverse};

use ahash::AHashMap;
use ebb_collections::{Member, SetRef, SortedSetRef};
use ebb_engine::CommandError;
use ebb_keyspace::EntryRef;

/// A sorted set, or a set, whose members all have the score 1.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    Sorted(SortedSetRef<'a>),
    Plain(SetRef<'a>),
}

impl<'a> Source<'a> {
    /// What is in an entry; one that is missing is empty.
    fn of(entry: Option<EntryRef<'a>>) -> Result<Source<'a>, CommandError> {
        let Some(entry) = entry else { return Ok(Source::Sorted(SortedSetRef::Packed(&[]))) };
        let sorted = entry.sorted_set().map(Source::Sorted);
        sorted.or_else(|| entry.set().map(Source::Plain)).ok_or(CommandError::WrongType)
    }

    fn len(&self) -> usize {
        match self {
            Source::Sorted(set) => set.len(),
            Source::Plain(set) => set.len(),
        }
    }

    fn score(&self, member: &Member<'_>) -> Option<f64> {
        member.with_bytes(|bytes| match self {
            Source::Sorted(set) => set.score(bytes),
            Source::Plain(set) => set.contains(bytes).then_some(1.0),
        })
    }

    /// Visits members until `visit` answers false.
    fn walk(&self, mut visit: impl FnMut(Member<'a>, f64) -> bool) {
        match self {
            Source::Sorted(set) => set.walk(0, |member, score| visit(Member::Bytes(member), score)),
            Source::Plain(set) => set.walk(|member| visit(member, 1.0)),
        }
    }
}

/// A source and the factor of its scores.
pub(super) type Weighted<'a> = (Source<'a>, f64);

/// The sources in entries, with their weights.
pub(super) fn sources_in(
    entries: Vec<Option<EntryRef<'_>>>,
) -> Result<Vec<Source<'_>>, CommandError> {
    let mut sources = Vec::with_capacity(entries.len());
    for entry in entries {
        sources.push(Source::of(entry)?);
    }
    Ok(sources)
}

/// How a member's scores become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aggregate {
    Sum,
    Min,
    Max,
    /// Of the weights alone: without any, the number of sources that have the member.
    Count,
}

impl Aggregate {
    /// What a source with a weight gives to the score of one of its members.
    fn share(self, score: f64, weight: f64) -> f64 {
        match self {
            Aggregate::Count => weight,
            Aggregate::Sum | Aggregate::Min | Aggregate::Max => score * weight,
        }
    }

    /// Opposite infinities add up to 0, as in Redis; comparisons pass over what is no number.
    fn apply(self, one: f64, other: f64) -> f64 {
        match self {
            Aggregate::Sum | Aggregate::Count => or_zero(one + other),
            Aggregate::Min if other < one => other,
            Aggregate::Max if other > one => other,
            Aggregate::Min | Aggregate::Max => one,
        }
    }
}

/// The number, or 0 if it is none: infinity times zero.
fn or_zero(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

/// How sources become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Union,
    Intersection,
    /// Of the first with all others.
    Difference,
}

/// Members with their scores.
pub(super) type Scored<'a> = Vec<(Member<'a>, f64)>;

impl Operation {
    /// The members of the result, in the order of a sorted set.
    pub(super) fn evaluate<'a>(
        self,
        mut sources: Vec<Weighted<'a>>,
        aggregate: Aggregate,
    ) -> Scored<'a> {
        let mut result = match self {
            Operation::Union => union(&mut sources, aggregate),
            Operation::Intersection => {
                let mut result = Vec::new();
                intersection(&mut sources, aggregate, |member, score| {
                    result.push((member, score));
                    true
                });
                result
            }
            Operation::Difference => difference(&sources),
        };
        result.sort_by(in_order);
        result
    }
}

fn in_order(a: &(Member<'_>, f64), b: &(Member<'_>, f64)) -> Ordering {
    let by_score = a.1.partial_cmp(&b.1).unwrap_or(Ordering::Equal);
    by_score.then_with(|| a.0.with_bytes(|a| b.0.with_bytes(|b| a.cmp(b))))
}

fn union<'a>(sources: &mut [Weighted<'a>], aggregate: Aggregate) -> Scored<'a> {
    sources.sort_by_key(|(source, _)| source.len());
    let largest = sources.last().map_or(0, |(source, _)| source.len());
    let mut scores: AHashMap<Member<'a>, f64> = AHashMap::with_capacity(largest);
    for (source, weight) in sources {
        source.walk(|member, score| {
            let score = or_zero(aggregate.share(score, *weight));
            let known = scores.entry(member.canonical());
            known.and_modify(|old| *old = aggregate.apply(*old, score)).or_insert(score);
            true
        });
    }
    scores.into_iter().collect()
}

/// Looks the members of the smallest source up in the others; visits what all have until `visit`
/// answers false.
pub(super) fn intersection<'a>(
    sources: &mut [Weighted<'a>],
    aggregate: Aggregate,
    mut visit: impl FnMut(Member<'a>, f64) -> bool,
) {
    sources.sort_by_key(|(source, _)| source.len());
    let Some(((smallest, weight), others)) = sources.split_first() else { return };
    smallest.walk(|member, score| {
        let mut sum = or_zero(aggregate.share(score, *weight));
        for (source, weight) in others {
            let Some(score) = source.score(&member) else { return true };
            sum = aggregate.apply(sum, aggregate.share(score, *weight));
        }
        visit(member, sum)
    });
}

/// Either looks the members of the first source up in the others, or takes the others' members out
/// of the first: whatever is less work.
fn difference<'a>(sources: &[Weighted<'a>]) -> Scored<'a> {
    let Some(((first, _), others)) = sources.split_first() else { return Vec::new() };
    let lookups = first.len() * others.len();
    let removals = first.len() + others.iter().map(|(source, _)| source.len()).sum::<usize>();
    let mut result = Vec::new();
    if lookups / 2 <= removals {
        let mut others = others.to_vec();
        others.sort_by_key(|(source, _)| Reverse(source.len()));
        first.walk(|member, score| {
            if others.iter().all(|(source, _)| source.score(&member).is_none()) {
                result.push((member, score));
            }
            true
        });
        return result;
    }
    let mut left = AHashMap::with_capacity(first.len());
    first.walk(|member, score| {
        left.insert(member.canonical(), score);
        true
    });
    for (source, _) in others {
        source.walk(|member, _| {
            left.remove(&member.canonical());
            true
        });
    }
    left.into_iter().collect()
}
