//! FUNCTION LOAD, DELETE, FLUSH and KILL.

use ebb_engine::{Argument, CommandError, CommandResult, CommandSpec, Context, Flags, Group};
use ebb_script::{forget_functions, load_library};

use crate::scripting::script::stop;

pub(super) const LOAD: CommandSpec = CommandSpec {
    name: "load",
    summary: "Adds a library.",
    since: "7.0.0",
    group: Group::Scripting,
    complexity: "O(1) (considering compilation time is redundant)",
    arity: -3,
    flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::NOSCRIPT),
    arguments: &[
        Argument::word("replace", "REPLACE").optional(),
        Argument::string("function-code"),
    ],
    tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
    run: load,
    ..CommandSpec::NEW
};
pub(super) const DELETE: CommandSpec = CommandSpec {
    name: "delete",
    summary: "Removes a library and its functions.",
    since: "7.0.0",
    group: Group::Scripting,
    arity: 3,
    flags: Flags::WRITE.and(Flags::NOSCRIPT),
    arguments: &[Argument::string("library-name")],
    tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
    run: delete,
    ..CommandSpec::NEW
};
pub(super) const FLUSH: CommandSpec = CommandSpec {
    name: "flush",
    summary: "Removes all libraries.",
    since: "7.0.0",
    group: Group::Scripting,
    complexity: "O(N) where N is the number of functions.",
    arity: -2,
    flags: Flags::WRITE.and(Flags::NOSCRIPT),
    arguments: &[Argument::one_of(
        "flush-type",
        &[Argument::word("async", "ASYNC"), Argument::word("sync", "SYNC")],
    )
    .optional()],
    tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
    run: flush,
    ..CommandSpec::NEW
};
pub(super) const KILL: CommandSpec = CommandSpec {
    name: "kill",
    summary: "Stops the function that runs, unless it has changed data.",
    since: "7.0.0",
    group: Group::Scripting,
    arity: 2,
    flags: Flags::NOSCRIPT.and(Flags::ALLOW_BUSY),
    tips: &["request_policy:all_shards", "response_policy:one_succeeded"],
    run: kill,
    ..CommandSpec::NEW
};

fn load(ctx: &mut Context<'_>) -> CommandResult {
    let (options, source) = (&ctx.args[2..ctx.args.len() - 1], ctx.args[ctx.args.len() - 1]);
    let mut replace = false;
    for (at, option) in options.iter().enumerate() {
        if !option.eq_ignore_ascii_case(b"REPLACE") {
            let text = format!("ERR Unknown option given: {}", ctx.quote(2 + at));
            return Err(CommandError::new(text));
        }
        replace = true;
    }
    let name = ebb_script::library_name(source)?;
    if !replace && ctx.server.scripting.libraries.lock().has(&name) {
        return Err(CommandError::new(format!("ERR Library '{name}' already exists")));
    }
    let library = load_library(ctx, source)?;
    let added = ctx.server.scripting.libraries.lock().add(library, replace);
    added.map_err(|text| CommandError::new(format!("ERR {text}")))?;
    ctx.journal.dirty += 1;
    ctx.reply.bulk(name.as_bytes());
    Ok(())
}

fn delete(ctx: &mut Context<'_>) -> CommandResult {
    let name = String::from_utf8_lossy(ctx.arg(2));
    if !ctx.server.scripting.libraries.lock().remove(&name) {
        return Err(CommandError::new("ERR Library not found"));
    }
    ctx.journal.dirty += 1;
    ctx.reply.ok();
    Ok(())
}

fn flush(ctx: &mut Context<'_>) -> CommandResult {
    let known = || ctx.is_word(2, "SYNC") || ctx.is_word(2, "ASYNC");
    if ctx.args.len() > 3 {
        return Err(super::wrong_arguments(ctx));
    }
    if ctx.args.len() == 3 && !known() {
        return Err(CommandError::new("ERR FUNCTION FLUSH only supports SYNC|ASYNC option"));
    }
    ctx.server.scripting.libraries.lock().flush();
    forget_functions(ctx);
    ctx.journal.dirty += 1;
    ctx.reply.ok();
    Ok(())
}

fn kill(ctx: &mut Context<'_>) -> CommandResult {
    stop(ctx, true)
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    fn load(client: &mut Client, code: &str) -> String {
        client.run(&["FUNCTION", "LOAD", &format!("#!lua name=lib\n{code}")])
    }

    #[test]
    fn libraries_come_and_go() {
        let mut client = Client::new();
        let one = "redis.register_function('f', function() return 1 end)";
        assert_eq!(load(&mut client, one), "$3\r\nlib\r\n");
        assert_eq!(load(&mut client, one), "-ERR Library 'lib' already exists\r\n");
        assert_eq!(client.say("FCALL f 0"), ":1\r\n");
        let two = "#!lua name=lib\nredis.register_function('f', function() return 2 end)";
        assert_eq!(client.run(&["FUNCTION", "LOAD", "REPLACE", two]), "$3\r\nlib\r\n");
        assert_eq!(client.say("FCALL f 0"), ":2\r\n");
        assert_eq!(client.say("FUNCTION DELETE none"), "-ERR Library not found\r\n");
        assert_eq!(client.say("FUNCTION DELETE lib"), "+OK\r\n");
        assert_eq!(client.say("FCALL f 0"), "-ERR Function not found\r\n");
        load(&mut client, one);
        assert!(client.say("FUNCTION FLUSH x").starts_with("-ERR FUNCTION FLUSH only supports"));
        assert_eq!(client.say("FUNCTION FLUSH"), "+OK\r\n");
        assert_eq!(client.say("FUNCTION KILL"), "-NOTBUSY No scripts in execution right now.\r\n");
        assert_eq!(client.say("FUNCTION LOAD x y"), "-ERR Unknown option given: x\r\n");
    }

    #[test]
    fn what_cannot_be_loaded_says_why() {
        let mut client = Client::new();
        for (code, reply) in [
            ("return 1", "No functions registered"),
            ("x y", "Error compiling function: user_function:2: '=' expected near 'y'"),
            (
                "x = 1",
                "Error registering functions: ERR user_function:2: Attempt to modify a readonly table",
            ),
            (
                "redis.call('ping')",
                "Error registering functions: ERR user_function:2: Script attempted to access nonexistent global variable 'call'",
            ),
            (
                "redis.register_function('a')",
                "Error registering functions: ERR calling redis.register_function with a single argument is only applicable to Lua table (representing named arguments).",
            ),
            (
                "redis.register_function('a', 1)",
                "Error registering functions: ERR second argument to redis.register_function must be a function",
            ),
            (
                "local f = function() end redis.register_function('a', f) redis.register_function('A', f)",
                "Error registering functions: ERR Function already exists in the library",
            ),
            ("while true do end", "Error registering functions: ERR FUNCTION LOAD timeout"),
        ] {
            assert_eq!(load(&mut client, code), format!("-ERR {reply}\r\n"), "{code}");
        }
    }
}
