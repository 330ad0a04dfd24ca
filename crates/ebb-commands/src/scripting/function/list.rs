//! FUNCTION LIST and STATS.

use ebb_engine::scripting::{Function, Library};
use ebb_engine::{Argument, CommandError, CommandResult, CommandSpec, Context, Flags, Group};
use ebb_types::glob;

pub(super) const LIST: CommandSpec = CommandSpec {
    name: "list",
    summary: "Lists the libraries and their functions.",
    since: "7.0.0",
    group: Group::Scripting,
    complexity: "O(N) where N is the number of functions.",
    arity: -2,
    flags: Flags::NOSCRIPT,
    arguments: &[
        Argument::string("library-name-pattern").after("LIBRARYNAME").optional(),
        Argument::word("withcode", "WITHCODE").optional(),
    ],
    tips: &["nondeterministic_output_order"],
    run: list,
    ..CommandSpec::NEW
};
pub(super) const STATS: CommandSpec = CommandSpec {
    name: "stats",
    summary: "Tells of the function that runs, and of the engines.",
    since: "7.0.0",
    group: Group::Scripting,
    arity: 2,
    flags: Flags::NOSCRIPT.and(Flags::ALLOW_BUSY),
    tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
    run: stats,
    ..CommandSpec::NEW
};

fn list(ctx: &mut Context<'_>) -> CommandResult {
    let (mut pattern, mut with_code) = (None, false);
    let mut at = 2;
    while at < ctx.args.len() {
        if !with_code && ctx.is_word(at, "WITHCODE") {
            with_code = true;
        } else if pattern.is_none() && ctx.is_word(at, "LIBRARYNAME") {
            at += 1;
            if at >= ctx.args.len() {
                return Err(CommandError::new("ERR library name argument was not given"));
            }
            pattern = Some(ctx.arg(at));
        } else {
            return Err(CommandError::new(format!("ERR Unknown argument {}", ctx.quote(at))));
        }
        at += 1;
    }
    let libraries: Vec<_> = ctx.server.scripting.libraries.lock().all().cloned().collect();
    let wanted = |library: &Library| {
        pattern.is_none_or(|pattern| glob::matches(pattern, library.name.as_bytes(), true))
    };
    let chosen: Vec<_> = libraries.iter().filter(|library| wanted(library)).collect();
    ctx.reply.array(chosen.len());
    chosen.iter().for_each(|library| show(ctx, library, with_code));
    Ok(())
}

fn show(ctx: &mut Context<'_>, library: &Library, with_code: bool) {
    let reply = &mut *ctx.reply;
    reply.map(if with_code { 4 } else { 3 });
    reply.bulk(b"library_name");
    reply.bulk(library.name.as_bytes());
    reply.bulk(b"engine");
    reply.bulk(b"LUA");
    reply.bulk(b"functions");
    reply.array(library.functions.len());
    library.functions.iter().for_each(|function| show_function(ctx, function));
    if with_code {
        ctx.reply.bulk(b"library_code");
        ctx.reply.bulk(&library.source.read());
    }
}

fn show_function(ctx: &mut Context<'_>, function: &Function) {
    let reply = &mut *ctx.reply;
    reply.map(3);
    reply.bulk(b"name");
    reply.bulk(function.name.as_bytes());
    reply.bulk(b"description");
    match &function.description {
        Some(text) => reply.bulk(text.as_bytes()),
        None => reply.null(),
    }
    reply.bulk(b"flags");
    reply.set(function.flags.names().count());
    function.flags.names().for_each(|flag| reply.simple(flag));
}

fn stats(ctx: &mut Context<'_>) -> CommandResult {
    let running = ctx.server.scripting.running();
    if ctx.server.is_busy() && running.as_ref().is_some_and(|running| !running.is_function) {
        return Err(CommandError::new(ctx.server.scripting.busy_text()));
    }
    let running = running.filter(|running| running.is_function);
    let (libraries, functions) = ctx.server.scripting.libraries.lock().counts();
    let reply = &mut *ctx.reply;
    reply.map(2);
    reply.bulk(b"running_script");
    match running {
        None => reply.null(),
        Some(running) => {
            reply.map(3);
            reply.bulk(b"name");
            reply.bulk(running.name.as_bytes());
            reply.bulk(b"command");
            reply.array(running.command.len());
            running.command.iter().for_each(|arg| reply.bulk(arg));
            reply.bulk(b"duration_ms");
            reply.integer(running.began.elapsed().as_millis() as i64);
        }
    }
    reply.bulk(b"engines");
    reply.map(1);
    reply.bulk(b"LUA");
    reply.map(2);
    reply.bulk(b"libraries_count");
    reply.count(libraries);
    reply.bulk(b"functions_count");
    reply.count(functions);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn libraries_are_listed() {
        let mut client = Client::new();
        let code = "#!lua name=lib\nredis.register_function{function_name='f', callback=function() end, description='d', flags={'no-writes'}}";
        client.run(&["FUNCTION", "LOAD", code]);
        let list = client.say("FUNCTION LIST WITHCODE LIBRARYNAME L*");
        for part in ["lib", "LUA", "$1\r\nf\r\n", "$1\r\nd\r\n", "+no-writes", "#!lua name=lib"] {
            assert!(list.contains(part), "{part} is missing in {list}");
        }
        assert_eq!(client.say("FUNCTION LIST LIBRARYNAME x"), "*0\r\n");
        assert_eq!(client.say("FUNCTION LIST x"), "-ERR Unknown argument x\r\n");
        assert_eq!(
            client.say("FUNCTION LIST LIBRARYNAME"),
            "-ERR library name argument was not given\r\n"
        );
        let stats = client.say("FUNCTION STATS");
        assert!(stats.contains("libraries_count\r\n:1") && stats.contains("functions_count\r\n:1"));
    }
}
