//! The limit on the buffers of all clients acts as soon as one of them grows.

use std::sync::atomic::Ordering;

use crate::testing::Client;

/// As if so many bytes of output waited for the client.
fn grow(client: &Client, bytes: usize) {
    client.session.client.figures.output_bytes.store(bytes, Ordering::Relaxed);
    client.server.note_client_bytes(&client.session.client);
}

#[test]
fn the_largest_client_goes_when_the_limit_is_passed() {
    const MEGABYTE: usize = 1 << 20;
    let mut client = Client::with_config(&[("maxmemory-clients", "10mb")]);
    let (large, small) = (client.another(), client.another());
    grow(&large, 100 * MEGABYTE);
    assert!(!large.session.client.is_killed(), "there is no limit before the first measurement");
    grow(&large, 0);
    client.server.evict_clients();
    for megabytes in [3, 6, 4, 6] {
        grow(&large, megabytes * MEGABYTE);
        grow(&small, 3 * MEGABYTE);
        assert!(!large.session.client.is_killed());
    }
    grow(&small, 5 * MEGABYTE);
    assert!(large.session.client.is_killed());
    assert!(!small.session.client.is_killed());
    assert!(client.say("INFO stats").contains("evicted_clients:1\r\n"));
    // What it had does not count any more.
    grow(&small, 9 * MEGABYTE);
    assert!(!small.session.client.is_killed());
}
