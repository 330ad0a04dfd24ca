//! COMMAND: the command table, for clients.

use ebb_engine::{Categories, CommandResult, CommandSpec, Context, Flags, Group};

use crate::help;

mod docs;
mod info;
mod keys;
mod list;

pub(super) static COMMAND: CommandSpec = CommandSpec {
    name: "command",
    summary: "Describes all commands.",
    since: "2.8.13",
    group: Group::Server,
    complexity: "O(N) where N is the number of commands.",
    arity: -1,
    flags: Flags::LOADING.and(Flags::STALE),
    acl: Categories::CONNECTION,
    tips: &["nondeterministic_output_order"],
    subcommands: &[
        COUNT,
        docs::DOCS,
        keys::GETKEYS,
        keys::GETKEYSANDFLAGS,
        HELP,
        info::INFO,
        list::LIST,
    ],
    run: all,
    ..CommandSpec::NEW
};

fn all(ctx: &mut Context<'_>) -> CommandResult {
    let commands = ctx.server.commands.top();
    ctx.reply.array(commands.len());
    commands.iter().for_each(|command| info::describe(ctx.reply, command));
    Ok(())
}

pub(super) const HELP: CommandSpec = CommandSpec {
    name: "help",
    summary: "Lists the subcommands.",
    since: "5.0.0",
    group: Group::Server,
    arity: 2,
    flags: Flags::LOADING.and(Flags::STALE),
    acl: Categories::CONNECTION,
    run: help::run,
    ..CommandSpec::NEW
};

pub(super) const COUNT: CommandSpec = CommandSpec {
    name: "count",
    summary: "Counts the commands.",
    since: "2.8.13",
    group: Group::Server,
    arity: 2,
    flags: Flags::LOADING.and(Flags::STALE),
    acl: Categories::CONNECTION,
    run: count,
    ..CommandSpec::NEW
};

fn count(ctx: &mut Context<'_>) -> CommandResult {
    ctx.reply.count(ctx.server.commands.top().len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use crate::testing::Client;

    #[test]
    fn the_table_describes_itself() {
        let mut client = Client::new();
        assert_eq!(
            client.say("COMMAND INFO get nothing"),
            "*2\r\n*10\r\n$3\r\nget\r\n:2\r\n*2\r\n+readonly\r\n+fast\r\n:1\r\n:1\r\n:1\r\n\
             *3\r\n+@read\r\n+@string\r\n+@fast\r\n*0\r\n*1\r\n*6\r\n$5\r\nflags\r\n*2\r\n+RO\r\n\
             +access\r\n$12\r\nbegin_search\r\n*4\r\n$4\r\ntype\r\n$5\r\nindex\r\n$4\r\nspec\r\n\
             *2\r\n$5\r\nindex\r\n:1\r\n$9\r\nfind_keys\r\n*4\r\n$4\r\ntype\r\n$5\r\nrange\r\n\
             $4\r\nspec\r\n*6\r\n$7\r\nlastkey\r\n:0\r\n$7\r\nkeystep\r\n:1\r\n$5\r\nlimit\r\n:0\r\n\
             *0\r\n*-1\r\n"
        );
        client.say("HELLO 3");
        let get = client.say("COMMAND INFO get");
        assert!(get.contains("~3\r\n+@read\r\n+@string\r\n+@fast\r\n~0\r\n~1\r\n%3\r\n"), "{get}");
        assert!(get.ends_with(":0\r\n~0\r\n"), "{get}");
        client.say("HELLO 2");
        let count = client.server.commands.top().len();
        assert_eq!(client.say("COMMAND COUNT"), format!(":{count}\r\n"));
        assert!(client.say("COMMAND").starts_with(&format!("*{count}\r\n")));
        assert!(client.say("COMMAND DOCS set").contains("$9\r\narguments\r\n"));
        assert_eq!(client.say("COMMAND DOCS nothing"), "*0\r\n");
    }

    #[test]
    fn keys_are_found() {
        let mut client = Client::new();
        assert_eq!(client.say("COMMAND GETKEYS get a"), "*1\r\n$1\r\na\r\n");
        assert_eq!(client.say("COMMAND GETKEYS mset a 1 b 2"), "*2\r\n$1\r\na\r\n$1\r\nb\r\n");
        assert_eq!(
            client.say("COMMAND GETKEYSANDFLAGS copy a b"),
            "*2\r\n*2\r\n$1\r\na\r\n*2\r\n+RO\r\n+access\r\n*2\r\n$1\r\nb\r\n*2\r\n+OW\r\n+update\r\n"
        );
        assert_eq!(client.say("COMMAND GETKEYS nothing a"), "-ERR Invalid command specified\r\n");
        for line in ["COMMAND GETKEYS ping", "COMMAND GETKEYSANDFLAGS spublish c m"] {
            assert_eq!(client.say(line), "-ERR The command has no key arguments\r\n");
        }
        assert_eq!(
            client.say("COMMAND GETKEYS get"),
            "-ERR Invalid number of arguments specified for command\r\n"
        );
        for line in ["COMMAND GETKEYS eval x 5 k", "COMMAND GETKEYSANDFLAGS fcall f -1"] {
            assert_eq!(client.say(line), "*0\r\n", "no keys are needed, so none are missed");
        }
        assert!(client.say("COMMAND GETKEYS zunion -1 k").starts_with("-ERR Invalid arguments"));
        assert_eq!(client.say("COMMAND GETKEYS no"), "-ERR Invalid command specified\r\n");
    }

    #[test]
    fn lists_are_filtered() {
        let mut client = Client::new();
        assert!(client.say("COMMAND LIST FILTERBY PATTERN get*").contains("$5\r\ngetex\r\n"));
        assert!(client.say("COMMAND LIST FILTERBY ACLCAT transaction").starts_with("*5\r\n"));
        assert_eq!(client.say("COMMAND LIST FILTERBY MODULE x"), "*0\r\n");
        assert_eq!(client.say("COMMAND LIST FILTERBY COLOUR x"), "-ERR syntax error\r\n");
    }

    #[test]
    fn every_command_is_described_in_full() {
        let client = Client::new();
        let mut names = HashSet::new();
        for command in client.server.commands.all() {
            let spec = command.spec;
            assert!(names.insert(command.name), "{} is there twice", command.name);
            assert!(spec.summary.ends_with('.'), "{} has no summary", command.name);
            assert!(spec.arity != 0 && !spec.name.is_empty(), "{}", command.name);
            let keys = spec.arguments.iter().any(|argument| argument.key_spec.is_some());
            assert!(!keys || !spec.keys.is_empty(), "{} has no key specification", command.name);
        }
    }
}
