//! The command line: `[file | -] [--name value...]...`.
//!
//! As in Redis the options become lines of configuration that follow the file's, so they are read by the same
//! rules and reported with line numbers that go on from the file's.

use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::grammar;
use crate::parse::{Loader, StartError};
use crate::store::Config;

/// What the command line asks for.
#[derive(Debug)]
pub enum Start {
    /// Run the server with this configuration.
    Serve(Box<Config>),
    /// Print the version: `-v`, `--version`.
    Version,
    /// Print the usage: `-h`, `--help`.
    Help,
    /// Check the system: `--check-system`.
    CheckSystem,
}

/// Reads the command line, without the program's name, and the files that it leads to. `-` as the first or last
/// argument reads lines from `stdin`. `cores` is the default of `io-threads`.
///
/// Nothing is printed and nothing but the configuration is looked at: the caller resolves what depends on the
/// system with [`Config::resolve`] and [`Config::resolve_number`].
pub fn start(
    arguments: &[OsString],
    stdin: &mut dyn Read,
    cores: usize,
) -> Result<Start, StartError> {
    let words: Vec<&[u8]> = arguments.iter().map(|argument| argument.as_bytes()).collect();
    match words.first().copied() {
        Some(b"-v" | b"--version") => return Ok(Start::Version),
        Some(b"-h" | b"--help") => return Ok(Start::Help),
        Some(b"--check-system") => return Ok(Start::CheckSystem),
        _ => {}
    }
    let (file, rest) = match words.first() {
        Some(first) if !first.starts_with(b"-") => (Some(Path::new(&arguments[0])), &words[1..]),
        _ => (None, &words[..]),
    };
    let (options, reads_stdin) = options(rest, file.is_none());

    let mut loader = Loader::new(cores);
    let mut text = Vec::new();
    if let Some(file) = file {
        let path = absolute(file);
        text = fs::read(&path).map_err(|error| StartError::Open { path: path.clone(), error })?;
        if !text.is_empty() && !text.ends_with(b"\n") {
            text.push(b'\n');
        }
        loader.enter_main(&path);
        loader.config.path = Some(path);
    }
    if reads_stdin {
        stdin.read_to_end(&mut text).map_err(StartError::StandardInput)?;
    }
    if !options.is_empty() {
        text.push(b'\n');
        text.extend_from_slice(&options);
    }
    loader.load(&text)?;
    Ok(Start::Serve(Box::new(loader.config)))
}

fn absolute(path: &Path) -> PathBuf {
    // Without a current directory the path stays relative, and reading it says what is wrong.
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Turns options into lines; also says whether standard input is to be read. `first` is whether the first of
/// `words` is the first word of the command line.
fn options(words: &[&[u8]], first: bool) -> (Vec<u8>, bool) {
    let mut lines = Vec::new();
    let mut reads_stdin = false;
    // An option name alone takes the next word as its value, even if that word looks like an option.
    let mut name_alone = false;
    for (at, &word) in words.iter().enumerate() {
        let last = at + 1 == words.len();
        if word == b"-" && ((first && at == 0) || last) {
            reads_stdin = true;
        } else if word.starts_with(b"--") && !name_alone {
            if !lines.is_empty() {
                lines.push(b'\n');
            }
            lines.extend_from_slice(&word[2..]);
            lines.push(b' ');
            // "--port 7000" as one word has its value with it.
            name_alone = grammar::split_arguments(word).is_some_and(|parts| parts.len() == 1);
            let next_is_option = words.get(at + 1).is_none_or(|next| next.starts_with(b"--"));
            if name_alone && next_is_option && word.eq_ignore_ascii_case(b"--save") {
                // `--save` without a value means not to save.
                lines.extend_from_slice(b"\"\"");
                name_alone = false;
            }
        } else {
            lines.extend_from_slice(&grammar::quote_word(word));
            lines.push(b' ');
            name_alone = false;
        }
    }
    (lines, reads_stdin)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id;

    fn run(arguments: &[&str], stdin: &str) -> Result<Start, StartError> {
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        start(&arguments, &mut stdin.as_bytes(), 2)
    }

    fn serve(arguments: &[&str], stdin: &str) -> Config {
        match run(arguments, stdin) {
            Ok(Start::Serve(config)) => *config,
            other => panic!("{other:?}"),
        }
    }

    fn refused(arguments: &[&str]) -> (usize, String, String) {
        match run(arguments, "") {
            Err(StartError::Line { number, line, reason, .. }) => (number, line, reason),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn options_are_lines() {
        let config = serve(
            &[
                "--port",
                "7000",
                "--maxmemory",
                "1gb",
                "--save",
                "",
                "--bind",
                "127.0.0.1",
                "::1",
                "--hz 30",
            ],
            "",
        );
        assert_eq!(config.get(id::PORT), 7000);
        assert_eq!(config.get(id::MAXMEMORY), 1 << 30);
        assert_eq!(&*config.get(id::BIND), "127.0.0.1 ::1");
        assert_eq!(config.get(id::HZ), 30);
        assert_eq!(serve(&["--save", "--hz", "20"], "").get(id::HZ), 20);
        assert_eq!(serve(&["--hz", "20", "--save"], "").get(id::HZ), 20);
        assert!(config.path().is_none());
    }

    #[test]
    fn a_name_alone_takes_the_next_word() {
        assert_eq!(&*serve(&["--requirepass", "--x"], "").get(id::REQUIREPASS), "--x");
        let (number, line, reason) = refused(&["--port", "--hz"]);
        assert_eq!((number, &*line), (2, r#"port "--hz""#));
        assert_eq!(reason, "argument couldn't be parsed into an integer");
        assert_eq!(refused(&["--logfile", "--hz", "x"]).1, r#"logfile "--hz" "x""#);
    }

    #[test]
    fn wrong_options() {
        assert_eq!(refused(&["--port"]), (2, "port".into(), "wrong number of arguments".into()));
        assert_eq!(refused(&["--port", "1", "x"]).1, r#"port "1" "x""#);
        let bad = "Bad directive or wrong number of arguments";
        assert_eq!(refused(&["--port", "1", "--hz=5"]), (3, "hz=5".into(), bad.into()));
        assert_eq!(refused(&["-hz", "5"]), (2, r#""-hz" "5""#.into(), bad.into()));
    }

    #[test]
    fn standard_input_comes_before_the_options() {
        assert_eq!(serve(&["-", "--port", "7001"], "port 7000\nhz 50").get(id::PORT), 7001);
        assert_eq!(serve(&["--port", "7001", "-"], "hz 50").get(id::HZ), 50);
        assert!(matches!(run(&["-"], "hz x"), Err(StartError::Line { number: 1, .. })));
    }

    #[test]
    fn words_that_are_not_configuration() {
        assert!(matches!(run(&["-v", "--port"], ""), Ok(Start::Version)));
        assert!(matches!(run(&["--version"], ""), Ok(Start::Version)));
        assert!(matches!(run(&["-h"], ""), Ok(Start::Help)));
        assert!(matches!(run(&["--check-system"], ""), Ok(Start::CheckSystem)));
        assert_eq!(refused(&["--port", "1", "-v"]).1, r#"port "1" "-v""#);
    }

    #[test]
    fn files_and_includes() {
        let directory = crate::rewrite::tests::TestDirectory::new("includes");
        let main = directory.write("main.conf", "hz 20\ninclude more/*.conf\ninclude none*.conf\n");
        directory.write("more/b.conf", "hz 40\n");
        directory.write("more/a.conf", "hz 30\n\nport 1\n");
        directory.write("more/.hidden.conf", "hz 99\n");
        let dir = directory.path.to_str().expect("UTF-8").to_owned();
        let main = main.to_str().expect("UTF-8").to_owned();
        // Includes are relative to `dir`, which the file itself may set.
        let text = fs::read_to_string(&main).expect("written above");
        fs::write(&main, format!("dir {dir}\n{text}")).expect("writable");
        let config = serve(&[&main, "--port", "2"], "");
        assert_eq!((config.get(id::HZ), config.get(id::PORT)), (40, 2));
        assert_eq!(config.path(), Some(Path::new(&main)));

        directory.write("more/b.conf", "\n hzz 1\n");
        match run(&[&main], "") {
            Err(StartError::Line { file: Some(file), number: 2, .. }) => {
                assert!(file.ends_with("more/b.conf"))
            }
            other => panic!("{other:?}"),
        }
        directory.write("more/b.conf", "include main.conf\n");
        match run(&[&main], "") {
            Err(StartError::Line { reason, .. }) => {
                assert!(reason.ends_with("includes itself"), "{reason}")
            }
            other => panic!("{other:?}"),
        }
        directory.write("more/b.conf", "include absent.conf\n");
        let error = run(&[&main], "").unwrap_err().to_string();
        assert_eq!(
            error,
            format!(
                "Fatal error, can't open config file '{dir}/absent.conf': No such file or directory"
            )
        );
    }
}
