//! What an audit asks of a worker.

use ebb_heap::watch;

use super::Worker;

impl Worker {
    /// Claims the values that connections read into or send from, if an audit asks. Between two
    /// batches nothing else here holds one.
    pub(super) fn claim_if_asked(&mut self) {
        let audit = &self.server.audit;
        let round = audit.round();
        if round == self.audited {
            return;
        }
        self.audited = round;
        for connection in self.connections.iter().flatten() {
            connection.each_value(|value| {
                watch::claim(value.block().compact());
            });
        }
        audit.answer(self.number, round);
    }
}
