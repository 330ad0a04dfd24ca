//! MONITOR and ROLE.

use ebb_engine::{Categories, CommandResult, CommandSpec, Context, Flags, Group};

pub(super) static MONITOR: CommandSpec = CommandSpec {
    name: "monitor",
    summary: "Sends every command that runs to this client.",
    since: "1.0.0",
    group: Group::Server,
    arity: 1,
    flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE),
    run: monitor,
    ..CommandSpec::NEW
};

fn monitor(ctx: &mut Context<'_>) -> CommandResult {
    ctx.session.set_monitor(ctx.server, true);
    ctx.reply.ok();
    Ok(())
}

pub(super) static ROLE: CommandSpec = CommandSpec {
    name: "role",
    summary: "Says what the server is in replication.",
    since: "2.8.12",
    group: Group::Server,
    arity: 1,
    flags: Flags::NOSCRIPT.and(Flags::LOADING).and(Flags::STALE).and(Flags::FAST),
    acl: Categories::ADMIN.and(Categories::DANGEROUS),
    run: role,
    ..CommandSpec::NEW
};

/// A server without replication is a primary that nobody follows.
fn role(ctx: &mut Context<'_>) -> CommandResult {
    ctx.reply.array(3);
    ctx.reply.bulk(b"master");
    ctx.reply.integer(0);
    ctx.reply.array(0);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn commands_are_shown() {
        let mut client = Client::new();
        let mut other = client.another();
        assert_eq!(other.say("MONITOR"), "+OK\r\n");
        client.run(&["SET", "k", "a\"\n\u{1}"]);
        client.say("CONFIG GET port");
        let seen = String::from_utf8(other.session.client.take_inbox()).unwrap();
        assert!(seen.ends_with(" [0 127.0.0.1:1] \"SET\" \"k\" \"a\\\"\\n\\x01\"\r\n"), "{seen}");
        other.say("RESET");
        assert!(!client.server.has_monitors());
    }
}
