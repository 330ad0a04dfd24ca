//! Users, what they may do, and who is told.

use crate::testing::Client;

const OFF: &str = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";

fn text(encoded: &str) -> String {
    encoded.split("\r\n").filter(|part| !part.starts_with(['*', '$'])).collect::<Vec<_>>().join(" ")
}

/// Two clients: one may do everything, the other is a user with these rules.
fn with_user(rules: &str) -> (Client, Client) {
    let mut admin = Client::new();
    let mut user = admin.another();
    assert_eq!(admin.say(&format!("ACL SETUSER u on nopass {rules}")), "+OK\r\n");
    assert_eq!(user.say("AUTH u any"), "+OK\r\n");
    (admin, user)
}

#[test]
fn users_are_made_listed_and_deleted() {
    let mut client = Client::new();
    assert_eq!(client.say("ACL WHOAMI"), "$7\r\ndefault\r\n");
    assert_eq!(client.say("ACL SETUSER b on >secret ~k* +get (~x +set)"), "+OK\r\n");
    assert_eq!(client.say("ACL SETUSER a"), "+OK\r\n");
    assert_eq!(client.say("ACL USERS"), "*3\r\n$1\r\na\r\n$1\r\nb\r\n$7\r\ndefault\r\n");
    let list = client.say("ACL LIST");
    for line in [
        "user a off sanitize-payload resetchannels -@all",
        "~k* resetchannels -@all +get (~x resetchannels -@all +set)",
        "user default on nopass sanitize-payload ~* &* +@all",
    ] {
        assert!(list.contains(line), "{list}");
    }
    assert_eq!(client.say("ACL DELUSER a b nobody"), ":2\r\n");
    assert_eq!(client.say("ACL DELUSER a"), ":0\r\n");
    let refused = "-ERR The 'default' user cannot be removed\r\n";
    assert_eq!(client.say("ACL DELUSER a default"), refused);
}

#[test]
fn a_user_is_described() {
    let mut client = Client::new();
    client.say("ACL SETUSER u >a %R~r &c +@hash -hget (~x &* db=2 +get)");
    assert_eq!(
        text(&client.say("ACL GETUSER u")),
        "flags off sanitize-payload passwords \
         ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb commands -@all +@hash \
         -hget keys %R~r channels &c selectors commands -@all +get keys ~x channels &* databases \
         db=2 "
    );
    assert_eq!(client.say("ACL GETUSER nobody"), "*-1\r\n");
    client.say("HELLO 3");
    assert!(client.say("ACL GETUSER default").starts_with("%6\r\n$5\r\nflags\r\n~3\r\n"));
}

#[test]
fn wrong_rules_change_nothing() {
    let mut client = Client::new();
    for (line, error) in [
        ("ACL SETUSER u on +nothing", "Error in ACL SETUSER modifier '+nothing': Unknown command"),
        ("ACL SETUSER u (bogus x)", "Error in ACL SETUSER modifier '(bogus x)': Syntax error"),
        ("ACL SETUSER u (bogus", "Unmatched parenthesis in acl selector starting at '(bogus'."),
    ] {
        assert!(client.say(line).starts_with(&format!("-ERR {error}")), "{line}");
    }
    assert_eq!(
        client.run(&["ACL", "SETUSER", "a b"]),
        "-ERR Usernames can't contain spaces or null characters\r\n"
    );
    assert_eq!(client.say("ACL USERS"), "*1\r\n$7\r\ndefault\r\n");
}

#[test]
fn passwords_are_asked_for() {
    let mut client = Client::new();
    client.say("ACL SETUSER u >a");
    assert_eq!(client.say("AUTH u a"), OFF, "the user is off");
    client.say("ACL SETUSER u on");
    assert_eq!(client.say("AUTH u b"), OFF);
    assert_eq!(client.say("ACL WHOAMI"), "$7\r\ndefault\r\n");
    assert_eq!(client.say("AUTH u a"), "+OK\r\n");
    assert!(client.say("HELLO 3 AUTH default x").starts_with("%7"));
    let log = client.say("ACL LOG");
    assert!(log.contains("username\r\n$1\r\nu\r\n") && log.contains("\r\nAUTH\r\n"), "{log}");
    assert!(client.say("INFO stats").contains("acl_access_denied_auth:2\r\n"));
}

#[test]
fn commands_keys_and_channels_are_denied() {
    let (_, mut user) = with_user("~k %R~r &c +get +set +publish +subscribe");
    assert_eq!(user.say("DEL k"), "-NOPERM User u has no permissions to run the 'del' command\r\n");
    assert_eq!(user.say("GET x"), "-NOPERM No permissions to access a key\r\n");
    assert_eq!(user.say("SET r 1"), "-NOPERM No permissions to access a key\r\n");
    assert_eq!(user.say("GET r"), "$-1\r\n");
    assert_eq!(user.say("SET k 1"), "+OK\r\n");
    assert_eq!(user.say("PUBLISH c 1"), ":0\r\n");
    assert_eq!(user.say("PUBLISH d 1"), "-NOPERM No permissions to access a channel\r\n");
    assert!(user.say("ACL WHOAMI").ends_with("run the 'acl|whoami' command\r\n"));
    assert_eq!(user.say("RESET"), "+RESET\r\n");
    assert_eq!(user.say("ACL WHOAMI"), "$7\r\ndefault\r\n");
    let info = user.say("INFO stats");
    for counter in ["cmd:2", "key:2", "channel:1", "auth:0", "db:0"] {
        assert!(info.contains(&format!("acl_access_denied_{counter}\r\n")), "{counter}");
    }
}

#[test]
fn flags_of_keys_may_depend_on_arguments() {
    let (_, mut user) = with_user("%R~r %W~w +@all");
    let denied = "-NOPERM No permissions to access a key\r\n";
    assert_eq!(user.say("SET w v"), "+OK\r\n");
    assert_eq!(user.say("SET w v GET"), denied);
    assert_eq!(user.say("SET w get"), "+OK\r\n");
    assert_eq!(user.say("BITFIELD r GET u4 0"), "*1\r\n:0\r\n");
    assert_eq!(user.say("BITFIELD r GET u4 0 SET u4 0 1"), denied);
    assert_eq!(user.say("BITFIELD w SET u4 0 1"), denied);
}

#[test]
fn what_is_queued_is_checked_against_the_database_that_will_be_selected() {
    let (_, mut user) = with_user("~* -@all (db=0 ~* +@all -@read) (db=2 ~* +@all -@write)");
    user.say("MULTI");
    for line in ["SET k v", "SELECT 2", "GET k", "SELECT 0", "SET k v"] {
        assert_eq!(user.say(line), "+QUEUED\r\n", "{line}");
    }
    assert!(user.say("GET k").starts_with("-NOPERM User u has no permissions to run the 'get'"));
    assert!(user.say("EXEC").starts_with("-EXECABORT"));
    user.say("SELECT 2");
    user.say("MULTI");
    assert_eq!(user.say("GET k"), "+QUEUED\r\n", "the transaction before is over");
}

#[test]
fn databases_are_denied() {
    let (mut admin, mut user) = with_user("~* +@all db=1");
    assert_eq!(user.say("GET k"), "-NOPERM No permissions to access database\r\n");
    assert_eq!(user.say("SELECT 2"), "-NOPERM No permissions to access database\r\n");
    assert_eq!(user.say("SELECT 1"), "+OK\r\n");
    assert_eq!(user.say("SET k v"), "+OK\r\n");
    assert_eq!(user.say("MOVE k 2"), "-NOPERM No permissions to access database\r\n");
    assert_eq!(user.say("FLUSHALL"), "-NOPERM No permissions to access database\r\n");
    assert_eq!(user.say("FLUSHDB"), "+OK\r\n");
    assert_eq!(
        admin.say("ACL DRYRUN u SELECT 2"),
        "$46\r\nUser u has no permissions to access database 2\r\n"
    );
    let log = text(&admin.say("ACL LOG 1"));
    assert!(log.contains("reason database context toplevel object FLUSHALL"), "{log}");
    assert!(admin.say("INFO stats").contains("acl_access_denied_db:4\r\n"));
}

#[test]
fn rules_hold_from_the_next_command_on() {
    let (mut admin, mut user) = with_user("~* +@all");
    assert_eq!(user.say("GET k"), "$-1\r\n");
    admin.say("ACL SETUSER u -get");
    assert!(user.say("GET k").starts_with("-NOPERM"));
    user.say("ACL SETUSER u +get");
    assert_eq!(user.say("GET k"), "$-1\r\n");
    admin.say("ACL SETUSER default -get");
    assert!(admin.say("GET k").starts_with("-NOPERM User default"));
}

#[test]
fn transactions_are_checked_twice() {
    let (mut admin, mut user) = with_user("~* +multi +exec +incr");
    user.say("MULTI");
    assert!(user.say("GET k").starts_with("-NOPERM"));
    assert!(user.say("EXEC").starts_with("-EXECABORT"));
    user.say("MULTI");
    user.say("INCR k");
    admin.say("ACL SETUSER u -incr");
    assert_eq!(
        user.say("EXEC"),
        "*1\r\n-NOPERM ACLs rules changed between the moment the transaction was accumulated and \
         the EXEC call. This command is no longer allowed for the following reason: no permission \
         to execute the command or subcommand\r\n"
    );
    let log = text(&admin.say("ACL LOG 1"));
    assert!(log.contains(" context multi object incr username u "), "{log}");
}

#[test]
fn the_log_groups_counts_and_forgets() {
    let (mut admin, mut user) = with_user("+ping");
    (0..3).for_each(|_| drop(user.say("GET k")));
    user.say("DEL k");
    let log = admin.say("ACL LOG");
    assert!(log.starts_with("*2\r\n*20\r\n$5\r\ncount\r\n:1\r\n"), "{log}");
    assert!(log.contains("$5\r\ncount\r\n:3\r\n") && log.contains(" cmd=get user=u "), "{log}");
    assert!(admin.say("ACL LOG 1").starts_with("*1\r\n"));
    admin.say("CONFIG SET acllog-max-len 1");
    user.say("DEL k");
    assert!(admin.say("ACL LOG").starts_with("*1\r\n"));
    assert_eq!(admin.say("ACL LOG RESET"), "+OK\r\n");
    assert_eq!(admin.say("ACL LOG"), "*0\r\n");
    assert_eq!(admin.say("ACL LOG x"), "-ERR value is not an integer or out of range\r\n");
}

#[test]
fn who_lost_its_user_is_closed() {
    let (mut admin, mut user) = with_user("~* +@all");
    let mut other = admin.another();
    other.say("AUTH u any");
    assert_eq!(user.say("ACL DELUSER u"), ":1\r\n");
    assert!(user.session.close_after_reply && other.session.client.is_killed());
    assert!(!admin.session.client.is_killed());
    assert!(other.say("GET k").starts_with("-NOPERM User u"), "until it is closed");
    admin.say("ACL SETUSER u on nopass ~* +@all");
    assert!(other.say("GET k").starts_with("-NOPERM User u"), "the new user is another one");
}

#[test]
fn who_lost_its_channels_is_closed() {
    for (subscribe, kept, closed) in [
        ("SUBSCRIBE a1", "&a*", false),
        ("SUBSCRIBE a1", "&b", true),
        ("PSUBSCRIBE a*", "&a*", false),
        ("PSUBSCRIBE a*", "&a1", true),
        ("SSUBSCRIBE b", "allchannels", false),
    ] {
        let (mut admin, mut user) = with_user("&a* &b +@pubsub");
        user.say(subscribe);
        admin.say(&format!("ACL SETUSER u resetchannels {kept}"));
        assert_eq!(user.session.client.is_killed(), closed, "{subscribe} {kept}");
    }
}

#[test]
fn dry_runs_name_what_is_denied() {
    let mut client = Client::new();
    client.say("ACL SETUSER u +get +publish +config|get ~k");
    let mut run = |line: &str| client.say(&format!("ACL DRYRUN {line}"));
    assert_eq!(run("u GET k"), "+OK\r\n");
    for (line, denied) in [
        ("u GET x", "access the 'x' key"),
        ("u SET k v", "run the 'set' command"),
        ("u PUBLISH c m", "access the 'c' channel"),
        ("u CONFIG SET a b", "run the 'config|set' command"),
    ] {
        assert_eq!(text(&run(line)), format!("User u has no permissions to {denied} "));
    }
    client.say("ACL SETUSER d ~* +@all db=1");
    let mut run = |line: &str| client.say(&format!("ACL DRYRUN {line}"));
    for (line, denied) in [
        ("d GET k", "access database GET"),
        ("d select 2", "access database 2"),
        ("d SWAPDB 1 0", "access database 0"),
        ("d COPY a b DB 1", "access database COPY"),
        ("d flushall", "access database flushall"),
    ] {
        assert_eq!(text(&run(line)), format!("User d has no permissions to {denied} "));
    }
    assert_eq!(run("d SELECT 1"), "+OK\r\n");
    client.say("ACL SETUSER d resetdbs");
    assert!(text(&client.say("ACL GETUSER d")).contains("databases  selectors"));
    let mut run = |line: &str| client.say(&format!("ACL DRYRUN {line}"));
    assert_eq!(run("x GET k"), "-ERR User 'x' not found\r\n");
    assert_eq!(run("u NOTHING"), "-ERR Command 'NOTHING' not found\r\n");
    assert_eq!(run("u GET"), "-ERR wrong number of arguments for 'get' command\r\n");
}

#[test]
fn categories_and_passwords_are_listed_and_made() {
    let mut client = Client::new();
    assert!(client.say("ACL CAT").starts_with("*22\r\n$8\r\nkeyspace\r\n"));
    assert!(client.say("ACL CAT Transaction").contains("\r\nmulti\r\n"));
    assert_eq!(client.say("ACL CAT x"), "-ERR Unknown category 'x'\r\n");
    let wrong = "-ERR unknown subcommand or wrong number of arguments for 'CAT'. Try ACL HELP.\r\n";
    assert_eq!(client.say("ACL CAT a b"), wrong);
    assert!(client.say("ACL GENPASS").starts_with("$64\r\n"));
    assert!(client.say("ACL GENPASS 5").starts_with("$2\r\n"));
    assert!(client.say("ACL GENPASS 0").starts_with("-ERR ACL GENPASS argument must be the"));
    assert!(client.say("ACL HELP").contains("DELUSER"));
}

#[test]
fn without_a_file_nothing_is_loaded_or_saved() {
    let mut client = Client::new();
    for line in ["ACL LOAD", "ACL SAVE"] {
        assert!(client.say(line).starts_with("-ERR This Redis instance is not configured to use"));
    }
}

#[test]
fn users_are_read_from_their_file_and_written_to_it() {
    let path = std::env::temp_dir().join(format!("ebb-acl-{}", std::process::id()));
    let path = path.to_str().unwrap();
    std::fs::write(path, "user u on nopass ~* +@all\n").unwrap();
    let mut client = Client::with_config(&[("aclfile", path)]);
    let mut user = client.another();
    assert_eq!(client.say("ACL LOAD"), "+OK\r\n");
    assert_eq!(user.say("AUTH u x"), "+OK\r\n");
    client.say("ACL SETUSER v");
    assert_eq!(client.say("ACL SAVE"), "+OK\r\n");
    assert_eq!(
        std::fs::read_to_string(path).unwrap(),
        "user default on nopass sanitize-payload ~* &* +@all\nuser u on nopass sanitize-payload ~* \
         resetchannels +@all\nuser v off sanitize-payload resetchannels -@all\n"
    );
    std::fs::write(path, "user u on bogus\n").unwrap();
    let refused = client.say("ACL LOAD");
    assert!(refused.contains(":1: Syntax error. WARNING: ACL errors detected"), "{refused}");
    std::fs::write(path, "user u on nopass ~* &news* +@all\n").unwrap();
    let mut listener = client.another();
    assert_eq!(client.say("ACL LOAD"), "+OK\r\n");
    listener.say("AUTH u x");
    listener.say("SUBSCRIBE news:1");
    assert_eq!(client.say("ACL LOAD"), "+OK\r\n");
    assert!(!user.session.client.is_killed() && !listener.session.client.is_killed());
    assert_eq!(user.say("PUBLISH weather x"), "-NOPERM No permissions to access a channel\r\n");
    std::fs::write(path, "user u on nopass ~* &weather +@all\n").unwrap();
    assert_eq!(client.say("ACL LOAD"), "+OK\r\n");
    assert!(!user.session.client.is_killed() && listener.session.client.is_killed());
    std::fs::write(path, "").unwrap();
    assert_eq!(client.say("ACL LOAD"), "+OK\r\n");
    assert!(user.session.client.is_killed() && !client.session.client.is_killed());
    assert_eq!(client.say("ACL USERS"), "*1\r\n$7\r\ndefault\r\n");
    std::fs::remove_file(path).unwrap();
    assert!(client.say("ACL LOAD").starts_with("-ERR Error loading ACLs, opening file"));
}

#[test]
fn the_configuration_makes_users() {
    let mut client =
        Client::with_config(&[("requirepass", "secret"), ("user", "u on nopass ~* +@all")]);
    client.session.authenticated = false;
    assert_eq!(client.say("GET k"), "-NOAUTH Authentication required.\r\n");
    assert_eq!(client.say("AUTH u x"), "+OK\r\n");
    assert_eq!(client.say("GET k"), "$-1\r\n");
    client.say("RESET");
    assert_eq!(client.say("GET k"), "-NOAUTH Authentication required.\r\n");
    assert_eq!(client.say("AUTH secret"), "+OK\r\n");
    client.say("CONFIG SET requirepass other");
    assert_eq!(client.say("AUTH secret"), OFF);
    client.say("CONFIG SET requirepass ''");
    client.say("ACL SETUSER default nopass");
    assert!(client.say("CONFIG GET requirepass").ends_with("$2\r\n''\r\n"), "it is kept as text");
    client.session.authenticated = false;
    assert_eq!(client.say("GET k"), "$-1\r\n", "nobody need log in any more");
    client.say("ACL SETUSER default off");
    assert_eq!(client.say("GET k"), "-NOAUTH Authentication required.\r\n");
}

#[test]
fn clients_are_found_by_their_users() {
    let (mut admin, user) = with_user("+ping");
    assert!(admin.say("CLIENT LIST").contains(" user=u "));
    assert_eq!(admin.say("CLIENT KILL USER nobody"), "-ERR No such user 'nobody'\r\n");
    assert_eq!(admin.say("CLIENT KILL USER u"), ":1\r\n");
    assert!(user.session.client.is_killed());
}

/// `categories.txt` is what ACL CAT of Redis 7.0.15 answers: a line for each category.
#[test]
fn categories_are_those_of_redis() {
    let table: Vec<(&str, Vec<&str>)> = include_str!("categories.txt")
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(category, names)| (category, names.split(' ').collect()))
        .collect();
    let known = |name: &str| table.iter().any(|(_, names)| names.contains(&name));
    let client = Client::new();
    let mut differing = Vec::new();
    let all = client.server.commands.all().iter().filter(|command| known(command.name));
    for command in all {
        let ours: Vec<&str> = command.spec.categories().names().collect();
        let theirs = table.iter().filter(|(_, names)| names.contains(&command.name));
        let theirs: Vec<&str> = theirs.map(|(category, _)| *category).collect();
        if ours != theirs {
            differing.push(format!("{}: {ours:?} {theirs:?}", command.name));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

#[test]
fn the_slow_log_does_not_tell_rules() {
    let mut client = Client::with_config(&[("slowlog-log-slower-than", "0")]);
    client.say("ACL SETUSER u >secret");
    let log = client.say("SLOWLOG GET");
    assert!(log.contains("(redacted)") && !log.contains("secret"), "{log}");
}

#[test]
fn patterns_of_sort_need_every_key() {
    let (mut admin, mut user) = with_user("(+sort ~l)");
    admin.say("RPUSH l 2 1");
    let denied = |option: &str| {
        format!("-ERR {option} option of SORT denied due to insufficient ACL permissions.\r\n")
    };
    assert_eq!(user.say("SORT l BY nosort"), "*2\r\n$1\r\n2\r\n$1\r\n1\r\n");
    assert_eq!(user.say("SORT l BY v*"), denied("BY"));
    assert_eq!(user.say("SORT l GET #"), denied("GET"));
    assert_eq!(user.say("SORT l STORE x"), "-NOPERM No permissions to access a key\r\n");
    admin.say("ACL SETUSER u (+sort ~l %W~*)");
    assert_eq!(user.say("SORT l BY v*"), denied("BY"));
    admin.say("ACL SETUSER u (+sort ~l %R~*)");
    assert_eq!(user.say("SORT l BY v*"), "*2\r\n$1\r\n1\r\n$1\r\n2\r\n");
}

#[test]
fn scripts_may_do_what_their_user_may() {
    let (mut admin, mut user) = with_user("~k +eval +get");
    let mut eval = |script: &str| user.run(&["EVAL", script, "0"]);
    assert_eq!(eval("return redis.call('get', 'k')"), "$-1\r\n");
    let denied = eval("return redis.call('incr', 'k')");
    let text = "-ERR ACL failure in script: User u has no permissions to run the 'incr' command";
    assert!(denied.starts_with(text), "{denied}");
    let denied = eval("return redis.call('get', 'x')");
    assert!(denied.starts_with("-ERR ACL failure in script: No permissions to access a key"));
    for (script, may) in [("'get', 'k'", true), ("'get', 'x'", false), ("'set'", false)] {
        let asked = eval(&format!("return redis.acl_check_cmd({script}) and 1 or 0"));
        assert_eq!(asked, format!(":{}\r\n", u8::from(may)), "{script}");
    }
    let log = admin.say("ACL LOG");
    assert!(log.contains("$3\r\nlua\r\n"), "{log}");
}
