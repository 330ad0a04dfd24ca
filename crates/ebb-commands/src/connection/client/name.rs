//! CLIENT SETNAME, GETNAME and SETINFO: what a client calls itself.

use ebb_engine::{Argument, CommandError, CommandResult, CommandSpec, Context, Flags, Group};

/// Names stand in CLIENT LIST between blanks, so they have none.
pub(in super::super) fn check_name(name: &[u8], what: impl std::fmt::Display) -> CommandResult {
    if name.iter().all(|byte| matches!(byte, b'!'..=b'~')) {
        return Ok(());
    }
    Err(CommandError::new(format!(
        "ERR {what} cannot contain spaces, newlines or special characters."
    )))
}

/// Names the client.
pub(in super::super) fn set_name(ctx: &Context<'_>, name: &[u8]) {
    ctx.session.client.names.lock().name = String::from_utf8_lossy(name).into_owned();
}

pub(super) const SETNAME: CommandSpec = CommandSpec {
    name: "setname",
    summary: "Names the connection.",
    since: "2.6.9",
    group: Group::Connection,
    arity: 3,
    flags: Flags::NOSCRIPT.and(Flags::LOADING).and(Flags::STALE),
    arguments: &[Argument::string("connection-name")],
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    run: setname,
    ..CommandSpec::NEW
};

fn setname(ctx: &mut Context<'_>) -> CommandResult {
    check_name(ctx.arg(2), "Client names")?;
    set_name(ctx, ctx.arg(2));
    ctx.reply.ok();
    Ok(())
}

pub(super) const GETNAME: CommandSpec = CommandSpec {
    name: "getname",
    summary: "Returns the name of the connection.",
    since: "2.6.9",
    group: Group::Connection,
    arity: 2,
    flags: Flags::NOSCRIPT.and(Flags::LOADING).and(Flags::STALE),
    run: getname,
    ..CommandSpec::NEW
};

fn getname(ctx: &mut Context<'_>) -> CommandResult {
    let name = ctx.session.client.names.lock().name.clone();
    if name.is_empty() {
        ctx.reply.null()
    } else {
        ctx.reply.bulk(name.as_bytes())
    }
    Ok(())
}

pub(super) const SETINFO: CommandSpec = CommandSpec {
    name: "setinfo",
    summary: "Tells which client library is used, and its version.",
    since: "7.2.0",
    group: Group::Connection,
    arity: 4,
    flags: Flags::NOSCRIPT.and(Flags::LOADING).and(Flags::STALE),
    arguments: &[Argument::one_of(
        "attr",
        &[
            Argument::string("libname").after("LIB-NAME"),
            Argument::string("libver").after("LIB-VER"),
        ],
    )],
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    run: setinfo,
    ..CommandSpec::NEW
};

fn setinfo(ctx: &mut Context<'_>) -> CommandResult {
    let value = ctx.arg(3);
    let text = || String::from_utf8_lossy(value).into_owned();
    if ctx.is_word(2, "LIB-NAME") {
        check_name(value, ctx.quote(2))?;
        ctx.session.client.names.lock().lib_name = text();
    } else if ctx.is_word(2, "LIB-VER") {
        check_name(value, ctx.quote(2))?;
        ctx.session.client.names.lock().lib_version = text();
    } else {
        let option = ctx.quote(2);
        return Err(CommandError::new(format!("ERR Unrecognized option '{option}'")));
    }
    ctx.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn names_are_kept() {
        let mut client = Client::new();
        assert_eq!(client.say("CLIENT GETNAME"), "$-1\r\n");
        assert_eq!(client.say("CLIENT SETNAME me"), "+OK\r\n");
        assert_eq!(client.say("CLIENT GETNAME"), "$2\r\nme\r\n");
        assert!(client.run(&["CLIENT", "SETNAME", "a b"]).starts_with("-ERR Client names cannot"));
        let refused = client.run(&["CLIENT", "SETINFO", "Lib-Ver", "a b"]);
        assert!(refused.starts_with("-ERR Lib-Ver cannot contain spaces"), "{refused}");
        assert_eq!(client.say("CLIENT SETINFO LIB-NAME lib"), "+OK\r\n");
        assert_eq!(client.say("CLIENT SETINFO lib-ver 1.2"), "+OK\r\n");
        assert!(client.say("CLIENT INFO").contains(" lib-name=lib lib-ver=1.2"));
        assert_eq!(
            client.say("CLIENT SETINFO COLOUR red"),
            "-ERR Unrecognized option 'COLOUR'\r\n"
        );
    }
}
