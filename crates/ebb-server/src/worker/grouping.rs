//! Connections that take part in a group, and those that are set aside because they may take long.

use std::sync::atomic::Ordering;

use ebb_engine::Progress;

use super::Worker;
use crate::connection::{Connection, Tools};
use crate::group::{Group, Member};

impl Worker {
    /// Reads from a connection that takes part in the next group.
    pub(super) fn join(&mut self, at: usize, ended: bool) {
        if self.group.is_full(self.buffer.len()) {
            self.run_group();
        }
        let Some(mut connection) = self.connections[at].take() else { return };
        connection.peer_ended |= ended;
        let Group { requests, args, used, .. } = &mut self.group;
        let begin = requests.len();
        let room = &mut self.buffer[*used..];
        match connection.join(self.server, self.arena, room, args, requests) {
            Ok(joined) => {
                let input = *used..*used + joined.len;
                *used = input.end;
                let requests = begin..requests.len();
                let reply = self.group.reply();
                let progress = Progress::Done;
                let member = Member { at, connection, input, requests, joined, reply, progress };
                self.group.members.push(member);
            }
            Err(fate) => {
                self.connections[at] = Some(connection);
                self.settle(at, Some(fate));
            }
        }
    }

    /// Runs the group's requests and sends the replies.
    pub(super) fn run_group(&mut self) {
        if self.group.members.is_empty() {
            return;
        }
        let reads = self.group.members.len() as u64;
        self.server.counters.reads.fetch_add(reads, Ordering::Relaxed);
        let mut group = std::mem::take(&mut self.group);
        let mut loan = self.lend();
        let buffer = std::mem::take(&mut loan.buffer);
        group.run(&mut loan.executor, &buffer, self);
        let mut members = std::mem::take(&mut group.members);
        for member in members.drain(..) {
            let Member { at, mut connection, input, requests, joined, mut reply, progress } =
                member;
            let mut tools = Tools {
                server: self.server,
                executor: &mut loan.executor,
                buffer: &mut [],
                reply: &mut reply,
                requests: &mut loan.requests,
                arena: self.arena,
                attendant: self,
            };
            let (args, requests) = (&group.args, &group.requests[requests]);
            let fate =
                connection.leave(&mut tools, &buffer[input], args, requests, joined, progress);
            group.give_back(reply);
            self.connections[at] = Some(connection);
            self.settle(at, Some(fate));
        }
        loan.buffer = buffer;
        self.take_back(loan);
        group.members = members;
        group.requests.clear();
        group.args.clear();
        group.used = 0;
        self.group = group;
    }

    /// Runs what was set aside, and then those that have more to do. While a script takes long,
    /// those behind it have their turn in [`Worker::attend`].
    pub(super) fn run_rest(&mut self) {
        while let Some(at) = self.aside.pop_front() {
            let fate = self.with(at, Connection::run_aside);
            self.settle(at, fate);
        }
        while let Some(at) = self.turns.pop_front() {
            self.go_on(at);
        }
    }
}
