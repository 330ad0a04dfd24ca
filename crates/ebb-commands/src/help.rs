//! HELP of container commands, from the command table.

use ebb_engine::{Argument, ArgumentKind, CommandResult, Context};

/// Lists the subcommands of the container that was called, each with its syntax and summary.
pub(crate) fn run(ctx: &mut Context<'_>) -> CommandResult {
    let Some(container) = ctx.command.parent else { return Ok(()) };
    let name = container.name.to_ascii_uppercase();
    let mut lines =
        vec![format!("{name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:")];
    for sub in container.subcommands {
        let mut line = sub.name.to_ascii_uppercase();
        sub.arguments.iter().for_each(|argument| write_syntax(argument, &mut line));
        lines.extend([line, format!("    {}", sub.summary)]);
    }
    ctx.reply.array(lines.len());
    lines.iter().for_each(|line| ctx.reply.simple(line));
    Ok(())
}

/// Appends an argument's syntax: `[COUNT <count>]`.
fn write_syntax(argument: &Argument, line: &mut String) {
    line.push(' ');
    let mut one = String::new();
    write_one(argument, &mut one);
    if argument.multiple {
        let again = one.clone();
        one += &format!(" [{again} ...]");
    }
    *line += &if argument.optional { format!("[{one}]") } else { one };
}

fn write_one(argument: &Argument, line: &mut String) {
    if let Some(token) = argument.token {
        *line += token;
        if !matches!(argument.kind, ArgumentKind::Token) {
            line.push(' ');
        }
    }
    match argument.kind {
        ArgumentKind::Token => {}
        ArgumentKind::OneOf(choices) => {
            line.push('<');
            for (at, choice) in choices.iter().enumerate() {
                if at > 0 {
                    *line += " | ";
                }
                let mut one = String::new();
                write_one(choice, &mut one);
                // `<a | b>` for choices of one word; what has brackets of its own keeps them.
                let word = one.strip_prefix('<').and_then(|rest| rest.strip_suffix('>'));
                *line += word.filter(|word| !word.contains(['<', '>'])).unwrap_or(&one);
            }
            line.push('>');
        }
        ArgumentKind::Block(parts) => {
            let mut block = String::new();
            parts.iter().for_each(|part| write_syntax(part, &mut block));
            *line += block.trim_start();
        }
        _ => *line += &format!("<{}>", argument.name),
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn brackets_are_closed() {
        let mut client = Client::new();
        let containers: Vec<_> =
            client.server.commands.top().iter().filter(|one| !one.subcommands.is_empty()).collect();
        for container in containers {
            for line in client.say(&format!("{} HELP", container.name)).lines() {
                let count = |letter| line.matches(letter).count();
                assert_eq!((count('<'), count('[')), (count('>'), count(']')), "{line}");
            }
        }
        let help = client.say("CLIENT HELP");
        assert!(
            help.contains("\r\n+KILL <old-format | <ID <client-id> | TYPE <NORMAL | "),
            "{help}"
        );
        assert!(help.contains("\r\n+PAUSE <timeout> [<WRITE | ALL>]\r\n"), "{help}");
    }
}
