//! AUTH: the password of the one user there is, `default`.

use std::sync::atomic::Ordering;

use ebb_config::id;
use ebb_engine::{Argument, CommandError, CommandResult, CommandSpec, Context, Flags, Group};

pub(super) static AUTH: CommandSpec = CommandSpec {
    name: "auth",
    summary: "Shows the password that the server asks for.",
    since: "1.0.0",
    group: Group::Connection,
    complexity: "O(N) where N is the length of the password.",
    arity: -2,
    flags: Flags::NOSCRIPT
        .and(Flags::LOADING)
        .and(Flags::STALE)
        .and(Flags::FAST)
        .and(Flags::NO_AUTH)
        .and(Flags::ALLOW_BUSY),
    secret: |_, at| at > 0,
    arguments: &[
        Argument::string("username").optional().since("6.0.0"),
        Argument::string("password"),
    ],
    run,
    ..CommandSpec::NEW
};

fn run(ctx: &mut Context<'_>) -> CommandResult {
    match ctx.args {
        [_, password] => {
            if ctx.server.config.get(id::REQUIREPASS).is_empty() {
                return Err(CommandError::new(
                    "ERR AUTH <password> called without any password configured for the default \
                     user. Are you sure your configuration is correct?",
                ));
            }
            authenticate(ctx, b"default", password)?;
        }
        [_, user, password] => authenticate(ctx, user, password)?,
        _ => return Err(CommandError::Syntax),
    }
    ctx.reply.ok();
    Ok(())
}

/// Lets the client in, or answers the error that does not say what was wrong.
pub(super) fn authenticate(ctx: &mut Context<'_>, user: &[u8], password: &[u8]) -> CommandResult {
    let expected = ctx.server.config.get(id::REQUIREPASS);
    let fits = expected.is_empty() || equal_in_constant_time(expected.as_bytes(), password);
    if user != b"default" || !fits {
        ctx.server.counters.acl_access_denied_auth.fetch_add(1, Ordering::Relaxed);
        return Err(CommandError::new(
            "WRONGPASS invalid username-password pair or user is disabled.",
        ));
    }
    ctx.session.authenticated = true;
    Ok(())
}

/// Whether two texts are equal, without telling by the time it takes where they differ.
fn equal_in_constant_time(a: &[u8], b: &[u8]) -> bool {
    let differing = a.iter().zip(b).fold(0, |differing, (a, b)| differing | (a ^ b));
    a.len() == b.len() && std::hint::black_box(differing) == 0
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn the_password_lets_in() {
        let mut client = Client::with_config(&[("requirepass", "secret")]);
        client.session.authenticated = false;
        assert_eq!(client.say("GET k"), "-NOAUTH Authentication required.\r\n");
        for line in ["AUTH wrong", "AUTH secre", "AUTH other secret"] {
            let wrong = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";
            assert_eq!(client.say(line), wrong, "{line}");
        }
        assert_eq!(client.say("AUTH default secret"), "+OK\r\n");
        assert_eq!(client.say("GET k"), "$-1\r\n");
    }

    #[test]
    fn without_a_password_there_is_nothing_to_show() {
        let mut client = Client::new();
        assert!(client.say("AUTH secret").starts_with("-ERR AUTH <password> called without"));
        assert_eq!(client.say("AUTH default any"), "+OK\r\n");
        assert_eq!(client.say("AUTH a b c"), "-ERR syntax error\r\n");
    }
}
