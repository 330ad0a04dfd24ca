//! The process's title, as `ps` shows it (`set-proc-title`, `proc-title-template`).

use std::sync::OnceLock;

use ebb_config::{Config, id};
use parking_lot::Mutex;

use crate::io::title::TitleArea;

struct Title {
    area: Mutex<TitleArea>,
    /// The name by which the program was called.
    name: String,
}

static TITLE: OnceLock<Title> = OnceLock::new();

/// Takes over the title, unless `set-proc-title` is off. Must be called while there is one thread.
pub(crate) fn start(config: &Config) {
    if !config.get(id::SET_PROC_TITLE) || TITLE.get().is_some() {
        return;
    }
    let name = std::env::args_os().next().unwrap_or_default().to_string_lossy().into_owned();
    match TitleArea::claim() {
        Some(area) => drop(TITLE.set(Title { area: Mutex::new(area), name })),
        None => tracing::warn!("The process keeps the title that it was started with."),
    }
    refresh(config);
}

/// Shows what the configuration says now.
pub(crate) fn refresh(config: &Config) {
    if let Some(title) = TITLE.get() {
        title.area.lock().show(&expand(&title.name, config));
    }
}

/// The template with its variables' values. It was checked when it was set.
fn expand(name: &str, config: &Config) -> String {
    let template = config.get(id::PROC_TITLE_TEMPLATE);
    let mut text = String::new();
    let mut rest = &*template;
    while let Some((before, after)) = rest.split_once('{') {
        text += before;
        if let Some(after) = after.strip_prefix('{') {
            text.push('{');
            rest = after;
            continue;
        }
        let (variable, after) = after.split_once('}').unwrap_or((after, ""));
        text += &value(variable, name, config);
        rest = after;
    }
    text += rest;
    text.trim_matches(' ').to_owned()
}

fn value(variable: &str, name: &str, config: &Config) -> String {
    let port = config.get(id::PORT);
    let tls_port = config.get(id::TLS_PORT);
    match variable {
        "title" => name.to_owned(),
        "listen-addr" if port == 0 && tls_port == 0 => config.get(id::UNIXSOCKET).to_string(),
        "listen-addr" => {
            let addresses = config.get(id::BIND);
            let first = addresses.split_whitespace().next().unwrap_or("*");
            format!("{first}:{}", if port == 0 { tls_port } else { port })
        }
        "port" => port.to_string(),
        "tls-port" => tls_port.to_string(),
        "unixsocket" => config.get(id::UNIXSOCKET).to_string(),
        "config-file" => config.path().map(|path| path.display().to_string()).unwrap_or_default(),
        // The modes that have a name are Cluster and Sentinel.
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn title(directives: &str) -> String {
        expand("ebb", &ebb_config::parse_bytes(directives.as_bytes(), 1).unwrap())
    }

    #[test]
    fn variables_have_their_values() {
        assert_eq!(title("port 7000"), "ebb *:7000");
        assert_eq!(title("bind 127.0.0.1 ::1"), "ebb 127.0.0.1:6379");
        assert_eq!(title("port 0\nunixsocket /run/ebb.sock"), "ebb /run/ebb.sock");
        let all = "proc-title-template \" {{x} {port}/{tls-port}{server-mode} [{unixsocket}]{config-file} \"";
        assert_eq!(title(all), "{x} 6379/0 []");
    }
}
