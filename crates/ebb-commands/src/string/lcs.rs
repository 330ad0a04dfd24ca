//! LCS: the longest common subsequence of two strings.

use ebb_engine::scratch;
use ebb_engine::{
    Argument, CommandError, CommandResult, CommandSpec, Context, Flags, Group, KeyFlags, KeySpec,
};
use ebb_types::lcs;

pub(super) static SPEC: CommandSpec = CommandSpec {
    name: "lcs",
    summary: "Finds the longest common subsequence of two strings.",
    since: "7.0.0",
    group: Group::String,
    complexity: "O(N*M) where N and M are the lengths of s1 and s2, respectively",
    arity: -3,
    flags: Flags::READONLY,
    keys: &[KeySpec::range(1, 1, 1, KeyFlags::RO.and(KeyFlags::ACCESS))],
    arguments: &[
        Argument::key("key1", 0),
        Argument::key("key2", 0),
        Argument::word("len", "LEN").optional(),
        Argument::word("idx", "IDX").optional(),
        Argument::integer("min-match-len").after("MINMATCHLEN").optional(),
        Argument::word("withmatchlen", "WITHMATCHLEN").optional(),
    ],
    run,
    ..CommandSpec::NEW
};

#[derive(Default)]
struct Options {
    len: bool,
    idx: bool,
    with_match_len: bool,
    min_match_len: usize,
}

fn parse(ctx: &Context<'_>) -> Result<Options, CommandError> {
    let mut options = Options::default();
    let mut at = 3;
    while at < ctx.args.len() {
        if ctx.is_word(at, "IDX") {
            options.idx = true;
        } else if ctx.is_word(at, "LEN") {
            options.len = true;
        } else if ctx.is_word(at, "WITHMATCHLEN") {
            options.with_match_len = true;
        } else if ctx.is_word(at, "MINMATCHLEN") && at + 1 < ctx.args.len() {
            options.min_match_len = ctx.int(at + 1)?.max(0) as usize;
            at += 1;
        } else {
            return Err(CommandError::Syntax);
        }
        at += 1;
    }
    if options.idx && options.len {
        return Err(CommandError::new(
            "ERR If you want both the length and indexes, please just use IDX.",
        ));
    }
    Ok(options)
}

fn text_of(ctx: &mut Context<'_>, at: usize) -> Result<Vec<u8>, CommandError> {
    let key = ctx.key(at);
    let value = ctx
        .read_string(&key)
        .map_err(|_| CommandError::new("ERR The specified keys must contain string values"))?;
    Ok(value.map_or_else(Vec::new, |value| value.to_vec()))
}

fn run(ctx: &mut Context<'_>) -> CommandResult {
    ctx.require_copies([ctx.key(1), ctx.key(2)])?;
    let (a, b) = (text_of(ctx, 1)?, text_of(ctx, 2)?);
    let options = parse(ctx)?;
    // One bit for each pair of bytes is kept, unless only the length is asked for.
    const PAIRS_MAX: usize = 1 << 33;
    if a.len().saturating_mul(b.len()) > PAIRS_MAX {
        return Err(CommandError::new("ERR String too long for LCS"));
    }
    // A row of lengths, the bits, and the text and its runs.
    let bits = if options.len { 0 } else { b.len().div_ceil(64) * 8 * a.len() };
    scratch::require(4 * b.len() + bits + 34 * a.len().min(b.len()))?;
    if options.len {
        ctx.reply.count(lcs::lcs_len(&a, &b));
        return Ok(());
    }
    let found = lcs::lcs(&a, &b);
    if !options.idx {
        ctx.reply.bulk(&found.text);
        return Ok(());
    }
    ctx.reply.map(2);
    ctx.reply.bulk(b"matches");
    let matches: Vec<_> =
        found.matches.iter().filter(|run| run.run_len() >= options.min_match_len).collect();
    ctx.reply.array(matches.len());
    for run in matches {
        ctx.reply.array(if options.with_match_len { 3 } else { 2 });
        for (start, end) in [run.a, run.b] {
            ctx.reply.array(2);
            ctx.reply.count(start);
            ctx.reply.count(end);
        }
        if options.with_match_len {
            ctx.reply.count(run.run_len());
        }
    }
    ctx.reply.bulk(b"len");
    ctx.reply.count(found.text.len());
    Ok(())
}
