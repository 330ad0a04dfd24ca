//! ACL GETUSER: all about a user.

use ebb_engine::acl::Selector;
use ebb_engine::{Argument, CommandResult, CommandSpec, Context, Flags, Group, Reply};

pub(super) const GETUSER: CommandSpec = CommandSpec {
    name: "getuser",
    summary: "Describes a user.",
    since: "6.0.0",
    group: Group::Server,
    complexity: "O(N). Where N is the number of password, command and pattern rules that the user has.",
    arity: 3,
    flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE),
    arguments: &[Argument::string("username")],
    secret: |_, at| at >= 2,
    run: getuser,
    ..CommandSpec::NEW
};

fn getuser(ctx: &mut Context<'_>) -> CommandResult {
    let Some(user) = ctx.server.acl.user(ctx.arg(2)) else {
        ctx.reply.null_array();
        return Ok(());
    };
    let reply = &mut *ctx.reply;
    reply.map(3 + selector_fields(user.root()));
    reply.bulk(b"flags");
    let flags = user.flags();
    reply.set(flags.len());
    flags.iter().for_each(|flag| reply.bulk(flag.as_bytes()));
    reply.bulk(b"passwords");
    reply.array(user.passwords().count());
    user.passwords().for_each(|hash| reply.bulk(hash.as_bytes()));
    describe(reply, user.root());
    reply.bulk(b"selectors");
    reply.array(user.selectors().len());
    for selector in user.selectors() {
        reply.map(selector_fields(selector));
        describe(reply, selector);
    }
    Ok(())
}

/// Databases are told of only if they are restricted, so that others see what Redis shows.
fn selector_fields(selector: &Selector) -> usize {
    3 + usize::from(selector.describe_databases().is_some())
}

fn describe(reply: &mut Reply, selector: &Selector) {
    reply.bulk(b"commands");
    reply.bulk(selector.describe_commands().as_bytes());
    reply.bulk(b"keys");
    reply.bulk(&selector.describe_keys());
    reply.bulk(b"channels");
    reply.bulk(&selector.describe_channels());
    if let Some(databases) = selector.describe_databases() {
        reply.bulk(b"databases");
        reply.bulk(databases.as_bytes());
    }
}
