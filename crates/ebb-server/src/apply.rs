//! What a changed directive does to the running process.

use ebb_config::{Config, id};
use ebb_engine::Server;

use crate::{io, listener, logging, oom_score, process, title, worker};

/// Applies a directive whose new value is stored already. The text of an error ends the
/// reply of CONFIG SET.
pub(crate) fn apply(server: &Server, name: &str) -> Result<(), String> {
    let config: &Config = &server.config;
    match name {
        "bind" => relisten(server, "Failed to bind to specified addresses."),
        "port" | "tcp-backlog" => {
            relisten(server, "Unable to listen on this port. Check server logs.")
        }
        "maxclients" => {
            let wanted: u32 = config.get(id::MAXCLIENTS);
            process::adjust_open_files(config);
            let possible: u32 = config.get(id::MAXCLIENTS);
            if possible < wanted {
                let text = "The operating system is not able to handle the specified number of \
                            clients, try with";
                return Err(format!("{text} {possible}"));
            }
            Ok(())
        }
        "loglevel" => {
            logging::set_level(config.get(id::LOGLEVEL));
            Ok(())
        }
        "locale-collate" => use_locale(config),
        "log-format" | "log-timestamp-format" => {
            logging::set_formats(config.get(id::LOG_FORMAT), config.get(id::LOG_TIMESTAMP_FORMAT));
            Ok(())
        }
        "oom-score-adj" | "oom-score-adj-values" => oom_score::apply(config),
        "dir" => process::enter_directory(config),
        "proc-title-template" => {
            title::refresh(config);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Sorts texts by the locale that is configured.
pub(crate) fn use_locale(config: &Config) -> Result<(), String> {
    io::collation::use_locale(&config.get(id::LOCALE_COLLATE))
        .map_err(|_| "Invalid locale name".to_owned())
}

/// Opens the listening sockets anew. The text is that of an error.
fn relisten(server: &Server, failed: &str) -> Result<(), String> {
    let listeners = listener::bind(&server.config).map_err(|error| {
        tracing::warn!("{error}");
        failed.to_owned()
    })?;
    worker::replace_listeners(server, listeners);
    title::refresh(&server.config);
    Ok(())
}
