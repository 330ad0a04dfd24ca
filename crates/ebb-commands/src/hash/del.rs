//! HDEL, HGETDEL: removing fields.

use ebb_engine::{
    Argument, CommandResult, CommandSpec, Context, Event, Flags, Group, KeyFlags, KeySpec,
};

use super::fields;

pub(super) static HDEL: CommandSpec = CommandSpec {
    name: "hdel",
    summary: "Removes fields of a hash.",
    since: "2.0.0",
    group: Group::Hash,
    complexity: "O(N) for N fields.",
    arity: -3,
    flags: Flags::WRITE.and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.and(KeyFlags::DELETE))],
    element: 2,
    arguments: &[Argument::key("key", 0), Argument::string("field").multiple()],
    run: hdel,
    ..CommandSpec::NEW
};

pub(super) static HGETDEL: CommandSpec = CommandSpec {
    name: "hgetdel",
    summary: "Returns the values of fields of a hash and removes them.",
    since: "8.0.0",
    group: Group::Hash,
    complexity: "O(N) for N fields.",
    arity: -5,
    flags: Flags::WRITE.and(Flags::FAST),
    keys: &[KeySpec::one(1, KeyFlags::RW.and(KeyFlags::ACCESS).and(KeyFlags::DELETE))],
    arguments: &[
        Argument::key("key", 0),
        Argument::block(
            "fields",
            &[Argument::integer("numfields"), Argument::string("field").multiple()],
        )
        .after("FIELDS"),
    ],
    run: hgetdel,
    ..CommandSpec::NEW
};

fn hdel(ctx: &mut Context<'_>) -> CommandResult {
    let (key, args) = (ctx.key(1), ctx.args);
    let Some(mut hash) = ctx.edit_hash(&key)? else {
        ctx.reply.integer(0);
        return Ok(());
    };
    let mut removed = 0;
    for name in &args[2..] {
        removed += u64::from(hash.remove(name)?);
    }
    let gone = hash.into_slot().finish();
    if removed > 0 {
        ctx.changed_many(&key, Event::hash("hdel"), removed);
        ctx.gone_if(&key, gone);
    }
    ctx.reply.integer(removed as i64);
    Ok(())
}

fn hgetdel(ctx: &mut Context<'_>) -> CommandResult {
    let (key, args) = (ctx.key(1), ctx.args);
    ctx.read_hash(&key)?;
    let names = fields::parse(args, 2, fields::NOT_POSITIVE)?;
    let mut hash = ctx.edit_hash(&key)?;
    let mut values = Vec::with_capacity(names.len());
    let mut removed = 0;
    for name in &args[names] {
        let value = hash.as_ref().and_then(|hash| hash.as_ref().get(name));
        values.push(value.map(|field| field.value.to_vec()));
        if let Some(hash) = &mut hash {
            removed += u64::from(hash.remove(name)?);
        }
    }
    let gone = hash.is_some_and(|hash| hash.into_slot().finish());
    if removed > 0 {
        ctx.changed_many(&key, Event::hash("hdel"), removed);
        ctx.gone_if(&key, gone);
    }
    ctx.reply.array(values.len());
    for value in values {
        match value {
            Some(value) => ctx.reply.bulk(&value),
            None => ctx.reply.null(),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn the_last_field_takes_the_key_along() {
        let mut client = Client::new();
        client.say("HSET h a 1 b 2");
        assert_eq!(client.say("HDEL h a x"), ":1\r\n");
        assert_eq!(client.say("HDEL h b"), ":1\r\n");
        assert_eq!(client.say("EXISTS h"), ":0\r\n");
        assert_eq!(client.say("HDEL h b"), ":0\r\n");
    }

    #[test]
    fn values_are_returned_once() {
        let mut client = Client::new();
        client.say("HSET h a 1 b 2");
        assert_eq!(client.say("HGETDEL h FIELDS 2 a x"), "*2\r\n$1\r\n1\r\n$-1\r\n");
        assert_eq!(client.say("HGETDEL h FIELDS 1 b"), "*1\r\n$1\r\n2\r\n");
        assert_eq!(client.say("EXISTS h"), ":0\r\n");
        assert!(client.say("HGETDEL h FIELDS 2 b").starts_with("-ERR"));
        assert!(client.say("HGETDEL h FIELD 1 b").starts_with("-ERR"));
    }
}
