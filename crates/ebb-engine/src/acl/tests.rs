//! Rules, what they become in ACL LIST, and what they allow.

use super::*;
use crate::spec::{CommandSpec, Flags, Group, KeyFlags, KeySpec};
use crate::table::{Command, CommandTable};

const KEYS: [KeySpec; 2] = [
    KeySpec::one(1, KeyFlags::RO.and(KeyFlags::ACCESS)),
    KeySpec::one(2, KeyFlags::OW.and(KeyFlags::UPDATE)),
];

const fn command(name: &'static str, group: Group, flags: Flags) -> CommandSpec {
    CommandSpec { name, group, flags, arity: -1, ..CommandSpec::NEW }
}

static ALL: [CommandSpec; 8] = [
    CommandSpec { keys: &[KEYS[0]], ..command("hget", Group::Hash, Flags::FAST) },
    CommandSpec { keys: &[KEYS[0], KEYS[1]], ..command("copy", Group::Generic, Flags::WRITE) },
    command("select", Group::Connection, Flags::FAST),
    command("auth", Group::Connection, Flags::NO_AUTH),
    command("flushall", Group::Generic, Flags::WRITE),
    command("subscribe", Group::Pubsub, Flags::PUBSUB),
    command("psubscribe", Group::Pubsub, Flags::PUBSUB),
    CommandSpec {
        subcommands: &[
            command("get", Group::Server, Flags::ADMIN),
            command("set", Group::Server, Flags::ADMIN),
        ],
        ..command("config", Group::Server, Flags::NONE)
    },
];

struct World {
    commands: CommandTable,
    user: User,
}

impl World {
    fn new(rules: &str) -> World {
        let specs: Vec<&'static CommandSpec> = ALL.iter().collect();
        let commands = CommandTable::new(&specs, &[]).unwrap();
        let user = User::new(b"u", &around(&commands));
        let mut world = World { commands, user };
        world.apply(rules).unwrap();
        world
    }

    fn apply(&mut self, rules: &str) -> Result<(), RuleError> {
        let words: Vec<&[u8]> = rules.split_whitespace().map(str::as_bytes).collect();
        let rules = merge_selectors(&words).unwrap();
        rules.iter().try_for_each(|rule| self.user.apply(rule, &around(&self.commands)))
    }

    fn line(&self) -> String {
        String::from_utf8(self.user.line()).unwrap()
    }

    fn commands_after(&mut self, rules: &str) -> String {
        self.apply(rules).unwrap();
        self.user.root().describe_commands()
    }

    fn check(&self, line: &str) -> Result<(), Denial> {
        self.check_in(0, line)
    }

    fn check_in(&self, db: usize, line: &str) -> Result<(), Denial> {
        let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let crate::Resolved::Command(command) = self.commands.resolve(&args) else { panic!() };
        let command: &Command = command;
        self.user.check(command, &args, db)
    }
}

fn around(commands: &CommandTable) -> Surroundings<'_> {
    Surroundings { commands, all_channels: false }
}

#[test]
fn a_user_is_described_by_rules_that_make_it_again() {
    let rules = "on >p %R~r %W~w ~rw &c db=1,0,1 +@all -@admin (~x &* resetdbs +hget)";
    let world = World::new(rules);
    let hash = PasswordHash::of(b"p");
    assert_eq!(
        world.line(),
        format!(
            "user u on sanitize-payload #{} %R~r %W~w ~rw resetchannels &c db=0,1 +@all -@admin \
             (~x &* resetdbs -@all +hget)",
            hash.text()
        )
    );
    let again = World::new(world.line().strip_prefix("user u ").unwrap());
    assert_eq!(again.line(), world.line());
    assert_eq!(World::new("").line(), "user u off sanitize-payload resetchannels -@all");
    let mut world = World::new("on nopass ~* &* +@all");
    assert_eq!(world.line(), "user u on nopass sanitize-payload ~* &* +@all");
    assert!(world.user.is_unrestricted());
    world.apply("reset").unwrap();
    assert_eq!(world.line(), World::new("").line());
}

#[test]
fn command_rules_keep_their_order_and_nothing_in_vain() {
    let mut world = World::new("");
    for (rules, expected) in [
        ("+@all -@hash -@slow +hget", "+@all -@hash -@slow +hget"),
        ("-@hash", "+@all -@slow +hget -@hash"),
        ("+@HASH", "+@all -@slow +hget +@hash"),
        ("-@all", "-@all"),
        ("+HGET -hget +hGet", "-@all +hget"),
        ("+config|get +config|set", "-@all +hget +config|get +config|set"),
        ("+config", "-@all +hget +config"),
        ("-config|set", "-@all +hget +config -config|set"),
        ("-config", "-@all +hget -config"),
        ("nocommands +select|0 +select|1 +select|0", "-@all +select|1 +select|0"),
        ("-select", "-@all -select"),
        ("allcommands", "+@all"),
        // Not there, but Redis has them.
        ("-PSYNC +cluster|info", "+@all -psync +cluster|info"),
    ] {
        assert_eq!(world.commands_after(rules), expected, "{rules}");
    }
}

#[test]
fn wrong_rules_are_told_apart() {
    for (rules, error) in [
        ("bogus", RuleError::Syntax),
        (")", RuleError::Syntax),
        ("(on)", RuleError::Syntax),
        ("%Z~x", RuleError::Syntax),
        ("%~x", RuleError::Syntax),
        ("%RR~x", RuleError::Syntax),
        ("+hget|", RuleError::Syntax),
        ("+nothing", RuleError::Unknown),
        ("-hget|x", RuleError::Unknown),
        ("+config|nothing", RuleError::Unknown),
        ("+psync|x", RuleError::Unknown),
        ("+@nothing", RuleError::Unknown),
        ("+config|get|x", RuleError::FirstArgOfSubcommand),
        ("~* ~x", RuleError::AfterAllKeys),
        ("~* %R~x", RuleError::AfterAllKeys),
        ("~* %X~x", RuleError::AfterAllKeys),
        ("&* &x", RuleError::AfterAllChannels),
        ("(&* &x)", RuleError::AfterAllChannels),
        ("<x", RuleError::NoSuchPassword),
        ("#x", RuleError::BadHash),
        ("!x", RuleError::BadHash),
        ("db=", RuleError::Syntax),
        ("db=1,", RuleError::Syntax),
        ("db=0-2", RuleError::Syntax),
        ("db=1,2147483648", RuleError::DatabaseOutOfRange),
        ("db=-1", RuleError::DatabaseOutOfRange),
        ("db=99999999999999999999", RuleError::DatabaseOutOfRange),
    ] {
        assert_eq!(World::new("").apply(rules), Err(error), "{rules}");
    }
    let mut world = World::new("");
    assert_eq!(world.user.apply(b"~a b", &around(&world.commands)), Err(RuleError::Syntax));
}

#[test]
fn passwords_let_in() {
    let mut world = World::new("on >a >b");
    let lets_in = |world: &World, password: &[u8]| world.user.lets_in(password);
    assert!(lets_in(&world, b"a") && lets_in(&world, b"b") && !lets_in(&world, b""));
    world.apply("<a").unwrap();
    assert!(!lets_in(&world, b"a") && lets_in(&world, b"b"));
    world.apply("off").unwrap();
    assert!(!lets_in(&world, b"b"));
    world.apply("on nopass").unwrap();
    assert!(lets_in(&world, b"anything"));
    world.apply("resetpass").unwrap();
    assert!(!lets_in(&world, b"b") && !lets_in(&world, b"anything"));
}

#[test]
fn commands_and_first_arguments_are_checked() {
    let world = World::new("~* +select|0 +config|get");
    assert_eq!(world.check("select 0"), Ok(()));
    assert_eq!(world.check("select 1"), Err(Denial::Command));
    assert_eq!(world.check("config get"), Ok(()));
    assert_eq!(world.check("config set"), Err(Denial::Command));
    assert_eq!(world.check("hget k"), Err(Denial::Command));
    assert_eq!(world.check("auth x"), Ok(()), "nobody is kept from logging in");
}

#[test]
fn keys_are_checked_for_what_is_done_to_them() {
    let world = World::new("+@all %R~r* %W~w*");
    assert_eq!(world.check("hget r"), Ok(()));
    assert_eq!(world.check("hget w"), Err(Denial::Key(1)));
    assert_eq!(world.check("copy r w"), Ok(()));
    assert_eq!(world.check("copy r r"), Err(Denial::Key(2)));
    let world = World::new("(+@all %R~r*) (+@all %W~w*)");
    assert_eq!(world.check("copy r w"), Err(Denial::Key(2)), "selectors do not add up");
}

#[test]
fn the_denial_that_came_furthest_is_told() {
    let world = World::new("~a (+copy ~a) (+copy ~a ~b)");
    assert_eq!(world.check("copy a c"), Err(Denial::Key(2)));
    assert_eq!(world.check("copy a b"), Ok(()));
    assert_eq!(world.check("select 0"), Err(Denial::Command));
}

#[test]
fn channels_are_checked() {
    let world = World::new("+@pubsub &a &b*");
    assert_eq!(world.check("subscribe a bc"), Ok(()));
    assert_eq!(world.check("subscribe a c"), Err(Denial::Channel(2)));
    assert_eq!(world.check("psubscribe b*"), Ok(()));
    assert_eq!(world.check("psubscribe bc"), Err(Denial::Channel(1)), "not one of the patterns");
}

#[test]
fn databases_are_checked() {
    let world = World::new("~* +@all db=1,2");
    assert_eq!(world.check_in(1, "hget k"), Ok(()));
    assert_eq!(world.check_in(0, "hget k"), Err(Denial::Database(0)));
    assert_eq!(world.check_in(0, "select 2"), Ok(()));
    assert_eq!(world.check_in(0, "select 3"), Err(Denial::Database(1)));
    assert_eq!(world.check_in(1, "flushall"), Err(Denial::Database(0)));
    assert_eq!(world.check_in(1, "copy a b db 2"), Ok(()));
    assert_eq!(world.check_in(1, "copy a b db 3"), Err(Denial::Database(4)));
    assert_eq!(world.check_in(3, "copy a b db 1"), Err(Denial::Database(0)));
    assert_eq!(world.check_in(0, "subscribe"), Ok(()));
    // What is said first of one set of rules is said last of several.
    let world = World::new("~* +copy db=1");
    assert_eq!(world.check_in(0, "hget k"), Err(Denial::Database(0)));
    let world = World::new("~* +copy db=1 (~* -@all)");
    assert_eq!(world.check_in(0, "hget k"), Err(Denial::Command));
}

#[test]
fn files_of_users_are_read_and_what_is_wrong_is_listed() {
    let world = World::new("");
    let read = |text: &str| load::read_file(text.as_bytes(), "u.acl", &around(&world.commands));
    let users = read("user a on\r\n\n  user b (~x +hget)\n").unwrap();
    assert_eq!(users.len(), 3, "the default user is always there");
    let tail = "WARNING: ACL errors detected, no change to the previously active ACL rules was \
                performed";
    for (text, errors) in [
        ("user a on\nuser a off", "WARNING: Duplicate user 'a' found on line 2. "),
        ("user", "u.acl:1 should start with user keyword followed by the username. "),
        ("\nuser a (~x", "u.acl:2: Unmatched parenthesis in selector definition."),
        (
            "user a +nothing bogus",
            "u.acl:1: Error in applying operation '+nothing': Unknown command or category name in \
             ACL. u.acl:1: Syntax error. ",
        ),
    ] {
        assert_eq!(read(text).unwrap_err(), format!("{errors}{tail}"));
    }
}

#[test]
fn a_line_of_the_configuration_is_read() {
    let world = World::new("");
    let read = |name: &str, rules: &str| {
        let rules: Vec<Vec<u8>> = rules.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        load::read_config_user(name.as_bytes(), &rules, &around(&world.commands))
    };
    let user = read("a", "on (~x +hget)").unwrap();
    assert_eq!(user.selectors().len(), 1);
    assert_eq!(
        read("a", "on bogus").unwrap_err(),
        "Error loading ACL rule 'bogus' for the user named 'a': Syntax error"
    );
    assert!(read("a b", "on").is_err() && read("a", "(on").is_err());
}
