//! EVAL, EVALSHA and their read-only forms: a script, by its source or its digest.

use ebb_engine::{
    Argument, CommandError, CommandResult, CommandSpec, Context, Flags, Group, KeyFlags, KeySpec,
    Scope,
};
use ebb_script::{find_digest, find_source, run_script};

use super::keys_and_args;
use super::script::NO_SCRIPT;

pub(super) static EVAL: CommandSpec = CommandSpec {
    name: "eval",
    summary: "Runs a Lua script.",
    since: "2.6.0",
    group: Group::Scripting,
    complexity: "Depends on the script.",
    arity: -3,
    flags: Flags::NOSCRIPT
        .and(Flags::MAY_REPLICATE)
        .and(Flags::STALE)
        .and(Flags::SKIP_MONITOR)
        .and(Flags::NO_MANDATORY_KEYS)
        .and(Flags::MOVABLEKEYS),
    keys: &[KeySpec::counted(2, 1, KeyFlags::RW.and(KeyFlags::ACCESS).and(KeyFlags::UPDATE))],
    arguments: &[
        Argument::string("script"),
        Argument::integer("numkeys"),
        Argument::key("key", 0).optional().multiple(),
        Argument::string("arg").optional().multiple(),
    ],
    scope: Scope::Growing,
    run: eval,
    ..CommandSpec::NEW
};
pub(super) static EVAL_RO: CommandSpec = CommandSpec {
    name: "eval_ro",
    summary: "Runs a Lua script that only reads.",
    since: "7.0.0",
    group: Group::Scripting,
    complexity: "Depends on the script.",
    arity: -3,
    flags: Flags::READONLY
        .and(Flags::NOSCRIPT)
        .and(Flags::STALE)
        .and(Flags::SKIP_MONITOR)
        .and(Flags::NO_MANDATORY_KEYS)
        .and(Flags::MOVABLEKEYS),
    keys: &[KeySpec::counted(2, 1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    arguments: &[
        Argument::string("script"),
        Argument::integer("numkeys"),
        Argument::key("key", 0).optional().multiple(),
        Argument::string("arg").optional().multiple(),
    ],
    scope: Scope::Growing,
    run: eval_ro,
    ..CommandSpec::NEW
};
pub(super) static EVALSHA: CommandSpec = CommandSpec {
    name: "evalsha",
    summary: "Runs the Lua script with a digest.",
    since: "2.6.0",
    group: Group::Scripting,
    complexity: "Depends on the script.",
    arity: -3,
    flags: Flags::NOSCRIPT
        .and(Flags::MAY_REPLICATE)
        .and(Flags::STALE)
        .and(Flags::SKIP_MONITOR)
        .and(Flags::NO_MANDATORY_KEYS)
        .and(Flags::MOVABLEKEYS),
    keys: &[KeySpec::counted(2, 1, KeyFlags::RW.and(KeyFlags::ACCESS).and(KeyFlags::UPDATE))],
    arguments: &[
        Argument::string("sha1"),
        Argument::integer("numkeys"),
        Argument::key("key", 0).optional().multiple(),
        Argument::string("arg").optional().multiple(),
    ],
    scope: Scope::Growing,
    run: evalsha,
    ..CommandSpec::NEW
};
pub(super) static EVALSHA_RO: CommandSpec = CommandSpec {
    name: "evalsha_ro",
    summary: "Runs the Lua script with a digest, which only reads.",
    since: "7.0.0",
    group: Group::Scripting,
    complexity: "Depends on the script.",
    arity: -3,
    flags: Flags::READONLY
        .and(Flags::NOSCRIPT)
        .and(Flags::STALE)
        .and(Flags::SKIP_MONITOR)
        .and(Flags::NO_MANDATORY_KEYS)
        .and(Flags::MOVABLEKEYS),
    keys: &[KeySpec::counted(2, 1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    arguments: &[
        Argument::string("sha1"),
        Argument::integer("numkeys"),
        Argument::key("key", 0).optional().multiple(),
        Argument::string("arg").optional().multiple(),
    ],
    scope: Scope::Growing,
    run: evalsha_ro,
    ..CommandSpec::NEW
};

fn eval(ctx: &mut Context<'_>) -> CommandResult {
    run_source(ctx, false)
}

fn eval_ro(ctx: &mut Context<'_>) -> CommandResult {
    run_source(ctx, true)
}

fn evalsha(ctx: &mut Context<'_>) -> CommandResult {
    run_digest(ctx, false)
}

fn evalsha_ro(ctx: &mut Context<'_>) -> CommandResult {
    run_digest(ctx, true)
}

fn run_source(ctx: &mut Context<'_>, read_only: bool) -> CommandResult {
    let (keys, args) = keys_and_args(ctx, CommandError::NotInteger)?;
    let script = find_source(ctx, ctx.arg(1))?;
    run_script(ctx, &script, keys, args, read_only)
}

fn run_digest(ctx: &mut Context<'_>, read_only: bool) -> CommandResult {
    let script = match <[u8; 40]>::try_from(ctx.arg(1)) {
        Ok(sha) => find_digest(ctx, &sha.map(|digit| digit.to_ascii_lowercase()))?,
        Err(_) => None,
    };
    let Some(script) = script else {
        return Err(CommandError::new(NO_SCRIPT));
    };
    let (keys, args) = keys_and_args(ctx, CommandError::NotInteger)?;
    run_script(ctx, &script, keys, args, read_only)
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    fn eval(client: &mut Client, script: &str) -> String {
        client.run(&["EVAL", script, "1", "k", "arg"])
    }

    #[test]
    fn scripts_see_keys_and_arguments_and_call_commands() {
        let mut client = Client::new();
        assert_eq!(
            eval(&mut client, "return {KEYS[1], ARGV[1], #KEYS}"),
            "*3\r\n$1\r\nk\r\n$3\r\narg\r\n:1\r\n"
        );
        assert_eq!(eval(&mut client, "return redis.call('set', KEYS[1], 7)"), "+OK\r\n");
        assert_eq!(eval(&mut client, "return redis.call('incr', 'k')"), ":8\r\n");
        assert_eq!(eval(&mut client, "return redis.call('get', 'none')"), "$-1\r\n");
        assert_eq!(
            eval(&mut client, "redis.call('select', 3) return redis.call('get', 'k')"),
            "$-1\r\n"
        );
        assert_eq!(client.say("GET k"), "$1\r\n8\r\n");
        assert_eq!(
            client.run(&["EVALSHA", "e0e1f9fabfc9d4800c877a703b823ac0578ff8db", "0"]),
            "-NOSCRIPT No matching script. Please use EVAL.\r\n"
        );
        assert_eq!(eval(&mut client, "return 1"), ":1\r\n");
        assert_eq!(
            client.run(&["EVALSHA", "E0E1F9FABFC9D4800C877A703B823AC0578FF8DB", "0"]),
            ":1\r\n"
        );
    }

    #[test]
    fn the_server_has_two_names() {
        let mut client = Client::new();
        assert_eq!(eval(&mut client, "return server.call('set', KEYS[1], 7)"), "+OK\r\n");
        assert_eq!(
            eval(&mut client, "return {server.SERVER_NAME, redis.SERVER_NAME}"),
            "*2\r\n$3\r\nebb\r\n$3\r\nebb\r\n"
        );
        let library = "#!lua name=l\nserver.register_function('f', function() return server.pcall('get', 'k') end)";
        assert_eq!(client.run(&["FUNCTION", "LOAD", library]), "$1\r\nl\r\n");
        assert_eq!(client.say("FCALL f 0"), "$1\r\n7\r\n");
    }

    #[test]
    fn large_values_and_many_arguments_pass() {
        let mut client = Client::new();
        client.run(&["SET", "big", &"x".repeat(100_000)]);
        let script = "return #redis.call('get', 'big')";
        assert_eq!(eval(&mut client, script), ":100000\r\n");
        let script = "local t = {} for i = 1, 6000 do t[i] = 'key' .. i end
            return {redis.call('exists', unpack(t)), #redis.call('mget', unpack(t))}";
        assert_eq!(eval(&mut client, script), "*2\r\n:0\r\n:6000\r\n");
        let many = |value: &str| {
            format!(
                "local t = {{}} for i = 1, 7990 do t[i] = {value} end
                return redis.call('exists', unpack(t))"
            )
        };
        assert_eq!(eval(&mut client, &many("i")), ":0\r\n");
        let script = &many("'x'");
        assert!(
            eval(&mut client, script).starts_with("-ERR user_script:2: too many results to unpack")
        );
    }

    #[test]
    fn errors_tell_the_script_and_the_line() {
        let mut client = Client::new();
        for (script, reply) in [
            (
                "error('boom')",
                "ERR user_script:1: boom script: 82903a0434f1503e152f89c03c9acd881a0e8150, on @user_script:1.",
            ),
            (
                "return redis.call('get')",
                "ERR Wrong number of args calling Redis command from script script: f187dee77f607f7cff00bbabc9df38507582c78d, on @user_script:1.",
            ),
            (
                "return redis.call('eval','return 1',0)",
                "ERR This Redis command is not allowed from script script: 595931feb16e9cba240a2e4c6a852627761118e3, on @user_script:1.",
            ),
            (
                "return x",
                "ERR user_script:1: Script attempted to access nonexistent global variable 'x' script: 03c387736bb5cc009ff35151572cee04677aa374, on @user_script:1.",
            ),
            (
                "a=10",
                "ERR user_script:1: Attempt to modify a readonly table script: 933044db579a2f8fd45d8065f04a8d0249383e57, on @user_script:1.",
            ),
            (
                "retur n",
                "ERR Error compiling script (new function): user_script:1: '=' expected near 'n'",
            ),
            ("return {err='MY boom'}", "MY boom"),
            (
                "return redis.pcall('get')",
                "ERR Wrong number of args calling Redis command from script",
            ),
        ] {
            assert_eq!(eval(&mut client, script), format!("-{reply}\r\n"), "{script}");
        }
        for script in [
            "error({1, 2})",
            "error()",
            "error({err = {}})",
            "return error",
            "error(cjson.null)",
            "local t = {} t.t = t return t",
            "local t = {} t[1] = t return t",
            "local function f() return f() + 1 end return f()",
        ] {
            eval(&mut client, script);
            assert_eq!(eval(&mut client, "return 1"), ":1\r\n", "{script}");
        }
    }

    #[test]
    fn an_error_is_counted_once() {
        let mut client = Client::new();
        eval(&mut client, "return redis.call('select', 99)");
        let info = client.say("INFO everything");
        assert!(info.contains("errorstat_ERR:count=1\r\n"), "{info}");
        assert!(info.contains("cmdstat_eval:calls=1,") && info.contains("cmdstat_select:calls=1,"));
        eval(&mut client, "redis.pcall('nosuch') return 1");
        assert!(client.say("INFO errorstats").contains("errorstat_ERR:count=2\r\n"));
    }

    #[test]
    fn flags_are_kept() {
        let mut client = Client::new();
        let script = "#!lua flags=no-writes\nreturn redis.call('set', 'a', 'b')";
        assert!(
            eval(&mut client, script).starts_with(
                "-ERR Write commands are not allowed from read-only scripts. script: "
            )
        );
        assert!(
            client
                .run(&["EVAL_RO", "return redis.call('set','a','b')", "0"])
                .starts_with("-ERR Write commands")
        );
        assert_eq!(
            client.run(&["EVAL_RO", "#!lua\nreturn 1", "0"]),
            "-ERR Can not execute a script with write flag using *_ro command.\r\n"
        );
        let mut full = Client::new();
        full.say("SET k v");
        full.say("CONFIG SET maxmemory 1");
        assert!(
            eval(&mut full, "return redis.call('set', 'a', 'b')")
                .starts_with("-OOM command not allowed")
        );
        assert!(
            eval(&mut full, "#!lua\nreturn 1")
                .starts_with("-OOM allow-oom flag is not set on the script")
        );
        assert_eq!(
            eval(&mut full, "#!lua flags=allow-oom\nreturn redis.call('set', 'a', 'b')"),
            "+OK\r\n"
        );
    }

    #[test]
    fn replies_follow_the_protocols() {
        let mut client = Client::new();
        let script = "redis.setresp(3) return {map = {a = true}}";
        assert_eq!(eval(&mut client, script), "*2\r\n$1\r\na\r\n:1\r\n");
        client.say("HELLO 3");
        assert_eq!(eval(&mut client, script), "%1\r\n$1\r\na\r\n#t\r\n");
        assert_eq!(eval(&mut client, "return {double = 1.5}"), ",1.5\r\n");
        assert_eq!(eval(&mut client, "return {set = {a = true}}"), "~1\r\n$1\r\na\r\n");
        assert_eq!(eval(&mut client, "return {big_number = '12'}"), "(12\r\n");
        assert_eq!(
            eval(&mut client, "return {verbatim_string = {format = 'txt', string = 'hi'}}"),
            "=6\r\ntxt:hi\r\n"
        );
        assert_eq!(eval(&mut client, "return false"), "_\r\n");
        assert_eq!(
            eval(&mut client, "redis.setresp(3) return redis.call('get', 'none') == nil"),
            "#t\r\n"
        );
    }

    #[test]
    fn scripts_run_in_transactions_and_take_shards_as_they_go() {
        let mut client = Client::with_config(&[("io-threads", "4")]);
        let script =
            "for i = 1, 100 do redis.call('set', 'key' .. i, i) end return redis.call('dbsize')";
        assert_eq!(eval(&mut client, script), ":100\r\n");
        client.say("MULTI");
        client.run(&["EVAL", "return {redis.call('get', 'key7'), redis.call('flushall')}", "0"]);
        assert_eq!(client.say("EXEC"), "*1\r\n*2\r\n$1\r\n7\r\n+OK\r\n");
        assert_eq!(client.say("DBSIZE"), ":0\r\n");
    }

    #[test]
    fn nothing_of_a_script_that_fails_is_left() {
        let mut client = Client::new();
        assert!(eval(&mut client, "error('x')").starts_with("-ERR user_script:1: x script: "));
        let script = "return {#KEYS, #ARGV, rawget(_G, 'KEYS') == KEYS}";
        assert_eq!(client.run(&["EVAL", script, "0"]), "*3\r\n:0\r\n:0\r\n:1\r\n");
        let deep = "local t = {} for i = 1, 900 do t = {t} end return t";
        assert!(eval(&mut client, deep).ends_with("*1\r\n*0\r\n"));
        let too_deep = "local t = {} for i = 1, 2000 do t = {t} end return t";
        assert!(eval(&mut client, too_deep).ends_with("-ERR reached lua stack limit\r\n"));
    }

    #[test]
    fn replies_of_all_kinds_are_read() {
        let mut client = Client::with_config(&[("enable-debug-command", "yes")]);
        client.say("RPUSH list a b");
        client.run(&["SET", "big", &"x".repeat(50_000)]);
        let script = "return {redis.call('lrange', 'list', 0, -1), redis.call('get', 'none'),
            redis.call('ping'), #redis.call('mget', 'none', 'big', 'list')[2]}";
        let reply = "*4\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n$-1\r\n+PONG\r\n:50000\r\n";
        assert_eq!(eval(&mut client, script), reply);
        let script = "redis.setresp(3) redis.call('hset', 'h', 'f', 1.5)
            local verbatim = redis.call('info', 'server').verbatim_string
            return {redis.call('hgetall', 'h').map.f, verbatim.format, verbatim.string:sub(1, 8)}";
        assert_eq!(eval(&mut client, script), "*3\r\n$3\r\n1.5\r\n$3\r\ntxt\r\n$8\r\n# Server\r\n");
    }

    #[test]
    fn errors_of_commands_are_returned_to_the_letter() {
        let mut client = Client::new();
        client.say("SET k v");
        let script = "return redis.pcall('EXPIRE', KEYS[1], 100, '')";
        assert_eq!(client.run(&["EVAL", script, "1", "k"]), "-ERR Unsupported option \r\n");
    }
}
