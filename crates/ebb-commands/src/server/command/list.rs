//! COMMAND LIST: names of commands.

use ebb_engine::{
    Argument, ArgumentKind, Categories, Command, CommandError, CommandResult, CommandSpec, Context,
    Flags, Group,
};
use ebb_types::glob;

pub(super) const LIST: CommandSpec = CommandSpec {
    name: "list",
    summary: "Returns the names of commands, all or those that pass a filter.",
    since: "7.0.0",
    group: Group::Server,
    complexity: "O(N) where N is the number of commands.",
    arity: -2,
    flags: Flags::LOADING.and(Flags::STALE),
    acl: Categories::CONNECTION,
    arguments: &[Argument::one_of(
        "filterby",
        &[
            Argument::string("module-name").after("MODULE"),
            Argument::string("category").after("ACLCAT"),
            Argument::new("pattern", ArgumentKind::Pattern).after("PATTERN"),
        ],
    )
    .after("FILTERBY")
    .optional()],
    tips: &["nondeterministic_output_order"],
    run,
    ..CommandSpec::NEW
};

fn run(ctx: &mut Context<'_>) -> CommandResult {
    let all = ctx.server.commands.all();
    let names: Vec<&str> = match ctx.args {
        [_, _] => all.iter().map(|command| command.name).collect(),
        [_, _, _, _, value] if ctx.is_word(2, "FILTERBY") => {
            let passes: Box<dyn Fn(&Command) -> bool> = match () {
                () if ctx.is_word(3, "MODULE") => Box::new(|_| false),
                () if ctx.is_word(3, "ACLCAT") => {
                    let category = Categories::named(value);
                    Box::new(move |command| {
                        category.is_some_and(|category| command.spec.categories().has(category))
                    })
                }
                () if ctx.is_word(3, "PATTERN") => {
                    Box::new(move |command| glob::matches(value, command.name.as_bytes(), true))
                }
                () => return Err(CommandError::Syntax),
            };
            all.iter().filter(|command| passes(command)).map(|command| command.name).collect()
        }
        _ => return Err(CommandError::Syntax),
    };
    ctx.reply.array(names.len());
    names.iter().for_each(|name| ctx.reply.bulk(name.as_bytes()));
    Ok(())
}
