//! CLAIM of XREADGROUP: entries that have been pending for too long are delivered before new ones.

use ebb_collections::stream::{Group, Pending, Stream, StreamEntry, StreamId};
use ebb_engine::Reply;

use super::read::Options;
use super::{id, pending};

/// Pending entries whose time is over.
#[derive(Default)]
pub(super) struct Overdue<'s> {
    entries: Vec<(StreamEntry<'s>, Pending)>,
    /// Those that are deleted: as with XCLAIM they are not pending any more.
    deleted: Vec<StreamId>,
}

/// Finds what was delivered last at a time or before, as much as is wanted and fits. Nothing is
/// changed yet: what changes hands would be found again.
pub(super) fn find<'s>(
    stream: &'s Stream,
    group: &mut Group,
    until_ms: i64,
    options: &mut Options<'_>,
) -> Overdue<'s> {
    let mut found = Overdue::default();
    for (id, pending) in group.delivered_until(until_ms) {
        if found.len() == options.count {
            break;
        }
        match stream.get(id) {
            None => found.deleted.push(id),
            Some(entry) if options.budget.take(Some(&entry)) => {
                found.entries.push((entry, pending.clone()));
            }
            Some(_) => break,
        }
    }
    found
}

impl Overdue<'_> {
    /// Number of entries that can be delivered.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Answers them and new ones, each with how long it has been idle and how often it was
    /// delivered before.
    pub(super) fn reply(&self, reply: &mut Reply, new: &[StreamEntry<'_>], now_ms: i64) {
        reply.array(self.len() + new.len());
        let overdue = self
            .entries
            .iter()
            .map(|(entry, pending)| (entry, pending::idle_ms(pending, now_ms), pending.deliveries));
        for (entry, idle_ms, deliveries) in overdue.chain(new.iter().map(|entry| (entry, 0, 0))) {
            reply.array(4);
            id::reply_parts(reply, entry);
            reply.integer(idle_ms);
            reply.integer(deliveries as i64);
        }
    }

    /// Gives them to a consumer; answers how many were forgotten instead.
    pub(super) fn give(&self, group: &mut Group, consumer: &[u8], now_ms: i64) -> u64 {
        for (entry, pending) in &self.entries {
            group.assign(entry.id, consumer, now_ms, pending.next_delivery());
        }
        for &id in &self.deleted {
            group.acknowledge(id);
        }
        self.deleted.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    /// Entries 1 to 4, of which `one` has read three, the last one first.
    fn delivered() -> Client {
        let mut client = Client::new();
        (1..=4).for_each(|n| drop(client.say(&format!("XADD s {n} a {n}"))));
        client.say("XGROUP CREATE s g 0");
        client.say("XREADGROUP GROUP g one COUNT 3 STREAMS s >");
        for (id, idle_ms) in [(1, 5_000), (2, 50), (3, 9_000)] {
            client.say(&format!("XCLAIM s g one 0 {id} IDLE {idle_ms} JUSTID"));
        }
        client
    }

    /// Ids, idle times in seconds and deliveries of an answer.
    fn entries(answer: &str) -> Vec<(u64, u64, u64)> {
        let lines: Vec<&str> = answer.lines().collect();
        let number = |line: &str| line[1..].parse::<u64>().unwrap();
        let at = lines.iter().enumerate().filter(|(_, line)| **line == "*4");
        at.map(|(at, _)| {
            let id = lines[at + 2].trim_end_matches("-0").parse().unwrap();
            (id, number(lines[at + 8]) / 1000, number(lines[at + 9]))
        })
        .collect()
    }

    #[test]
    fn what_was_left_comes_first() {
        let mut client = delivered();
        let answer = client.say("XREADGROUP GROUP g two COUNT 3 CLAIM 1000 STREAMS s >");
        assert_eq!(entries(&answer), [(3, 9, 1), (1, 5, 1), (4, 0, 0)]);
        assert!(answer.ends_with("*4\r\n$3\r\n4-0\r\n*2\r\n$1\r\na\r\n$1\r\n4\r\n:0\r\n:0\r\n"));
        assert!(client.say("XPENDING s g - + 9 two").ends_with(":1\r\n"), "4 was new");
        assert!(client.say("XPENDING s g 1 1 1").ends_with(":2\r\n"), "1 came again");
        assert_eq!(client.say("XREADGROUP GROUP g two CLAIM 1000 STREAMS s >"), "*-1\r\n");
        let answer = client.say("XREADGROUP GROUP g one CLAIM 0 COUNT 2 STREAMS s >");
        assert_eq!(entries(&answer), [(2, 0, 1), (1, 0, 2)]);
    }

    #[test]
    fn it_keeps_to_limits_and_to_its_streams() {
        let mut client = delivered();
        client.say("XGROUP CREATE t g 0 MKSTREAM");
        client.say("XADD t 9 a 9");
        let answer = client.say("XREADGROUP GROUP g two MAXCOUNT 2 CLAIM 1 STREAMS t s > >");
        assert_eq!(entries(&answer), [(9, 0, 0), (3, 9, 1)]);
        let answer = client.say("XREADGROUP GROUP g two NOACK CLAIM 1000 STREAMS s >");
        assert_eq!(entries(&answer), [(1, 5, 1), (4, 0, 0)]);
        assert!(client.say("XPENDING s g").starts_with("*4\r\n:3\r\n"), "1 is pending still");
        let history = client.say("XREADGROUP GROUP g two CLAIM 0 STREAMS s 2");
        assert!(history.contains("*2\r\n$3\r\n3-0\r\n"), "{history}");
        let multi = ["MULTI", "XREADGROUP GROUP g two BLOCK 0 CLAIM 60000 STREAMS s >", "EXEC"];
        assert_eq!(multi.map(|line| client.say(line))[2], "*1\r\n*-1\r\n");
    }

    #[test]
    fn what_is_deleted_is_forgotten() {
        let mut client = delivered();
        client.say("XDEL s 1 4");
        let answer = client.say("XREADGROUP GROUP g two COUNT 1 CLAIM 1000 STREAMS s >");
        assert_eq!(entries(&answer), [(3, 9, 1)]);
        assert_eq!(client.say("XREADGROUP GROUP g two CLAIM 1000 STREAMS s >"), "*-1\r\n");
        assert!(client.say("XPENDING s g").starts_with("*4\r\n:2\r\n"));
    }

    #[test]
    fn bad_times_are_refused() {
        let mut client = delivered();
        for (line, text) in [
            ("CLAIM x STREAMS s >", "min-idle-time is not an integer or out of range"),
            ("CLAIM -1 STREAMS s >", "min-idle-time must be a positive integer"),
            ("STREAMS s > CLAIM", "Unbalanced"),
        ] {
            let reply = client.say(&format!("XREADGROUP GROUP g one {line}"));
            assert!(reply.starts_with("-ERR ") && reply.contains(text), "{line}: {reply}");
        }
        assert_eq!(
            client.say("XREAD CLAIM 1 STREAMS s 0"),
            "-ERR The CLAIM option is only supported by XREADGROUP. You called XREAD instead.\r\n"
        );
    }

    #[test]
    fn who_waits_is_served_when_the_time_has_come() {
        let mut client = delivered();
        let mut waiting = client.another();
        client.say("XREADGROUP GROUP g one STREAMS s >");
        assert_eq!(waiting.say("XREADGROUP GROUP g two BLOCK 0 CLAIM 9100 STREAMS s >"), "");
        waiting.try_again();
        assert_eq!(waiting.mail(), "", "the time has not come");
        let due_ms = waiting.session.blocked.as_ref().unwrap().due_ms().unwrap();
        let left_ms = u64::try_from(due_ms - ebb_engine::unix_ms()).unwrap_or(0);
        assert!(left_ms <= 100, "{left_ms}");
        std::thread::sleep(std::time::Duration::from_millis(left_ms));
        waiting.try_again();
        assert_eq!(entries(&waiting.mail()), [(3, 9, 1)]);
    }

    #[test]
    fn who_waits_learns_of_other_times() {
        let mut client = delivered();
        let mut waiting = client.another();
        client.say("XACK s g 1 2 3");
        client.say("XREADGROUP GROUP g one NOACK STREAMS s >");
        assert_eq!(waiting.say("XREADGROUP GROUP g two BLOCK 0 CLAIM 5000 STREAMS s >"), "");
        let due_ms = |client: &Client| client.session.blocked.as_ref().unwrap().due_ms();
        assert_eq!(due_ms(&waiting), None, "nothing is pending");
        client.say("XCLAIM s g one 0 1 FORCE JUSTID");
        assert!(due_ms(&waiting).is_some(), "1 is");
        assert_eq!(waiting.mail(), "");
        client.say("XCLAIM s g one 0 1 IDLE 6000 JUSTID");
        assert_eq!(entries(&waiting.mail()), [(1, 6, 0)]);
    }
}
