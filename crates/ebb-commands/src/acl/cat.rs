//! ACL CAT: the categories of commands, and what is in them.

use ebb_engine::{
    Argument, Categories, CommandError, CommandResult, CommandSpec, Context, Flags, Group,
};

pub(super) const CAT: CommandSpec = CommandSpec {
    name: "cat",
    summary: "Lists the categories of commands, or the commands of one.",
    since: "6.0.0",
    group: Group::Server,
    arity: -2,
    flags: Flags::NOSCRIPT.and(Flags::LOADING).and(Flags::STALE),
    arguments: &[Argument::string("category").optional()],
    run: cat,
    ..CommandSpec::NEW
};

fn cat(ctx: &mut Context<'_>) -> CommandResult {
    match ctx.args {
        [_, _] => {
            let names: Vec<&str> = Categories::all_names().collect();
            reply_names(ctx, &names);
        }
        [_, _, name] => {
            let Some(category) = Categories::named(name) else {
                let name = ctx.quote(2);
                return Err(CommandError::new(format!("ERR Unknown category '{name}'")));
            };
            let all = ctx.server.commands.all().iter();
            let within = all.filter(|command| command.spec.categories().has(category));
            let names: Vec<&str> = within.map(|command| command.name).collect();
            reply_names(ctx, &names);
        }
        _ => return Err(super::wrong_arguments(ctx)),
    }
    Ok(())
}

fn reply_names(ctx: &mut Context<'_>, names: &[&str]) {
    ctx.reply.array(names.len());
    names.iter().for_each(|name| ctx.reply.bulk(name.as_bytes()));
}
