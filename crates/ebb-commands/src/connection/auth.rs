//! AUTH: logging in as a user.

use ebb_engine::acl::{self, DEFAULT};
use ebb_engine::{Argument, CommandError, CommandResult, CommandSpec, Context, Flags, Group};

pub(super) static AUTH: CommandSpec = CommandSpec {
    name: "auth",
    summary: "Logs in with a password.",
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
            let user = ctx.server.acl.user(DEFAULT);
            if user.is_some_and(|user| user.has_no_password()) {
                return Err(CommandError::new(
                    "ERR AUTH <password> called without any password configured for the default \
                     user. Are you sure your configuration is correct?",
                ));
            }
            authenticate(ctx, DEFAULT, password)?;
        }
        [_, user, password] => authenticate(ctx, user, password)?,
        _ => return Err(CommandError::Syntax),
    }
    ctx.reply.ok();
    Ok(())
}

/// Lets the client in, or answers the error that does not say what was wrong.
pub(super) fn authenticate(ctx: &mut Context<'_>, name: &[u8], password: &[u8]) -> CommandResult {
    let Some(user) = ctx.server.acl.authenticate(name, password) else {
        acl::note_login(ctx.server, ctx.session, name, ctx.args[0]);
        return Err(CommandError::new(
            "WRONGPASS invalid username-password pair or user is disabled.",
        ));
    };
    ctx.session.log_in(user);
    Ok(())
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
