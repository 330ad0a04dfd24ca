//! HELLO: which protocol is spoken, and by whom.

use ebb_engine::{
    Argument, CommandError, CommandResult, CommandSpec, Context, Flags, Group, REDIS_VERSION,
};
use ebb_resp::Protocol;
use ebb_types::number::parse_i64;

use super::auth::authenticate;
use super::client::{check_name, set_name};

pub(super) static HELLO: CommandSpec = CommandSpec {
    name: "hello",
    summary: "Chooses the protocol, and can authenticate and name the client as well.",
    since: "6.0.0",
    group: Group::Connection,
    arity: -1,
    flags: Flags::NOSCRIPT
        .and(Flags::LOADING)
        .and(Flags::STALE)
        .and(Flags::FAST)
        .and(Flags::NO_AUTH)
        .and(Flags::ALLOW_BUSY),
    secret: |args, at| {
        let is_auth = |at: usize| args[at].eq_ignore_ascii_case(b"AUTH");
        (at >= 3 && is_auth(at - 1)) || (at >= 4 && is_auth(at - 2))
    },
    arguments: &[Argument::block(
        "arguments",
        &[
            Argument::integer("protover"),
            Argument::block("auth", &[Argument::string("username"), Argument::string("password")])
                .after("AUTH")
                .optional(),
            Argument::string("clientname").after("SETNAME").optional(),
        ],
    )
    .optional()],
    run,
    ..CommandSpec::NEW
};

fn run(ctx: &mut Context<'_>) -> CommandResult {
    let protocol = match ctx.args.get(1).map(|version| parse_i64(version)) {
        None => None,
        Some(Some(2)) => Some(Protocol::Resp2),
        Some(Some(3)) => Some(Protocol::Resp3),
        Some(Some(_)) => {
            return Err(CommandError::new("NOPROTO unsupported protocol version"));
        }
        Some(None) => {
            return Err(CommandError::new(
                "ERR Protocol version is not an integer or out of range",
            ));
        }
    };
    let (mut login, mut name) = (None, None);
    let mut at = 2;
    while at < ctx.args.len() {
        let left = ctx.args.len() - at - 1;
        if ctx.is_word(at, "AUTH") && left >= 2 {
            login = Some((ctx.arg(at + 1), ctx.arg(at + 2)));
            at += 3;
        } else if ctx.is_word(at, "SETNAME") && left >= 1 {
            check_name(ctx.arg(at + 1), "Client names")?;
            name = Some(ctx.arg(at + 1));
            at += 2;
        } else {
            let option = ctx.quote(at);
            return Err(CommandError::new(format!("ERR Syntax error in HELLO option '{option}'")));
        }
    }
    if let Some((user, password)) = login {
        authenticate(ctx, user, password)?;
    }
    if !ctx.session.authenticated {
        return Err(CommandError::new(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the \
             HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and \
             select the RESP protocol version at the same time",
        ));
    }
    if let Some(name) = name {
        set_name(ctx, name);
    }
    if let Some(protocol) = protocol {
        ctx.session.set_protocol(protocol);
        ctx.reply.set_protocol(protocol);
    }
    describe(ctx);
    Ok(())
}

fn describe(ctx: &mut Context<'_>) {
    let reply = &mut *ctx.reply;
    reply.map(7);
    reply.bulk(b"server");
    reply.bulk(b"redis");
    reply.bulk(b"version");
    reply.bulk(REDIS_VERSION.as_bytes());
    reply.bulk(b"proto");
    reply.integer(if ctx.session.protocol == Protocol::Resp3 { 3 } else { 2 });
    reply.bulk(b"id");
    reply.integer(ctx.session.id() as i64);
    reply.bulk(b"mode");
    reply.bulk(b"standalone");
    reply.bulk(b"role");
    reply.bulk(b"master");
    reply.bulk(b"modules");
    reply.array(0);
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn protocols_are_chosen() {
        let mut client = Client::new();
        assert!(client.say("HELLO").starts_with("*14\r\n$6\r\nserver\r\n"));
        assert!(client.say("HELLO 3 SETNAME me").starts_with("%7\r\n$6\r\nserver\r\n"));
        assert_eq!(client.say("GET nothing"), "_\r\n");
        assert_eq!(client.say("CLIENT GETNAME"), "$2\r\nme\r\n");
        assert_eq!(client.say("HELLO 4"), "-NOPROTO unsupported protocol version\r\n");
        assert_eq!(client.say("HELLO 2 WHAT"), "-ERR Syntax error in HELLO option 'WHAT'\r\n");
    }

    #[test]
    fn authenticates() {
        let mut client = Client::with_config(&[("requirepass", "secret")]);
        client.session.authenticated = false;
        assert!(client.say("HELLO 3").starts_with("-NOAUTH HELLO must be called"));
        assert!(client.say("HELLO 3 AUTH default secret").starts_with("%7\r\n"));
    }
}
