//! Who subscribes: a seat for each such client, and what it listens to.
//!
//! A channel knows its subscribers by the numbers of their seats, which are small, so that a
//! message finds them side by side.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use ebb_collections::Arenas;
use ebb_heap::OutOfMemory;
use parking_lot::Mutex;

use super::{Kind, Names};
use crate::clients::Client;

/// What one client listens to.
pub(super) struct Subscriptions {
    /// By kind.
    names: [Names; 3],
}

impl std::fmt::Debug for Subscriptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Subscriptions {:?}", self.lens())
    }
}

impl Subscriptions {
    fn new(arenas: Arenas) -> Subscriptions {
        Subscriptions { names: std::array::from_fn(|_| Names::new(arenas)) }
    }

    pub(super) fn of(&mut self, kind: Kind) -> &mut Names {
        &mut self.names[kind as usize]
    }

    pub(super) fn lens(&self) -> [usize; 3] {
        self.names.each_ref().map(Names::len)
    }

    /// The number that confirmations tell: channels and patterns count together.
    pub(super) fn count(&self, kind: Kind) -> usize {
        let [channels, patterns, shard_channels] = self.lens();
        if kind == Kind::Shard { shard_channels } else { channels + patterns }
    }

    /// Bytes outside of the heap, its place in memory included.
    pub(super) fn outside_bytes(&self) -> usize {
        let tables: usize = self.names.iter().map(Names::outside_bytes).sum();
        2 * size_of::<usize>() + size_of::<Mutex<Subscriptions>>() + tables
    }

    /// Adds a name; false if it is there.
    pub(super) fn add(&mut self, kind: Kind, name: &[u8]) -> Result<bool, OutOfMemory> {
        let is_new = !self.of(kind).contains(name);
        if is_new {
            self.of(kind).insert(name)?;
        }
        Ok(is_new)
    }
}

/// A subscriber, as its session knows it.
#[derive(Debug)]
pub(crate) struct Subscriber {
    pub(super) number: u32,
    pub(super) subscriptions: Arc<Mutex<Subscriptions>>,
}

/// A subscriber, as others find it.
pub(super) struct Seat {
    pub(super) client: Arc<Client>,
    pub(super) subscriptions: Arc<Mutex<Subscriptions>>,
}

/// All subscribers by number.
#[derive(Default)]
pub(super) struct Subscribers {
    seats: Vec<Option<Seat>>,
    /// Numbers of seats that are free. Those from the end on may be among them.
    vacant: BinaryHeap<Reverse<u32>>,
}

impl Subscribers {
    /// Seats, free ones included.
    pub(super) fn len(&self) -> usize {
        self.seats.len()
    }

    pub(super) fn get(&self, number: u64) -> Option<&Seat> {
        self.seats.get(number as usize)?.as_ref()
    }

    /// Gives a client the first seat that is free.
    pub(super) fn enroll(&mut self, client: &Arc<Client>, arenas: Arenas) -> Subscriber {
        let subscriptions = Arc::new(Mutex::new(Subscriptions::new(arenas)));
        let seat = Seat { client: Arc::clone(client), subscriptions: Arc::clone(&subscriptions) };
        let free = self.vacant.pop().map(|Reverse(number)| number as usize);
        let number = match free.filter(|&number| number < self.seats.len()) {
            Some(number) => {
                self.seats[number] = Some(seat);
                number
            }
            None => {
                // Then all that are said to be free lie beyond the end.
                self.vacant.clear();
                self.seats.push(Some(seat));
                self.seats.len() - 1
            }
        };
        // There are fewer clients than 32 bits can number.
        Subscriber { number: number as u32, subscriptions }
    }

    /// Frees a seat, and gives back the room of those at the end.
    pub(super) fn dismiss(&mut self, number: u32) {
        self.seats[number as usize] = None;
        self.vacant.push(Reverse(number));
        while let Some(None) = self.seats.last() {
            self.seats.pop();
        }
        if self.seats.len() < self.seats.capacity() / 4 {
            self.seats.shrink_to(self.seats.len() * 2);
            let end = self.seats.len();
            self.vacant.retain(|&Reverse(number)| (number as usize) < end);
            self.vacant.shrink_to_fit();
        }
    }

    /// What each of them listens to.
    pub(super) fn subscriptions(&self) -> Vec<Arc<Mutex<Subscriptions>>> {
        self.seats.iter().flatten().map(|seat| Arc::clone(&seat.subscriptions)).collect()
    }

    /// Bytes of the seats.
    pub(super) fn bytes(&self) -> usize {
        self.seats.capacity() * size_of::<Option<Seat>>()
            + self.vacant.capacity() * size_of::<Reverse<u32>>()
    }
}

#[cfg(test)]
mod tests {
    use ebb_heap::ArenaId;

    use super::*;

    #[test]
    fn seats_are_given_again_and_their_room_comes_back() {
        let arenas = Arenas { data: ArenaId::new(), index: ArenaId::new() };
        let (clients, mut all) = (crate::clients::Clients::default(), Subscribers::default());
        let (address, local_address) = Default::default();
        let peer = crate::Peer { worker: 0, fd: 0, address, local_address, is_unix: false };
        let client = clients.add(peer, 0);
        let enroll = |all: &mut Subscribers| all.enroll(&client, arenas).number;
        assert_eq!([(); 4].map(|()| enroll(&mut all)), [0, 1, 2, 3]);
        all.dismiss(1);
        all.dismiss(0);
        assert_eq!([(); 3].map(|()| enroll(&mut all)), [0, 1, 4]);
        // Those at the end are gone, and what is free before them is still found.
        [3, 2, 4].into_iter().for_each(|number| all.dismiss(number));
        assert_eq!(all.len(), 2);
        assert!(all.get(1).is_some() && all.get(2).is_none());
        assert_eq!(enroll(&mut all), 2);
        (3..1000).for_each(|number| assert_eq!(enroll(&mut all), number));
        let full = all.bytes();
        (0..1000).for_each(|number| all.dismiss(number));
        assert_eq!(all.len(), 0);
        assert!(all.bytes() < full / 20, "{} of {full}", all.bytes());
    }
}
