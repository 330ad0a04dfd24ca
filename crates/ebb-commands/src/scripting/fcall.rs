//! FCALL and FCALL_RO: a function of a library.

use ebb_engine::{
    Argument, CommandError, CommandResult, CommandSpec, Context, Flags, Group, KeyFlags, KeySpec,
    Scope,
};
use ebb_script::{call_function, find_function};

use super::keys_and_args;

pub(super) static FCALL: CommandSpec = CommandSpec {
    name: "fcall",
    summary: "Calls a function.",
    since: "7.0.0",
    group: Group::Scripting,
    complexity: "Depends on the function.",
    arity: -3,
    flags: Flags::NOSCRIPT
        .and(Flags::MAY_REPLICATE)
        .and(Flags::STALE)
        .and(Flags::SKIP_MONITOR)
        .and(Flags::NO_MANDATORY_KEYS)
        .and(Flags::MOVABLEKEYS),
    keys: &[KeySpec::counted(2, 1, KeyFlags::RW.and(KeyFlags::ACCESS).and(KeyFlags::UPDATE))],
    arguments: &[
        Argument::string("function"),
        Argument::integer("numkeys"),
        Argument::key("key", 0).optional().multiple(),
        Argument::string("arg").optional().multiple(),
    ],
    scope: Scope::Growing,
    run: fcall,
    ..CommandSpec::NEW
};
pub(super) static FCALL_RO: CommandSpec = CommandSpec {
    name: "fcall_ro",
    summary: "Calls a function that only reads.",
    since: "7.0.0",
    group: Group::Scripting,
    complexity: "Depends on the function.",
    arity: -3,
    flags: Flags::READONLY
        .and(Flags::NOSCRIPT)
        .and(Flags::STALE)
        .and(Flags::SKIP_MONITOR)
        .and(Flags::NO_MANDATORY_KEYS)
        .and(Flags::MOVABLEKEYS),
    keys: &[KeySpec::counted(2, 1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    arguments: &[
        Argument::string("function"),
        Argument::integer("numkeys"),
        Argument::key("key", 0).optional().multiple(),
        Argument::string("arg").optional().multiple(),
    ],
    scope: Scope::Growing,
    run: fcall_ro,
    ..CommandSpec::NEW
};

fn fcall(ctx: &mut Context<'_>) -> CommandResult {
    call(ctx, false)
}

fn fcall_ro(ctx: &mut Context<'_>) -> CommandResult {
    call(ctx, true)
}

fn call(ctx: &mut Context<'_>, read_only: bool) -> CommandResult {
    let function = find_function(ctx, ctx.arg(1))?;
    let (keys, args) = keys_and_args(ctx, CommandError::new("ERR Bad number of keys provided"))?;
    call_function(ctx, &function, keys, args, read_only)
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn functions_get_keys_and_arguments() {
        let mut client = Client::new();
        let code = "#!lua name=lib
            redis.register_function('f', function(keys, args) return {keys[1], args[1]} end)
            redis.register_function{function_name='r', callback=function() return redis.call('set','x','y') end, flags={'no-writes'}}";
        assert_eq!(client.run(&["FUNCTION", "LOAD", code]), "$3\r\nlib\r\n");
        assert_eq!(client.say("FCALL f 1 k v"), "*2\r\n$1\r\nk\r\n$1\r\nv\r\n");
        assert_eq!(client.say("FCALL F 0"), "*0\r\n");
        assert_eq!(
            client.say("FCALL_RO f 0"),
            "-ERR Can not execute a script with write flag using *_ro command.\r\n"
        );
        assert_eq!(
            client.say("FCALL r 0"),
            "-ERR Write commands are not allowed from read-only scripts. script: r, on @user_function:3.\r\n"
        );
        assert_eq!(client.say("FCALL none 0"), "-ERR Function not found\r\n");
        assert_eq!(client.say("FCALL f x"), "-ERR Bad number of keys provided\r\n");
        assert_eq!(client.say("FCALL f -1"), "-ERR Number of keys can't be negative\r\n");
        assert_eq!(
            client.say("FCALL f 2 a"),
            "-ERR Number of keys can't be greater than number of args\r\n"
        );
    }
}
