//! XGROUP: consumer groups.

use ebb_collections::stream::{Group as ConsumerGroup, StreamId};
use ebb_engine::{
    Argument, CommandError, CommandResult, CommandSpec, Context, Event, Flags, Group, KeyFlags,
    KeySpec,
};

use super::{id, no_group_of};
use crate::help;

pub(super) static XGROUP: CommandSpec = CommandSpec {
    name: "xgroup",
    summary: "A container of commands on consumer groups.",
    since: "5.0.0",
    group: Group::Stream,
    arity: -2,
    subcommands: &[CREATE, CREATECONSUMER, DELCONSUMER, DESTROY, HELP, SETID],
    ..CommandSpec::NEW
};

pub(super) const CREATE: CommandSpec = CommandSpec {
    name: "create",
    summary: "Makes a consumer group.",
    since: "5.0.0",
    group: Group::Stream,
    arity: -5,
    flags: Flags::WRITE.and(Flags::DENYOOM),
    keys: &[KeySpec::one(2, KeyFlags::RW.and(KeyFlags::INSERT))],
    arguments: &[
        Argument::key("key", 0),
        Argument::string("group"),
        Argument::one_of("id-selector", &[Argument::string("id"), Argument::word("new-id", "$")]),
        Argument::word("mkstream", "MKSTREAM").optional(),
        Argument::integer("entriesread").after("ENTRIESREAD").optional(),
    ],
    run: create,
    ..CommandSpec::NEW
};
pub(super) const CREATECONSUMER: CommandSpec = CommandSpec {
    name: "createconsumer",
    summary: "Makes a consumer in a group.",
    since: "6.2.0",
    group: Group::Stream,
    arity: 5,
    flags: Flags::WRITE.and(Flags::DENYOOM),
    keys: &[KeySpec::one(2, KeyFlags::RW.and(KeyFlags::INSERT))],
    arguments: &[Argument::key("key", 0), Argument::string("group"), Argument::string("consumer")],
    run: create_consumer,
    ..CommandSpec::NEW
};
pub(super) const DELCONSUMER: CommandSpec = CommandSpec {
    name: "delconsumer",
    summary: "Removes a consumer from a group.",
    since: "5.0.0",
    group: Group::Stream,
    complexity: "O(N) for N entries pending for it.",
    arity: 5,
    flags: Flags::WRITE,
    keys: &[KeySpec::one(2, KeyFlags::RW.and(KeyFlags::DELETE))],
    arguments: &[Argument::key("key", 0), Argument::string("group"), Argument::string("consumer")],
    run: remove_consumer,
    ..CommandSpec::NEW
};
pub(super) const DESTROY: CommandSpec = CommandSpec {
    name: "destroy",
    summary: "Removes a consumer group.",
    since: "5.0.0",
    group: Group::Stream,
    complexity: "O(N) for N entries pending in it.",
    arity: 4,
    flags: Flags::WRITE,
    keys: &[KeySpec::one(2, KeyFlags::RW.and(KeyFlags::DELETE))],
    arguments: &[Argument::key("key", 0), Argument::string("group")],
    run: destroy,
    ..CommandSpec::NEW
};
pub(super) const HELP: CommandSpec = CommandSpec {
    name: "help",
    summary: "Lists the subcommands.",
    since: "5.0.0",
    group: Group::Stream,
    arity: 2,
    flags: Flags::LOADING.and(Flags::STALE),
    run: help::run,
    ..CommandSpec::NEW
};
pub(super) const SETID: CommandSpec = CommandSpec {
    name: "setid",
    summary: "Sets the id up to which a group has read.",
    since: "5.0.0",
    group: Group::Stream,
    arity: -5,
    flags: Flags::WRITE,
    keys: &[KeySpec::one(2, KeyFlags::RW.and(KeyFlags::UPDATE))],
    arguments: &[
        Argument::key("key", 0),
        Argument::string("group"),
        Argument::one_of("id-selector", &[Argument::string("id"), Argument::word("new-id", "$")]),
        Argument::integer("entriesread").after("ENTRIESREAD").optional(),
    ],
    run: set_id,
    ..CommandSpec::NEW
};

fn no_stream() -> CommandError {
    CommandError::new(
        "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want \
         to use the MKSTREAM option to create an empty stream automatically.",
    )
}

#[derive(Default)]
struct Options {
    make_stream: bool,
    entries_read: Option<u64>,
}

fn parse(ctx: &Context<'_>, create: bool) -> Result<Options, CommandError> {
    let mut options = Options::default();
    let mut at = 5;
    while at < ctx.args.len() {
        if create && ctx.is_word(at, "MKSTREAM") {
            options.make_stream = true;
            at += 1;
        } else if ctx.is_word(at, "ENTRIESREAD") && at + 1 < ctx.args.len() {
            let count = ctx.int(at + 1)?;
            if count < -1 {
                return Err(CommandError::new("ERR value for ENTRIESREAD must be positive or -1"));
            }
            options.entries_read = u64::try_from(count).ok();
            at += 2;
        } else {
            let sub = ctx.quote(1);
            return Err(CommandError::new(format!(
                "ERR unknown subcommand or wrong number of arguments for '{sub}'. Try XGROUP HELP."
            )));
        }
    }
    Ok(options)
}

/// The id of argument 4; `None` for `$`.
fn start(ctx: &Context<'_>) -> Result<Option<StreamId>, CommandError> {
    if ctx.arg(4) == b"$" {
        return Ok(None);
    }
    id::parse_or_end(ctx.arg(4), 0).map(Some)
}

fn create(ctx: &mut Context<'_>) -> CommandResult {
    let options = parse(ctx, true)?;
    let (key, name) = (ctx.key(2), ctx.arg(3));
    let is_there = ctx.edit_stream(&key)?.0.is_some();
    if !is_there && !options.make_stream {
        return Err(no_stream());
    }
    let start = start(ctx)?;
    let mut stream = ctx.open_stream(&key)?;
    if stream.groups.contains_key(name) {
        return Err(CommandError::new("BUSYGROUP Consumer Group name already exists"));
    }
    let last_id = start.unwrap_or(stream.last_id);
    let group = ConsumerGroup::new(last_id, options.entries_read);
    stream.groups.insert(name.to_vec(), group);
    drop(stream);
    match is_there {
        true => ctx.changed_aside(&key, Event::stream("xgroup-create")),
        false => ctx.changed(&key, Event::stream("xgroup-create")),
    }
    ctx.reply.ok();
    Ok(())
}

fn set_id(ctx: &mut Context<'_>) -> CommandResult {
    let options = parse(ctx, false)?;
    let (key, name) = (ctx.key(2), ctx.arg(3));
    match ctx.read_stream(&key)? {
        None => return Err(no_stream()),
        Some(stream) if !stream.groups.contains_key(name) => {
            return Err(no_group_of(key.bytes(), name));
        }
        Some(_) => {}
    }
    let start = start(ctx)?;
    let Some(mut stream) = ctx.edit_stream(&key)?.0 else { return Err(no_stream()) };
    let last_id = start.unwrap_or(stream.last_id);
    let Some(group) = stream.groups.get_mut(name) else {
        return Err(no_group_of(key.bytes(), name));
    };
    group.last_id = last_id;
    group.entries_read = options.entries_read;
    drop(stream);
    ctx.changed_aside(&key, Event::stream("xgroup-setid"));
    ctx.reply.ok();
    Ok(())
}

fn destroy(ctx: &mut Context<'_>) -> CommandResult {
    let (key, name) = (ctx.key(2), ctx.arg(3));
    let Some(mut stream) = ctx.edit_stream(&key)?.0 else { return Err(no_stream()) };
    let removed = stream.groups.remove(name).is_some();
    drop(stream);
    if removed {
        ctx.changed_aside(&key, Event::stream("xgroup-destroy"));
    }
    ctx.reply.integer(removed.into());
    Ok(())
}

fn create_consumer(ctx: &mut Context<'_>) -> CommandResult {
    let (key, name, consumer, now_ms) = (ctx.key(2), ctx.arg(3), ctx.arg(4), ctx.now_ms);
    let Some(mut stream) = ctx.edit_stream(&key)?.0 else { return Err(no_stream()) };
    let Some(group) = stream.groups.get_mut(name) else {
        return Err(no_group_of(key.bytes(), name));
    };
    let (_, made) = group.consumer(consumer, now_ms);
    drop(stream);
    if made {
        ctx.changed_aside(&key, Event::stream("xgroup-createconsumer"));
    }
    ctx.reply.integer(made.into());
    Ok(())
}

fn remove_consumer(ctx: &mut Context<'_>) -> CommandResult {
    let (key, name, consumer) = (ctx.key(2), ctx.arg(3), ctx.arg(4));
    let Some(mut stream) = ctx.edit_stream(&key)?.0 else { return Err(no_stream()) };
    let Some(group) = stream.groups.get_mut(name) else {
        return Err(no_group_of(key.bytes(), name));
    };
    let pending = group.remove_consumer(consumer);
    drop(stream);
    if pending.is_some() {
        ctx.changed_aside(&key, Event::stream("xgroup-delconsumer"));
    }
    ctx.reply.count(pending.unwrap_or(0));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn groups_come_and_go() {
        let mut client = Client::new();
        assert!(client.say("XGROUP CREATE s g $").contains("requires the key to exist"));
        assert_eq!(client.say("XGROUP CREATE s g $ MKSTREAM"), "+OK\r\n");
        assert_eq!(client.say("TYPE s"), "+stream\r\n");
        assert!(client.say("XGROUP CREATE s g $").starts_with("-BUSYGROUP"));
        assert!(client.say("XGROUP CREATE s h 0 x").contains("Try XGROUP HELP"));
        assert!(client.say("XGROUP CREATE s h 0 ENTRIESREAD -2").contains("positive or -1"));
        assert_eq!(client.say("XGROUP CREATECONSUMER s g c"), ":1\r\n");
        assert_eq!(client.say("XGROUP CREATECONSUMER s g c"), ":0\r\n");
        assert_eq!(client.say("XGROUP DELCONSUMER s g c"), ":0\r\n");
        assert_eq!(client.say("XGROUP SETID s g 5-5"), "+OK\r\n");
        assert!(client.say("XGROUP SETID s x 5-5").starts_with("-NOGROUP"));
        assert_eq!(client.say("XGROUP DESTROY s g"), ":1\r\n");
        assert_eq!(client.say("XGROUP DESTROY s g"), ":0\r\n");
        assert!(client.say("XGROUP HELP").contains("CREATE <key>"));
    }

    #[test]
    fn keys_are_counted_that_groups_wait_for() {
        let mut client = Client::new();
        client.say("XADD s 1-1 a b");
        let mut other = client.another();
        let keys = |client: &mut Client| {
            let info = client.say("INFO clients");
            let at = info.find("total_blocking_keys_on_nokey:").unwrap();
            info[at..].lines().next().unwrap().to_owned()
        };
        client.say("XGROUP CREATE s g $");
        assert_eq!(other.say("XREAD BLOCK 0 STREAMS s $"), "");
        // It comes first, and the loss of the key is none of its business.
        assert_eq!(keys(&mut client), "total_blocking_keys_on_nokey:0");
        let mut third = client.another();
        assert_eq!(third.say("XREADGROUP GROUP g c BLOCK 0 STREAMS s >"), "");
        assert_eq!(keys(&mut client), "total_blocking_keys_on_nokey:1");
        client.say("DEL s");
        assert!(third.mail().starts_with("-NOGROUP"));
        assert_eq!(keys(&mut client), "total_blocking_keys_on_nokey:0");
    }
}
