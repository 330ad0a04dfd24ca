//! LOLWUT: the sea at low water.

use ebb_engine::{
    Argument, CommandError, CommandResult, CommandSpec, Context, Flags, Group, REDIS_VERSION,
};
use rand::Rng;

pub(super) static LOLWUT: CommandSpec = CommandSpec {
    name: "lolwut",
    summary: "Draws a picture, and names the version.",
    since: "5.0.0",
    group: Group::Server,
    arity: -1,
    flags: Flags::READONLY.and(Flags::FAST),
    arguments: &[Argument::integer("version").after("VERSION").optional()],
    run,
    ..CommandSpec::NEW
};

const ROWS: usize = 8;
const COLUMNS_MAX: i64 = 200;

fn run(ctx: &mut Context<'_>) -> CommandResult {
    let mut first = 1;
    if ctx.args.len() > 1 && ctx.is_word(1, "VERSION") {
        if ctx.args.len() < 3 {
            return Err(CommandError::Syntax);
        }
        ctx.int(2)?;
        first = 3;
    }
    let columns = if ctx.args.len() > first { ctx.int(first)?.clamp(1, COLUMNS_MAX) } else { 66 };
    let text = format!(
        "{}\nThe tide goes out. Ebb ver. {}, Redis ver. {REDIS_VERSION}\n",
        draw(columns as usize, ctx.random),
        env!("CARGO_PKG_VERSION")
    );
    ctx.reply.verbatim(*b"txt", &text);
    Ok(())
}

/// Waves over sand: the water's line wanders from column to column.
fn draw(columns: usize, random: &mut impl Rng) -> String {
    let phase: f64 = random.random_range(0.0..std::f64::consts::TAU);
    let lengths: [f64; 2] = [random.random_range(9.0..17.0), random.random_range(3.0..6.0)];
    let line = |column: usize| {
        let x = column as f64;
        3.5 + 2.0 * (x / lengths[0] + phase).sin() + 0.8 * (x / lengths[1]).sin()
    };
    let mut picture = String::new();
    for row in 0..ROWS {
        for column in 0..columns {
            let depth = row as f64 - line(column);
            picture.push(match depth {
                depth if depth < -0.5 => ' ',
                depth if depth < 0.5 => '~',
                depth if depth < 2.5 => '\u{2248}',
                _ if random.random_ratio(1, 12) => 'o',
                _ => '.',
            });
        }
        picture.push('\n');
    }
    picture
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn draws() {
        let mut client = Client::new();
        let picture = client.say("LOLWUT VERSION 5 20");
        assert!(picture.contains("Ebb ver. ") && picture.contains("Redis ver. 7.2."), "{picture}");
        assert!(picture.contains('~'), "{picture}");
        assert_eq!(client.say("LOLWUT x"), "-ERR value is not an integer or out of range\r\n");
    }
}
