//! COMMAND DOCS: a command's documentation, from which redis-cli makes its hints.

use ebb_engine::{
    Argument, ArgumentKind, Categories, Command, CommandResult, CommandSpec, Context, Flags, Group,
    Reply,
};

pub(super) const DOCS: CommandSpec = CommandSpec {
    name: "docs",
    summary: "Returns the documentation of commands, of all if none is named.",
    since: "7.0.0",
    group: Group::Server,
    complexity: "O(N) where N is the number of commands.",
    arity: -2,
    flags: Flags::LOADING.and(Flags::STALE),
    acl: Categories::CONNECTION,
    arguments: &[Argument::string("command-name").optional().multiple()],
    tips: &["nondeterministic_output_order"],
    run,
    ..CommandSpec::NEW
};

fn run(ctx: &mut Context<'_>) -> CommandResult {
    let table = &ctx.server.commands;
    let commands: Vec<&Command> = match &ctx.args[2..] {
        [] => table.top().to_vec(),
        names => names.iter().filter_map(|name| table.by_full_name(name)).collect(),
    };
    ctx.reply.map(commands.len());
    for command in commands {
        ctx.reply.bulk(command.name.as_bytes());
        document(ctx.reply, command);
    }
    Ok(())
}

/// A name, and what writes its value.
type Pair<'a> = (&'static str, Box<dyn Fn(&mut Reply) + 'a>);

fn write_map(reply: &mut Reply, pairs: &[Pair<'_>]) {
    reply.map(pairs.len());
    for (name, write) in pairs {
        reply.bulk(name.as_bytes());
        write(reply);
    }
}

fn text<'a>(name: &'static str, value: &'a str) -> Pair<'a> {
    (name, Box::new(move |reply| reply.bulk(value.as_bytes())))
}

fn document(reply: &mut Reply, command: &Command) {
    let spec = command.spec;
    let mut pairs = vec![
        text("summary", spec.summary),
        text("since", spec.since),
        text("group", spec.group.name()),
        text("complexity", spec.complexity),
    ];
    if let Some((since, instead)) = spec.deprecated {
        pairs.push((
            "doc_flags",
            Box::new(|reply| {
                reply.set(1);
                reply.simple("deprecated");
            }),
        ));
        pairs.extend([text("deprecated_since", since), text("replaced_by", instead)]);
    }
    if !spec.history.is_empty() {
        pairs.push((
            "history",
            Box::new(|reply| {
                reply.set(spec.history.len());
                for (version, change) in spec.history {
                    reply.array(2);
                    reply.bulk(version.as_bytes());
                    reply.bulk(change.as_bytes());
                }
            }),
        ));
    }
    if !spec.arguments.is_empty() {
        pairs.push(("arguments", Box::new(|reply| arguments(reply, spec.arguments))));
    }
    if !command.subcommands.is_empty() {
        pairs.push((
            "subcommands",
            Box::new(|reply| {
                reply.map(command.subcommands.len());
                for subcommand in &command.subcommands {
                    reply.bulk(subcommand.name.as_bytes());
                    document(reply, subcommand);
                }
            }),
        ));
    }
    write_map(reply, &pairs);
}

fn arguments(reply: &mut Reply, list: &[Argument]) {
    reply.array(list.len());
    list.iter().for_each(|one| argument(reply, one));
}

fn argument(reply: &mut Reply, argument: &Argument) {
    let (kind, parts): (&str, &[Argument]) = match argument.kind {
        ArgumentKind::String => ("string", &[]),
        ArgumentKind::Integer => ("integer", &[]),
        ArgumentKind::Double => ("double", &[]),
        ArgumentKind::Key => ("key", &[]),
        ArgumentKind::Pattern => ("pattern", &[]),
        ArgumentKind::UnixTime => ("unix-time", &[]),
        ArgumentKind::Token => ("pure-token", &[]),
        ArgumentKind::OneOf(parts) => ("oneof", parts),
        ArgumentKind::Block(parts) => ("block", parts),
    };
    let mut pairs = vec![text("name", argument.name), text("type", kind)];
    if parts.is_empty() {
        pairs.push(text("display_text", argument.name));
    }
    if let Some(index) = argument.key_spec {
        pairs.push(("key_spec_index", Box::new(move |reply| reply.count(index))));
    }
    if let Some(token) = argument.token {
        pairs.push(text("token", token));
    }
    if let Some(since) = argument.since {
        pairs.push(text("since", since));
    }
    let flags = [
        (argument.optional, "optional"),
        (argument.multiple, "multiple"),
        (argument.multiple_token, "multiple_token"),
    ];
    let flags: Vec<_> = flags.iter().filter(|(set, _)| *set).map(|(_, name)| *name).collect();
    if !flags.is_empty() {
        pairs.push((
            "flags",
            Box::new(move |reply| {
                reply.set(flags.len());
                flags.iter().for_each(|flag| reply.simple(flag));
            }),
        ));
    }
    if !parts.is_empty() {
        pairs.push(("arguments", Box::new(move |reply| arguments(reply, parts))));
    }
    write_map(reply, &pairs);
}
