//! The thread that looks for leaks when somebody asks.

use std::sync::atomic::Ordering;
use std::time::Duration;

use ebb_engine::{Server, audit};

/// Between two looks whether there is something to do.
const LOOK: Duration = Duration::from_millis(50);

/// Runs until the server stops.
pub(crate) fn run(server: &Server) {
    server.audit.has_workers.store(true, Ordering::Relaxed);
    while !server.is_stopping() {
        if server.audit.take_wanted() {
            audit::run(server);
            report(server);
        }
        std::thread::sleep(LOOK);
    }
}

/// A leak is worth a line in the log.
fn report(server: &Server) {
    let Some(report) = server.audit.status().report else { return };
    if report.is_clean() {
        return;
    }
    tracing::warn!(
        "MEMORY AUDIT: {} blocks ({} bytes) that nobody owns, {} counters that are wrong, {} owners \
         that point nowhere. MEMORY AUDIT REPORT tells more.",
        report.leaked.0,
        report.leaked.1,
        report.findings.flaw_count,
        report.findings.dangling.len()
    );
}
