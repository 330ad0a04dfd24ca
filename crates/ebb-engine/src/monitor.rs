//! MONITOR: a line for each command that runs.

use crate::scratch;
use crate::server::{Server, unix_us};
use crate::session::Session;
use crate::spec::Flags;
use crate::table::Command;

/// Appends an argument in quotes, with escapes for what does not print.
pub fn quote(text: &mut Vec<u8>, arg: &[u8]) {
    text.push(b'"');
    for &byte in arg {
        match byte {
            b'\\' | b'"' => text.extend([b'\\', byte]),
            b'\n' => text.extend(b"\\n"),
            b'\r' => text.extend(b"\\r"),
            b'\t' => text.extend(b"\\t"),
            7 => text.extend(b"\\a"),
            8 => text.extend(b"\\b"),
            0x20..=0x7e => text.push(byte),
            _ => text.extend(format!("\\x{byte:02x}").bytes()),
        }
    }
    text.push(b'"');
}

/// Sends a command to all monitors, unless it is one of those that they do not see.
#[inline]
pub(crate) fn feed(server: &Server, session: &Session, command: &Command, args: &[&[u8]]) {
    if server.has_monitors() && !command.spec.flags.any(Flags::SKIP_MONITOR.and(Flags::ADMIN)) {
        send(server, session, &command.spec.redacted(args));
    }
}

/// Sends a script's command before those that it calls.
pub(crate) fn feed_script(server: &Server, session: &Session, args: &[&[u8]]) {
    if server.has_monitors() {
        send(server, session, args);
    }
}

/// A command whose text there is no memory for is not seen.
#[cold]
fn send(server: &Server, session: &Session, args: &[&[u8]]) {
    // A byte may take four, and the text grows by doubling; it is copied to be shared.
    if scratch::require(12 * args.iter().map(|arg| arg.len()).sum::<usize>()).is_err() {
        return;
    }
    let now = unix_us();
    let client = &session.client;
    let address = if session.in_script {
        "lua".into()
    } else if client.is_unix {
        format!("unix:{}", client.address.trim_end_matches(":0"))
    } else {
        client.address.clone()
    };
    let (seconds, micros) = (now / 1_000_000, now % 1_000_000);
    let mut line = format!("+{seconds}.{micros:06} [{} {address}]", session.db).into_bytes();
    for arg in args {
        line.push(b' ');
        quote(&mut line, arg);
    }
    line.extend(b"\r\n");
    server.feed_monitors(&line);
}
