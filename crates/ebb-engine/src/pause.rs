//! What CLIENT PAUSE holds back.

use crate::scripting::{ScriptFlags, Sha};
use crate::server::{PauseMode, Server};
use crate::session::Session;
use crate::spec::{Flags, Group};
use crate::table::Command;

/// Whether a request must wait for the end of a pause. What is refused does not.
pub(crate) fn holds_back(
    server: &Server,
    mode: PauseMode,
    session: &Session,
    command: &Command,
    args: &[&[u8]],
) -> bool {
    if !command.spec.arity_allows(args.len()) {
        return false; // It is refused, which changes nothing.
    }
    if mode == PauseMode::All {
        return !matches!(command.name, "client|unpause" | "client|pause" | "shutdown");
    }
    let Some(transaction) = &session.transaction else {
        return may_change(server, command, args);
    };
    command.name == "exec"
        && transaction.queue.iter().any(|queued| {
            let args: Vec<&[u8]> = queued.args.iter().map(Vec::as_slice).collect();
            may_change(server, queued.command, &args)
        })
}

/// Whether a command may change the data, or tell replicas something. A script may, unless it
/// says that it does not.
fn may_change(server: &Server, command: &Command, args: &[&[u8]]) -> bool {
    let flags = command.spec.flags;
    let may = flags.any(Flags::WRITE.and(Flags::MAY_REPLICATE));
    may && !(command.spec.group == Group::Scripting && is_harmless(server, command.name, args))
}

/// Whether a script says that it does not write.
fn is_harmless(server: &Server, command: &str, args: &[&[u8]]) -> bool {
    let Some(&script) = args.get(1) else { return false };
    let flags = match command {
        "eval" => return says_no_writes(script),
        "evalsha" => {
            let sha = Sha::try_from(script.to_ascii_lowercase().as_slice());
            let script = sha.ok().and_then(|sha| server.scripting.cache.lock().get(&sha));
            script.and_then(|script| script.flags)
        }
        "fcall" => {
            let name = String::from_utf8_lossy(script);
            let found = server.scripting.libraries.lock().function(&name);
            found.map(|(_, function)| function.flags)
        }
        _ => None,
    };
    flags.is_some_and(|flags| flags.has(ScriptFlags::NO_WRITES))
}

/// Whether a source's first line, such as `#!lua flags=no-writes`, has the flag.
fn says_no_writes(source: &[u8]) -> bool {
    let line = source.split(|&byte| byte == b'\n').next().unwrap_or_default();
    line.starts_with(b"#!")
        && line
            .split(|&byte| byte == b' ')
            .filter_map(|word| word.strip_prefix(b"flags="))
            .any(|flags| flags.split(|&byte| byte == b',').any(|flag| flag == b"no-writes"))
}

#[cfg(test)]
mod tests {
    use super::says_no_writes;

    #[test]
    fn the_first_line_says_it() {
        assert!(says_no_writes(b"#!lua flags=no-writes\nreturn 1"));
        assert!(says_no_writes(b"#!lua flags=allow-oom,no-writes"));
        assert!(!says_no_writes(b"#!lua\nreturn 'flags=no-writes'"));
        assert!(!says_no_writes(b"return 1 -- flags=no-writes"));
    }
}
