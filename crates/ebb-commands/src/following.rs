//! What the server deletes by itself reaches those who follow the changes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ebb_engine::journal::{Deletion, Sink};
use ebb_engine::notify::Effects;
use ebb_engine::{Event, eviction};

use crate::testing::Client;

/// Notes what it is told.
#[derive(Clone, Default)]
struct Follower(Arc<Mutex<Vec<String>>>);

impl Follower {
    fn heard(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    fn note(&self, what: &str, db: usize, key: &[u8]) {
        let text = format!("{what} {db} {}", String::from_utf8_lossy(key));
        self.0.lock().unwrap().push(text);
    }
}

impl Sink for Follower {
    fn changed(&mut self, db: usize, key: &[u8], event: Event) {
        self.note(event.name, db, key);
    }

    fn deleted(&mut self, db: usize, key: &[u8], command: Deletion) {
        let name = if command == Deletion::Unlink { "UNLINK" } else { "DEL" };
        self.note(name, db, key);
    }
}

#[test]
fn keys_that_expire_are_deleted_by_followers() {
    let mut client = Client::new();
    let follower = Follower::default();
    client.subscribe(Box::new(follower.clone()));
    for (lazy, deletion) in [("no", "DEL 0 k"), ("yes", "UNLINK 0 k")] {
        client.say(&format!("CONFIG SET lazyfree-lazy-expire {lazy}"));
        client.say("SET k v PX 1");
        follower.heard();
        std::thread::sleep(Duration::from_millis(5));
        assert_eq!(client.say("GET k"), "$-1\r\n");
        assert_eq!(follower.heard(), [deletion]);
    }
    client.say("SET k v");
    assert_eq!(follower.heard(), ["set 0 k"]);
}

/// What a follower hears when nearly all keys are evicted.
fn evicted(client: &mut Client) -> Vec<String> {
    let follower = Follower::default();
    let mut effects = Effects::default();
    effects.subscribe(Box::new(follower.clone()));
    client.say("CONFIG SET maxmemory 1");
    let (time, slice) = (Duration::from_secs(1), Duration::from_millis(10));
    eviction::relieve(client.server, time, slice, &mut effects);
    follower.heard()
}

#[test]
fn keys_that_are_evicted_are_deleted_by_followers() {
    for (lazy, deletion) in [("no", "DEL 0 key:"), ("yes", "UNLINK 0 key:")] {
        let mut client = Client::with_config(&[
            ("maxmemory-policy", "allkeys-random"),
            ("lazyfree-lazy-eviction", lazy),
        ]);
        let value = "x".repeat(1000);
        (0..3000).for_each(|n| drop(client.run(&["SET", &format!("key:{n}"), &value])));
        let heard = evicted(&mut client);
        assert!(!heard.is_empty());
        assert!(heard.iter().all(|line| line.starts_with(deletion)), "{heard:?}");
    }
}

#[test]
fn partitions_say_how_their_keys_are_deleted_by_followers() {
    let mut client = Client::with_config(&[
        ("maxmemory-policy", "allkeys-random"),
        ("lazyfree-lazy-eviction", "no"),
        ("partition", "later prefix l:"),
        ("partition", "now prefix n: maxmemory-policy allkeys-lru lazyfree-lazy-eviction no"),
    ]);
    let fill = |client: &mut Client| {
        let value = "x".repeat(1000);
        for n in 0..500 {
            for key in [format!("l:{n}"), format!("n:{n}"), format!("x:{n}")] {
                client.run(&["SET", &key, &value]);
            }
        }
    };
    for (lazy, none) in [("no", "DEL"), ("yes", "UNLINK")] {
        fill(&mut client);
        client.say(&format!("CONFIG SET lazyfree-lazy-eviction {lazy}"));
        let heard = evicted(&mut client);
        client.say("CONFIG SET maxmemory 0");
        for (command, prefix) in [("UNLINK", "l:"), ("DEL", "n:"), (none, "x:")] {
            let told = heard.iter().filter(|line| line.contains(&format!(" 0 {prefix}")));
            let told: Vec<_> = told.collect();
            assert!(!told.is_empty(), "{prefix}");
            assert!(told.iter().all(|line| line.starts_with(&format!("{command} "))), "{told:?}");
        }
    }
    // One that is evicted by its partition's limit is told by the command that evicts it.
    fill(&mut client);
    let follower = Follower::default();
    client.subscribe(Box::new(follower.clone()));
    client.say("PARTITION ALTER now MAXMEMORY 100kb");
    client.say("SET n:one-more x");
    assert!(follower.heard().iter().any(|line| line.starts_with("DEL 0 n:")));
    client.say("PARTITION ALTER now MAXMEMORY 50kb LAZYFREE-LAZY-EVICTION yes");
    client.say("SET n:one-more x");
    assert!(follower.heard().iter().any(|line| line.starts_with("UNLINK 0 n:")));
}
