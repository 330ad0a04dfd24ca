//! The ebb binary. The role is the first argument (`ebb server`), or the name by which the
//! program is called (`redis-server`).

#[cfg_attr(ebb_system_allocator, path = "allocator_of_system.rs")]
mod allocator;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use ebb_config::Start;

/// What the binary can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Server,
    Cli,
    Bench,
    Check,
}

/// The role that a word names, as an argument or as a program.
fn role_of(word: &str) -> Option<Role> {
    match word {
        "server" | "ebb-server" | "redis-server" | "valkey-server" => Some(Role::Server),
        "cli" | "ebb-cli" | "redis-cli" | "valkey-cli" => Some(Role::Cli),
        "bench" | "ebb-bench" | "redis-benchmark" | "valkey-benchmark" => Some(Role::Bench),
        "check" | "ebb-check" | "redis-check-rdb" | "redis-check-aof" | "valkey-check-rdb"
        | "valkey-check-aof" => Some(Role::Check),
        _ => None,
    }
}

const USAGE: &str = "\
Usage: ebb server [/path/to/ebb.conf | -] [--directive value ...]
       ebb --version | --help

Examples:
       ebb server                        (the defaults, port 6379)
       ebb server /etc/ebb.conf
       ebb server --port 7000 --maxmemory 1gb
       ebb server /etc/ebb.conf --loglevel verbose
       echo 'maxmemory 1gb' | ebb server -

Called as redis-server or valkey-server, the program is the server at once.
";

fn main() -> ExitCode {
    let mut args: Vec<OsString> = std::env::args_os().collect();
    let program = args.remove(0);
    let program = Path::new(&program).file_name().unwrap_or_default().to_string_lossy();
    let role = role_of(&program).or_else(|| {
        let role = role_of(args.first()?.to_str()?)?;
        args.remove(0);
        Some(role)
    });
    match role {
        Some(Role::Server) => serve(&args),
        Some(role) => {
            let name = format!("{role:?}").to_lowercase();
            eprintln!("ebb: the role '{name}' does not exist yet in this version");
            ExitCode::from(2)
        }
        None => match args.first().and_then(|arg| arg.to_str()) {
            Some("--version" | "-v") => print_version(),
            Some("--help" | "-h") => print_usage(),
            _ => {
                eprint!("{USAGE}");
                ExitCode::from(2)
            }
        },
    }
}

fn print_version() -> ExitCode {
    println!("Ebb server v={} bits={}", env!("CARGO_PKG_VERSION"), usize::BITS);
    ExitCode::SUCCESS
}

fn print_usage() -> ExitCode {
    print!("{USAGE}");
    ExitCode::SUCCESS
}

fn serve(args: &[OsString]) -> ExitCode {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let config = match ebb_config::start(args, &mut std::io::stdin(), cores) {
        Ok(Start::Serve(config)) => config,
        Ok(Start::Version) => return print_version(),
        Ok(Start::Help) => return print_usage(),
        Ok(Start::CheckSystem) => {
            eprintln!("ebb: --check-system does not exist yet in this version");
            return ExitCode::from(2);
        }
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    allocator::prepare();
    let started = ebb_server::start(*config, allocator::ALLOCATOR);
    if started { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
