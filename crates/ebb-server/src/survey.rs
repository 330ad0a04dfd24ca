//! The thread that surveys what keys there are: on demand, and a sample every minute.

use std::time::{Duration, Instant};

use ebb_engine::Server;

/// Between two looks whether there is something to do.
const LOOK: Duration = Duration::from_millis(50);
/// Between two samples.
const MINUTE: Duration = Duration::from_secs(60);

/// Runs until the server stops.
pub(crate) fn run(server: &Server) {
    let mut sampled = Instant::now();
    while !server.is_stopping() {
        let surveys = &server.surveys;
        if sampled.elapsed() >= MINUTE || surveys.is_sample_wanted() {
            sampled = Instant::now();
            surveys.sample(server);
        }
        if !surveys.work(server) {
            std::thread::sleep(LOOK);
        }
    }
}
