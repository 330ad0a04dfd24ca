//! ACL SETUSER, DELUSER, USERS, LIST and WHOAMI.

use std::slice::from_ref;

use ebb_engine::acl::{self, DEFAULT, User, has_spaces, merge_selectors};
use ebb_engine::{Argument, CommandError, CommandResult, CommandSpec, Context, Flags, Group};

pub(super) const SETUSER: CommandSpec = CommandSpec {
    name: "setuser",
    summary: "Makes or changes a user by rules.",
    since: "6.0.0",
    group: Group::Server,
    complexity: "O(N). Where N is the number of rules provided.",
    arity: -3,
    flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE),
    arguments: &[Argument::string("username"), Argument::string("rule").optional().multiple()],
    secret: |_, at| at >= 2,
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    run: setuser,
    ..CommandSpec::NEW
};

fn setuser(ctx: &mut Context<'_>) -> CommandResult {
    let name = ctx.arg(2);
    if has_spaces(name) {
        return Err(CommandError::new("ERR Usernames can't contain spaces or null characters"));
    }
    let rules = merge_selectors(&ctx.args[3..]).map_err(|open| {
        let open = String::from_utf8_lossy(open);
        CommandError::new(format!(
            "ERR Unmatched parenthesis in acl selector starting at '{open}'."
        ))
    })?;
    let around = ctx.server.acl_surroundings();
    let apply_all = |user: &mut User| -> CommandResult {
        for rule in &rules {
            user.apply(rule, &around).map_err(|error| {
                let (rule, text) = (String::from_utf8_lossy(rule), error.text());
                CommandError::new(format!("ERR Error in ACL SETUSER modifier '{rule}': {text}"))
            })?;
        }
        Ok(())
    };
    let (before, after) = ctx.server.acl.set_user(name, &around, apply_all)?;
    if before.is_some() {
        acl::disconnect_subscribers(ctx.server, ctx.session, from_ref(&after));
    }
    ctx.reply.ok();
    Ok(())
}

pub(super) const DELUSER: CommandSpec = CommandSpec {
    name: "deluser",
    summary: "Deletes users and closes their connections.",
    since: "6.0.0",
    group: Group::Server,
    complexity: "O(1) amortized time considering the typical user.",
    arity: -3,
    flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE),
    arguments: &[Argument::string("username").multiple()],
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    secret: |_, at| at >= 2,
    run: deluser,
    ..CommandSpec::NEW
};

fn deluser(ctx: &mut Context<'_>) -> CommandResult {
    let names = &ctx.args[2..];
    if names.contains(&DEFAULT) {
        return Err(CommandError::new("ERR The 'default' user cannot be removed"));
    }
    let deleted: Vec<&[u8]> =
        names.iter().copied().filter(|name| ctx.server.acl.remove(name)).collect();
    if !deleted.is_empty() {
        acl::disconnect(ctx.server, ctx.session, |user| deleted.contains(&user));
    }
    ctx.reply.count(deleted.len());
    Ok(())
}

pub(super) const USERS: CommandSpec = CommandSpec {
    name: "users",
    summary: "Lists the names of all users.",
    since: "6.0.0",
    group: Group::Server,
    complexity: "O(N). Where N is the number of configured users.",
    arity: 2,
    flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE),
    run: users,
    ..CommandSpec::NEW
};

fn users(ctx: &mut Context<'_>) -> CommandResult {
    let all = ctx.server.acl.all();
    ctx.reply.array(all.len());
    all.iter().for_each(|user| ctx.reply.bulk(&user.name));
    Ok(())
}

pub(super) const LIST: CommandSpec = CommandSpec {
    name: "list",
    summary: "Lists all users with their rules, as the ACL file has them.",
    since: "6.0.0",
    group: Group::Server,
    complexity: "O(N). Where N is the number of configured users.",
    arity: 2,
    flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE),
    run: list,
    ..CommandSpec::NEW
};

fn list(ctx: &mut Context<'_>) -> CommandResult {
    let all = ctx.server.acl.all();
    ctx.reply.array(all.len());
    all.iter().for_each(|user| ctx.reply.bulk(&user.line()));
    Ok(())
}

pub(super) const WHOAMI: CommandSpec = CommandSpec {
    name: "whoami",
    summary: "Names the user of the connection.",
    since: "6.0.0",
    group: Group::Server,
    arity: 2,
    flags: Flags::NOSCRIPT.and(Flags::LOADING).and(Flags::STALE),
    run: whoami,
    ..CommandSpec::NEW
};

fn whoami(ctx: &mut Context<'_>) -> CommandResult {
    let user = ctx.session.user(ctx.server);
    ctx.reply.bulk(&user.name);
    Ok(())
}
