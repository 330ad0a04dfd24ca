//! Requests that are refused before they run.

use crate::absent;
use crate::error::{CommandError, quote};
use crate::server::Server;
use crate::table::Command;

/// Why a request did not run.
pub(crate) struct Rejection {
    /// What it answers.
    pub(crate) error: CommandError,
    /// What was asked for, if that exists.
    pub(crate) command: Option<&'static Command>,
}

impl Rejection {
    /// A long script is in the way.
    pub(crate) fn busy(server: &Server, command: &'static Command) -> Rejection {
        let error = CommandError::new(server.scripting.busy_text());
        Rejection { error, command: Some(command) }
    }

    pub(crate) fn unknown(args: &[&[u8]]) -> Rejection {
        if let Some(text) = absent::error(args[0]) {
            return Rejection { error: CommandError::new(text), command: None };
        }
        const SHOWN: usize = 128;
        let mut list = String::new();
        for arg in &args[1..] {
            if list.len() >= SHOWN {
                break;
            }
            list += &format!("'{}' ", quote(arg, SHOWN - list.len()));
        }
        let name = quote(args[0], SHOWN);
        let text = format!("ERR unknown command '{name}', with args beginning with: {list}");
        Rejection { error: CommandError::new(text), command: None }
    }

    pub(crate) fn unknown_subcommand(command: &'static Command, args: &[&[u8]]) -> Rejection {
        let given = quote(args[1], 128);
        let name = command.name.to_ascii_uppercase();
        let text = format!("ERR unknown subcommand '{given}'. Try {name} HELP.");
        Rejection { error: CommandError::new(text), command: None }
    }
}
