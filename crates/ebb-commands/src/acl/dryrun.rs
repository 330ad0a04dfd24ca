//! ACL DRYRUN: whether a user could run a command.

use ebb_engine::{
    Argument, CommandError, CommandResult, CommandSpec, Context, Flags, Group, Resolved,
};

pub(super) const DRYRUN: CommandSpec = CommandSpec {
    name: "dryrun",
    summary: "Tells whether a user may run a command, without running it.",
    since: "7.0.0",
    group: Group::Server,
    complexity: "O(1).",
    arity: -4,
    flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE),
    arguments: &[
        Argument::string("username"),
        Argument::string("command"),
        Argument::string("arg").optional().multiple(),
    ],
    run: dryrun,
    ..CommandSpec::NEW
};

fn dryrun(ctx: &mut Context<'_>) -> CommandResult {
    let args = &ctx.args[3..];
    let Some(user) = ctx.server.acl.user(ctx.arg(2)) else {
        let name = ctx.quote(2);
        return Err(CommandError::new(format!("ERR User '{name}' not found")));
    };
    let Resolved::Command(command) = ctx.server.commands.resolve(args) else {
        let name = ctx.quote(3);
        return Err(CommandError::new(format!("ERR Command '{name}' not found")));
    };
    if !command.spec.arity_allows(args.len()) {
        return Err(CommandError::WrongArity(command.name.into()));
    }
    match user.check(command, args, ctx.session.db) {
        Ok(()) => ctx.reply.ok(),
        Err(denial) => ctx.reply.bulk(&denial.text_in_full(&user, command, args)),
    }
    Ok(())
}
