//! What a daemon does besides serving: pid file, working directory, supervision, signals.

use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::Arc;

use ebb_config::{Config, Key, Supervised, cpus, id};
use ebb_engine::server::SystemFacts;

use crate::io as seam;

/// Files open besides clients' sockets.
const RESERVED_FILES: u64 = 32;

/// Changes to the configured directory and puts its absolute name into the configuration.
pub(crate) fn enter_directory(config: &Config) -> Result<(), String> {
    let directory = config.get(id::DIR);
    std::env::set_current_dir(&*directory)
        .map_err(|error| format!("Can't chdir to '{directory}': {error}"))?;
    if let Ok(absolute) = std::env::current_dir() {
        config.resolve(id::DIR, &absolute.to_string_lossy());
    }
    Ok(())
}

/// Makes room for as many clients as configured, or lowers the number.
pub(crate) fn adjust_open_files(config: &Config) {
    let wanted: u32 = config.get(id::MAXCLIENTS);
    let limit = seam::raise_open_files(u64::from(wanted) + RESERVED_FILES);
    if limit < u64::from(wanted) + RESERVED_FILES {
        let clients = limit.saturating_sub(RESERVED_FILES).max(1) as u32;
        tracing::warn!(
            "Current maximum open files is {limit}. maxclients has been reduced to {clients} to \
             compensate for low ulimit. If you need higher maxclients increase 'ulimit -n'."
        );
        config.resolve_number(id::MAXCLIENTS, clients);
    }
}

/// What `supervised` means here: `auto` looks at the environment.
fn supervisor(config: &Config) -> Supervised {
    match config.get(id::SUPERVISED) {
        Supervised::Auto if std::env::var_os("UPSTART_JOB").is_some() => Supervised::Upstart,
        Supervised::Auto if std::env::var_os("NOTIFY_SOCKET").is_some() => Supervised::Systemd,
        Supervised::Auto => Supervised::No,
        other => other,
    }
}

/// What INFO says of the system.
pub(crate) fn system_facts(config: &Config) -> SystemFacts {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let meminfo = read("/proc/meminfo");
    let kilobytes = meminfo.lines().find_map(|line| {
        line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse::<usize>().ok()
    });
    let executable = std::env::current_exe().unwrap_or_default();
    SystemFacts {
        os: format!(
            "{} {} {}",
            read("/proc/sys/kernel/ostype").trim(),
            read("/proc/sys/kernel/osrelease").trim(),
            std::env::consts::ARCH
        ),
        total_memory: kilobytes.unwrap_or(0) * 1024,
        executable: executable.to_string_lossy().into_owned(),
        supervised: match supervisor(config) {
            Supervised::Systemd => "systemd",
            Supervised::Upstart => "upstart",
            _ => "no",
        },
    }
}

/// Keeps the calling thread on the processors that a list names, if it names some.
pub(crate) fn bind_thread(config: &Config, list: Key<Arc<str>>) {
    let list = config.get(list);
    let processors = cpus(&list).unwrap_or_default();
    if !processors.is_empty()
        && let Err(error) = seam::affinity::bind_thread(&processors)
    {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or_default();
        tracing::warn!("Can't keep the thread {name} on the processors {list}: {error}");
    }
}

/// Whether the process is to leave its terminal.
pub(crate) fn goes_to_background(config: &Config) -> bool {
    config.get(id::DAEMONIZE) && supervisor(config) == Supervised::No
}

/// Tells the supervisor that connections are accepted.
pub(crate) fn notify_ready(config: &Config) {
    match supervisor(config) {
        Supervised::Systemd => notify_systemd("STATUS=Ready to accept connections\nREADY=1\n"),
        Supervised::Upstart => seam::stop_for_supervisor(),
        _ => {}
    }
}

/// Tells the supervisor that the end has begun.
pub(crate) fn notify_stopping(config: &Config) {
    if supervisor(config) == Supervised::Systemd {
        notify_systemd("STOPPING=1\n");
    }
}

/// The protocol of sd_notify(3): a datagram to the socket that the environment names.
fn notify_systemd(text: &str) {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else {
        tracing::warn!("systemd supervision requested, but NOTIFY_SOCKET not found");
        return;
    };
    let send = || -> io::Result<usize> {
        let socket = UnixDatagram::unbound()?;
        let name = path.to_string_lossy();
        match name.strip_prefix('@') {
            Some(name) => {
                use std::os::linux::net::SocketAddrExt;
                let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
                socket.send_to_addr(text.as_bytes(), &address)
            }
            None => socket.send_to(text.as_bytes(), &path),
        }
    };
    if let Err(error) = send() {
        tracing::warn!("Can't send notification to systemd: {error}");
    }
}

/// Writes the pid file, if one is wanted: when configured, or when in the background.
pub(crate) fn write_pid_file(config: &Config) {
    let path = pid_file(config);
    if path.is_empty() {
        return;
    }
    let write =
        std::fs::File::create(&path).and_then(|mut file| writeln!(file, "{}", std::process::id()));
    if let Err(error) = write {
        tracing::warn!("Failed to write PID file: {error}");
    }
}

fn pid_file(config: &Config) -> String {
    let path = config.get(id::PIDFILE);
    if path.is_empty() && goes_to_background(config) {
        return "/var/run/redis.pid".into();
    }
    path.to_string()
}

/// Removes the pid file at the end.
pub(crate) fn remove_pid_file(config: &Config) {
    let path = pid_file(config);
    if !path.is_empty() && Path::new(&path).exists() {
        tracing::info!("Removing the pid file.");
        // It may be gone already.
        let _ = std::fs::remove_file(path);
    }
}
