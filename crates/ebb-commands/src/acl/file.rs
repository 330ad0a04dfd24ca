//! ACL LOAD and ACL SAVE: the file of users.

use ebb_config::id;
use ebb_engine::acl;
use ebb_engine::{CommandError, CommandResult, CommandSpec, Context, Flags, Group};

pub(super) const LOAD: CommandSpec = CommandSpec {
    name: "load",
    summary: "Reads the users anew from their file.",
    since: "6.0.0",
    group: Group::Server,
    complexity: "O(N). Where N is the number of configured users.",
    arity: 2,
    flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE),
    run: load,
    ..CommandSpec::NEW
};

fn load(ctx: &mut Context<'_>) -> CommandResult {
    check_configured(ctx)?;
    let text = ctx.server.config.read_acl_file();
    let loaded = text.and_then(|text| ctx.server.load_acl(&text));
    loaded.map_err(|error| CommandError::new(format!("ERR {error}")))?;
    // The others go on with their new rules.
    let server = ctx.server;
    acl::disconnect(server, ctx.session, |user| server.acl.user(user).is_none());
    acl::disconnect_subscribers(server, ctx.session, &server.acl.all());
    ctx.reply.ok();
    Ok(())
}

pub(super) const SAVE: CommandSpec = CommandSpec {
    name: "save",
    summary: "Writes the users to their file.",
    since: "6.0.0",
    group: Group::Server,
    complexity: "O(N). Where N is the number of configured users.",
    arity: 2,
    flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE),
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    run: save,
    ..CommandSpec::NEW
};

fn save(ctx: &mut Context<'_>) -> CommandResult {
    check_configured(ctx)?;
    let text = ctx.server.acl.file_text();
    if let Err(error) = ctx.server.config.write_acl_file(&text) {
        tracing::warn!("Saving the ACL file: {error}");
        return Err(CommandError::new(
            "ERR There was an error trying to save the ACLs. Please check the server logs for \
             more information",
        ));
    }
    ctx.reply.ok();
    Ok(())
}

fn check_configured(ctx: &Context<'_>) -> CommandResult {
    if !ctx.server.config.get(id::ACLFILE).is_empty() {
        return Ok(());
    }
    Err(CommandError::new(
        "ERR This Redis instance is not configured to use an ACL file. You may want to specify \
         users via the ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a \
         Redis configuration file set) in order to store users in the Redis configuration.",
    ))
}
