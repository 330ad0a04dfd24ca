//! What keyspace notifications say of commands.

use crate::testing::Client;

/// A client that acts, and one that listens to everything; classes as the directive takes them.
fn watched(classes: &str) -> (Client, Client) {
    let client = Client::with_config(&[("notify-keyspace-events", classes)]);
    let mut listener = client.another();
    listener.say("PSUBSCRIBE *");
    (client, listener)
}

/// The messages that came, each as `channel payload`.
fn heard(listener: &mut Client) -> Vec<String> {
    let mail = listener.mail();
    let messages = mail.split("*4\r\n$8\r\npmessage\r\n$1\r\n*\r\n").skip(1);
    let words = |message: &str| {
        let lines: Vec<&str> = message.split("\r\n").collect();
        format!("{} {}", lines[1], lines[3])
    };
    messages.map(words).collect()
}

#[test]
fn both_channels_are_told_in_order() {
    let (mut client, mut listener) = watched("KEA");
    client.say("SET k 1");
    client.say("SELECT 3");
    client.say("SET k 1");
    client.say("DEL k nothing");
    assert_eq!(
        heard(&mut listener),
        [
            "__keyspace@0__:k set",
            "__keyevent@0__:set k",
            "__keyspace@3__:k set",
            "__keyevent@3__:set k",
            "__keyspace@3__:k del",
            "__keyevent@3__:del k",
        ]
    );
}

#[test]
fn classes_are_chosen() {
    let (mut client, mut listener) = watched("E$");
    client.say("MSET a 1 b 2");
    client.say("DEL a b");
    assert_eq!(heard(&mut listener), ["__keyevent@0__:set a", "__keyevent@0__:set b"]);
    client.say("CONFIG SET notify-keyspace-events Kg");
    client.say("SET a 1");
    client.say("DEL a");
    assert_eq!(heard(&mut listener), ["__keyspace@0__:a del"]);
    // Without K or E there is no channel.
    client.say("CONFIG SET notify-keyspace-events A");
    client.say("SET a 1");
    assert!(heard(&mut listener).is_empty());
    assert_eq!(
        client.say("CONFIG GET notify-keyspace-events"),
        "*2\r\n$22\r\nnotify-keyspace-events\r\n$1\r\nA\r\n"
    );
    client.say("CONFIG SET notify-keyspace-events KEA");
    assert!(client.say("CONFIG GET notify-keyspace-events").ends_with("$3\r\nAKE\r\n"));
    assert!(client.say("CONFIG SET notify-keyspace-events q").starts_with("-ERR"));
}

#[test]
fn misses_and_new_keys_are_told_if_asked_for() {
    let (mut client, mut listener) = watched("Emng$");
    client.say("GET k");
    client.say("SET k 1");
    client.say("SET k 2");
    client.say("INCR n");
    client.say("INCR n");
    client.say("COPY n copy");
    assert_eq!(
        heard(&mut listener),
        [
            "__keyevent@0__:keymiss k",
            "__keyevent@0__:new k",
            "__keyevent@0__:set k",
            "__keyevent@0__:set k",
            "__keyevent@0__:new n",
            "__keyevent@0__:incrby n",
            "__keyevent@0__:incrby n",
            "__keyevent@0__:new copy",
            "__keyevent@0__:copy_to copy",
        ]
    );
}

#[test]
fn expiry_on_access_is_told() {
    let (mut client, mut listener) = watched("Ex");
    client.say("SET k 1 PX 1");
    std::thread::sleep(std::time::Duration::from_millis(5));
    client.say("GET k");
    client.say("GET k");
    assert_eq!(heard(&mut listener), ["__keyevent@0__:expired k"]);
}

#[test]
fn a_transaction_tells_of_each_command() {
    let (mut client, mut listener) = watched("E$");
    for line in ["MULTI", "SET a 1", "APPEND a 2", "EXEC"] {
        client.say(line);
    }
    assert_eq!(heard(&mut listener), ["__keyevent@0__:set a", "__keyevent@0__:append a"]);
}
