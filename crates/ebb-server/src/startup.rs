//! From the configuration to a running server, and to its end.

use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use ebb_config::{Config, id};
use ebb_engine::server::{AllocatorFigures, CpuTimes};
use ebb_engine::{CommandTable, Host, Server, ShutdownRequest};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::defrag::Defragmentation;
use crate::maintenance::Maintenance;
use crate::worker::{self, Worker};
use crate::{apply, audit, io, listener, logging, oom_score, pages, process, survey, title};

/// What the binary says of its allocator.
#[derive(Clone, Copy)]
pub struct Allocator {
    /// Reads the figures anew.
    pub refresh: fn(&AllocatorFigures),
    /// Gives back what can be given back.
    pub purge: fn(),
    /// A report for people.
    pub report: fn() -> String,
}

/// Runs a server until it is told to stop. Answers whether it started; if it did not, standard
/// error or the log says why.
pub fn start(config: Config, allocator: Allocator) -> bool {
    match prepare(config) {
        Err(error) => {
            // There is no log yet.
            eprintln!("{error}");
            false
        }
        Ok(config) => match run(config, allocator) {
            Err(error) => {
                tracing::error!("{error}");
                false
            }
            Ok(()) => true,
        },
    }
}

fn run(config: Config, allocator: Allocator) -> Result<(), String> {
    let commands = CommandTable::new(&ebb_commands::table::all(), config.renamed_commands())?;
    let host = Host {
        refresh_allocator: allocator.refresh,
        purge_allocator: allocator.purge,
        allocator_report: allocator.report,
        resident_bytes: pages::resident_bytes,
        resident_pages: pages::resident_pages,
        cpu_times_us,
        system: process::system_facts(&config),
        describe_client: ebb_commands::connection::describe,
        collation_key: io::collation::key,
        apply: apply::apply,
    };
    if !ebb_heap::reserve() {
        return Err(
            "Cannot reserve address space for the data: some 400 MB are needed at least. Is \
                    there a limit (ulimit -v)?"
                .into(),
        );
    }
    let listeners = listener::bind(&config)?;
    if listeners.is_empty() {
        return Err("Configured to not listen anywhere, exiting.".into());
    }
    let server: &'static Server = Box::leak(Box::new(Server::new(config, commands, host)));
    load_users(server)?;
    server.load_configured_partitions()?;
    (server.host.refresh_allocator)(&server.allocator);
    serve(server, listeners)
}

/// Reads the users from their file, or from the configuration, which cannot both have some.
fn load_users(server: &Server) -> Result<(), String> {
    if server.config.get(id::ACLFILE).is_empty() {
        server.load_configured_users()?;
        warn_of_unused_password(server);
        return Ok(());
    }
    if !server.config.users().is_empty() {
        return Err("Configuring users in the configuration file and at the same time setting an \
                    ACL file path is invalid: please define either an ACL file or declare users \
                    directly in the configuration, but not both."
            .into());
    }
    let loaded = server.config.read_acl_file().and_then(|text| server.load_acl(&text));
    loaded.map_err(|error| format!("Aborting startup because of ACL errors: {error}"))?;
    warn_of_unused_password(server);
    Ok(())
}

/// As in Redis, what users are said to be prevails over `requirepass`: whoever relied on that
/// shall see it.
fn warn_of_unused_password(server: &Server) {
    if !server.config.get(id::REQUIREPASS).is_empty() && server.acl.has_no_password() {
        tracing::warn!(
            "requirepass has no effect: the default user needs no password (see aclfile, or the \
             'user' lines of the configuration)."
        );
    }
}

/// Everything before the first thread.
fn prepare(config: Config) -> Result<Config, String> {
    let background = process::goes_to_background(&config);
    if background {
        io::daemonize().map_err(|error| format!("Can't go to the background: {error}"))?;
    }
    process::enter_directory(&config)?;
    let log = config.get(id::LOGFILE);
    if config.get(id::SYSLOG_ENABLED) {
        io::syslog::open(&config.get(id::SYSLOG_IDENT), config.get(id::SYSLOG_FACILITY));
    }
    logging::set_formats(config.get(id::LOG_FORMAT), config.get(id::LOG_TIMESTAMP_FORMAT));
    logging::start(&log, config.get(id::LOGLEVEL))
        .map_err(|error| format!("Can't open the log file: {log}: {error}"))?;
    title::start(&config);
    use_locale(&config)?;
    let version = env!("CARGO_PKG_VERSION");
    tracing::info!("Ebb {version} is starting. PID: {}", std::process::id());
    if config.path().is_none() {
        tracing::info!("No configuration file given: the defaults and the command line are used.");
    }
    process::adjust_open_files(&config);
    // As in Redis the server starts all the same; the log says what went wrong.
    let _ = oom_score::apply(&config);
    if config.get(id::DISABLE_THP)
        && let Err(error) = io::disable_huge_pages()
    {
        tracing::warn!("Can't turn huge pages off (disable-thp): {error}");
    }
    process::write_pid_file(&config);
    Ok(config)
}

fn serve(server: &'static Server, listeners: Vec<listener::Listener>) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("Can't start: {error}");
    let mut signals = Signals::new([SIGTERM, SIGINT]).map_err(failed)?;
    let handle = signals.handle();
    worker::make_inboxes(server.workers.len());
    let mut listeners = Some(listeners);
    let mut workers = Vec::new();
    for number in 0..server.workers.len() {
        let listeners = listeners.take().unwrap_or_default();
        workers.push(Worker::new(server, number, listeners).map_err(failed)?);
    }
    let spawn = |name: String, work: Box<dyn FnOnce() + Send>| spawn(server, name, work);
    spawn(
        "signals".into(),
        Box::new(move || {
            for signal in signals.forever() {
                let name = if signal == SIGINT { "SIGINT" } else { "SIGTERM" };
                tracing::info!("Received {name} scheduling shutdown...");
                server.schedule_shutdown(ShutdownRequest::default());
                while server.cron_paused.load(Ordering::Relaxed) && server.is_shutdown_scheduled() {
                    std::thread::sleep(Duration::from_millis(10));
                }
                if server.is_shutdown_scheduled() {
                    server.request_shutdown(ShutdownRequest::default());
                }
            }
        }),
    )?;
    let mut threads = vec![
        spawn("maintenance".into(), Box::new(move || Maintenance::new(server).run()))?,
        spawn("defrag".into(), Box::new(move || Defragmentation::new(server).run()))?,
        spawn("audit".into(), Box::new(move || audit::run(server)))?,
        spawn("survey".into(), Box::new(move || survey::run(server)))?,
    ];
    for (number, worker) in workers.into_iter().enumerate() {
        threads.push(spawn(format!("worker-{number}"), Box::new(move || worker.run()))?);
    }
    server.startup_memory.store(server.used_memory(), Ordering::Relaxed);
    tracing::info!("Server initialized");
    tracing::info!("Ready to accept connections on port {}", server.config.get(id::PORT));
    process::notify_ready(&server.config);
    for thread in threads {
        if thread.join().is_err() {
            server.request_shutdown(ShutdownRequest::default());
        }
    }
    handle.close();
    process::notify_stopping(&server.config);
    process::remove_pid_file(&server.config);
    let commands = server.counters.commands.load(Ordering::Relaxed);
    tracing::info!("Ebb is now ready to exit, bye bye... ({commands} commands were run)");
    Ok(())
}

/// Starts a thread, on the processors that the configuration names for its kind.
fn spawn(
    server: &'static Server,
    name: String,
    work: Box<dyn FnOnce() + Send>,
) -> Result<JoinHandle<()>, String> {
    let failed = format!("Can't start the thread {name}");
    let processors = match name.starts_with("worker-") {
        true => id::SERVER_CPULIST,
        false => id::BIO_CPULIST,
    };
    let work = move || {
        pages::note_stack();
        process::bind_thread(&server.config, processors);
        work();
    };
    std::thread::Builder::new().name(name).spawn(work).map_err(|error| {
        format!(
            "{failed}: {error}. Is there a limit on threads or addresses (ulimit -u, ulimit -v)?"
        )
    })
}

/// A locale that only the environment names may be missing here.
fn use_locale(config: &Config) -> Result<(), String> {
    match apply::use_locale(config) {
        Err(error) if config.get(id::LOCALE_COLLATE).is_empty() => {
            tracing::warn!("{error} in the environment: SORT ... ALPHA compares bytes.");
            Ok(())
        }
        result => result,
    }
}

fn cpu_times_us() -> CpuTimes {
    let (own, children) = (io::usage(io::Who::Process), io::usage(io::Who::Children));
    CpuTimes {
        system: own.system_us,
        user: own.user_us,
        system_children: children.system_us,
        user_children: children.user_us,
    }
}
