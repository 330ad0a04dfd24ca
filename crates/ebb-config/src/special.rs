//! The directives with a format of their own. Each function takes the value so far and the arguments, and gives
//! the value as `CONFIG GET` shows it. The typed views of these values are here too.

use crate::value::{Reason, one_of, parse_i64, parse_memory};

/// Redis accepts no more listening addresses than this.
const BIND_ADDRESSES_MAX: usize = 16;

/// Processors have numbers below this one.
const CPUS_MAX: usize = 1024;

/// No arguments, or one empty one, is how an empty list is written.
fn list<'a, 'b>(arguments: &'a [&'b str]) -> &'a [&'b str] {
    if matches!(arguments, [""]) { &[] } else { arguments }
}

/// `bind`: addresses, each with an optional `-` that lets it be unavailable.
pub(crate) fn bind(_: &str, arguments: &[&str]) -> Result<String, Reason> {
    let addresses = list(arguments);
    if addresses.len() > BIND_ADDRESSES_MAX {
        return Err(Reason::new("Too many bind addresses specified."));
    }
    Ok(addresses.join(" "))
}

/// `save`: pairs of seconds and changes. Lines add up, an empty argument starts over.
pub(crate) fn save(current: &str, arguments: &[&str]) -> Result<String, Reason> {
    let pairs = list(arguments);
    if pairs.is_empty() {
        return Ok(String::new());
    }
    let number = |text: &str, min| parse_i64(text).is_some_and(|number| number >= min);
    let valid = pairs.len().is_multiple_of(2)
        && pairs.chunks(2).all(|pair| number(pair[0], 1) && number(pair[1], 0));
    if !valid {
        return Err(Reason::new("Invalid save parameters"));
    }
    let added = pairs.join(" ");
    Ok(if current.is_empty() { added } else { format!("{current} {added}") })
}

/// The limits of one class of clients on what may wait to be sent to one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct OutputBufferLimit {
    /// Over this many bytes the client is closed at once; 0 is no limit.
    pub hard_bytes: u64,
    /// Over this many bytes for `soft_seconds` the client is closed; 0 is no limit.
    pub soft_bytes: u64,
    /// How long the soft limit may be exceeded, in seconds.
    pub soft_seconds: u64,
}

/// The value of `client-output-buffer-limit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct OutputBufferLimits {
    /// Ordinary clients.
    pub normal: OutputBufferLimit,
    /// Replicas.
    pub replica: OutputBufferLimit,
    /// Clients subscribed to at least one channel or pattern.
    pub pubsub: OutputBufferLimit,
}

impl OutputBufferLimits {
    /// Reads the form that `CONFIG GET` shows.
    pub(crate) fn parse(text: &str) -> Self {
        let mut limits = Self::default();
        let words: Vec<&str> = text.split(' ').collect();
        for group in words.chunks_exact(4) {
            // The text was made by `show`; a group that does not read leaves its class without limits.
            let _ = limits.change(group);
        }
        limits
    }

    fn change(&mut self, group: &[&str]) -> Result<(), Reason> {
        let class = match group[0].to_ascii_lowercase().as_str() {
            "normal" => &mut self.normal,
            "replica" | "slave" => &mut self.replica,
            "pubsub" => &mut self.pubsub,
            _ => {
                return Err(Reason::new(
                    "Invalid client class specified in buffer limit configuration.",
                ));
            }
        };
        let seconds = parse_i64(group[3]).and_then(|seconds| u64::try_from(seconds).ok());
        match (parse_memory(group[1]), parse_memory(group[2]), seconds) {
            (Some(hard_bytes), Some(soft_bytes), Some(soft_seconds)) => {
                *class = OutputBufferLimit { hard_bytes, soft_bytes, soft_seconds };
                Ok(())
            }
            _ => Err(Reason::new(
                "Error in hard, soft or soft_seconds setting in buffer limit configuration.",
            )),
        }
    }

    fn show(&self) -> String {
        let class = |name, limit: &OutputBufferLimit| {
            format!("{name} {} {} {}", limit.hard_bytes, limit.soft_bytes, limit.soft_seconds)
        };
        [
            class("normal", &self.normal),
            class("slave", &self.replica),
            class("pubsub", &self.pubsub),
        ]
        .join(" ")
    }
}

/// `client-output-buffer-limit`: groups of class, hard, soft and seconds; classes not named keep theirs.
pub(crate) fn output_buffer_limits(current: &str, arguments: &[&str]) -> Result<String, Reason> {
    let arguments = list(arguments);
    if !arguments.len().is_multiple_of(4) {
        return Err(Reason::new("Wrong number of arguments in buffer limit configuration."));
    }
    let mut limits = OutputBufferLimits::parse(current);
    for group in arguments.chunks_exact(4) {
        limits.change(group)?;
    }
    Ok(limits.show())
}

/// `oom-score-adj-values`: for the master, a replica, and a background child.
pub(crate) fn oom_score_adj_values(_: &str, arguments: &[&str]) -> Result<String, Reason> {
    if arguments.len() != 3 {
        return Err(Reason::new("wrong number of arguments"));
    }
    for value in arguments {
        if !parse_i64(value).is_some_and(|value| (-2000..=2000).contains(&value)) {
            return Err(Reason::new(
                "Invalid oom-score-adj-values, elements must be between -2000 and 2000.",
            ));
        }
    }
    Ok(arguments.join(" "))
}

/// `notify-keyspace-events`: letters, each a class of events; shown in a fixed order.
pub(crate) fn keyspace_events(_: &str, arguments: &[&str]) -> Result<String, Reason> {
    const CLASSES: &str = "g$lshzxetd";
    const OTHERS: &str = "KEmn";
    let letters = match arguments {
        [] => return Err(Reason::new("wrong number of arguments")),
        [letters] => *letters,
        _ => return Err(wrong_event_class()),
    };
    if letters
        .chars()
        .any(|letter| letter != 'A' && !CLASSES.contains(letter) && !OTHERS.contains(letter))
    {
        return Err(wrong_event_class());
    }
    let has =
        |letter| letters.contains(letter) || (letters.contains('A') && CLASSES.contains(letter));
    let mut shown: String = if CLASSES.chars().all(has) {
        "A".to_owned()
    } else {
        CLASSES.chars().filter(|letter| has(*letter)).collect()
    };
    shown.extend(OTHERS.chars().filter(|letter| has(*letter)));
    Ok(shown)
}

fn wrong_event_class() -> Reason {
    Reason::new("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")
}

/// `latency-tracking-info-percentiles`: numbers from 0 to 100, kept to six decimals.
pub(crate) fn percentiles(_: &str, arguments: &[&str]) -> Result<String, Reason> {
    let mut shown = Vec::new();
    for argument in arguments.iter().filter(|argument| !argument.is_empty()) {
        let percentile: f64 = argument
            .parse()
            .ok()
            .filter(|percentile: &f64| !percentile.is_nan())
            .ok_or(Reason::new("Invalid latency-tracking-info-percentiles parameters"))?;
        if !(0.0..=100.0).contains(&percentile) {
            return Err(Reason::new(
                "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]",
            ));
        }
        let text = format!("{percentile:.6}");
        shown.push(text.trim_end_matches('0').trim_end_matches('.').to_owned());
    }
    Ok(shown.join(" "))
}

/// `replicaof`: a host and a port, or `no one`.
pub(crate) fn replica_of(_: &str, arguments: &[&str]) -> Result<String, Reason> {
    let [host, port] = arguments else {
        return Err(Reason::new("wrong number of arguments"));
    };
    if host.eq_ignore_ascii_case("no") && port.eq_ignore_ascii_case("one") {
        return Ok(String::new());
    }
    match port.parse::<u16>() {
        Ok(_) => Ok(format!("{host} {port}")),
        Err(_) => Err(Reason::new("Invalid master port")),
    }
}

/// `shutdown-on-sigint`, `shutdown-on-sigterm`: `default`, or words that do not contradict each other.
pub(crate) fn shutdown_words(_: &str, arguments: &[&str]) -> Result<String, Reason> {
    const WORDS: [&str; 5] = ["default", "save", "nosave", "now", "force"];
    let mut given = [false; WORDS.len()];
    for argument in arguments.iter().filter(|argument| !argument.is_empty()) {
        match WORDS.iter().position(|word| word.eq_ignore_ascii_case(argument)) {
            Some(at) => given[at] = true,
            None => return Err(one_of(&WORDS)),
        }
    }
    if !given.contains(&true) {
        return Err(one_of(&WORDS));
    }
    if given[1] && given[2] {
        return Err(Reason::new("shutdown options SAVE and NOSAVE can't be used simultaneously"));
    }
    let words: Vec<&str> = (1..WORDS.len()).filter(|at| given[*at]).map(|at| WORDS[at]).collect();
    Ok(if words.is_empty() { WORDS[0].to_owned() } else { words.join(" ") })
}

/// Any text.
pub(crate) fn any(_: &str) -> Result<(), Reason> {
    Ok(())
}

/// `proc-title-template`: text with `{variables}`; `{{` is a brace.
pub(crate) fn title_template(text: &str) -> Result<(), Reason> {
    const VARIABLES: [&str; 7] =
        ["title", "listen-addr", "server-mode", "port", "tls-port", "unixsocket", "config-file"];
    let wrong = || Reason::new("template format is invalid or contains unknown variables");
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        rest = &rest[open + 1..];
        if let Some(after) = rest.strip_prefix('{') {
            rest = after;
            continue;
        }
        let close = rest.find('}').ok_or_else(wrong)?;
        if !VARIABLES.contains(&&rest[..close]) {
            return Err(wrong());
        }
        rest = &rest[close + 1..];
    }
    if text.is_empty() { Err(wrong()) } else { Ok(()) }
}

/// `server-cpulist` and its like: processors such as `0-7:2,9`, where `:2` takes every second.
pub(crate) fn cpu_list(text: &str) -> Result<(), Reason> {
    match cpus(text) {
        Some(_) => Ok(()),
        None => Err(Reason::new("must be processors, such as 0,2 or 0-7 or 0-7:2")),
    }
}

/// The processors of a list; none of the empty list.
pub fn cpus(text: &str) -> Option<Vec<usize>> {
    let number = |text: &str| text.parse::<usize>().ok().filter(|&number| number < CPUS_MAX);
    let mut cpus = Vec::new();
    for part in text.split(',').filter(|_| !text.is_empty()) {
        let (range, stride) = part.split_once(':').unwrap_or((part, "1"));
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let stride = number(stride).filter(|&stride| stride > 0)?;
        let (first, last) = (number(first)?, number(last)?);
        if first > last {
            return None;
        }
        cpus.extend((first..=last).step_by(stride));
    }
    Some(cpus)
}

/// `dbfilename`: a name, not a path.
pub(crate) fn db_filename(text: &str) -> Result<(), Reason> {
    plain_name("dbfilename", "filename", text)
}

/// `appendfilename`: a name, not a path, not empty.
pub(crate) fn append_filename(text: &str) -> Result<(), Reason> {
    if text.is_empty() {
        return Err(Reason::new("appendfilename can't be empty"));
    }
    plain_name("appendfilename", "filename", text)
}

/// `appenddirname`: a name, not a path, not empty.
pub(crate) fn append_dirname(text: &str) -> Result<(), Reason> {
    if text.is_empty() {
        return Err(Reason::new("appenddirname can't be empty"));
    }
    plain_name("appenddirname", "dirname", text)
}

fn plain_name(directive: &str, what: &str, text: &str) -> Result<(), Reason> {
    if text.contains('/') {
        return Err(Reason(format!("{directive} can't be a path, just a {what}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<&str> {
        line.split(' ').collect()
    }

    #[test]
    fn save_lines_add_up() {
        assert_eq!(save("", &words("3600 1 300 100")).unwrap(), "3600 1 300 100");
        assert_eq!(save("3600 1", &words("300 100")).unwrap(), "3600 1 300 100");
        assert_eq!(save("3600 1", &[""]).unwrap(), "");
        for wrong in ["1", "1 2 3", "abc 1", "0 1", "10 -1", "  "] {
            assert_eq!(
                save("", &words(wrong)).unwrap_err().0,
                "Invalid save parameters",
                "{wrong}"
            );
        }
    }

    #[test]
    fn buffer_limits_change_by_class() {
        let default = "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60";
        let set =
            |line: &str| output_buffer_limits(default, &words(line)).map_err(|reason| reason.0);
        assert_eq!(
            set("replica 1mb 2mb 60").unwrap(),
            "normal 0 0 0 slave 1048576 2097152 60 pubsub 33554432 8388608 60"
        );
        assert_eq!(
            set("normal 0 0").unwrap_err(),
            "Wrong number of arguments in buffer limit configuration."
        );
        for wrong in ["foo 0 0 0", "master 0 0 0"] {
            assert_eq!(
                set(wrong).unwrap_err(),
                "Invalid client class specified in buffer limit configuration."
            );
        }
        for wrong in ["replica 1x 2mb 60", "normal 1mb 1mb -5"] {
            assert_eq!(
                set(wrong).unwrap_err(),
                "Error in hard, soft or soft_seconds setting in buffer limit configuration."
            );
        }
        assert_eq!(OutputBufferLimits::parse(default).replica.soft_seconds, 60);
        assert_eq!(OutputBufferLimits::parse(default).show(), default);
    }

    #[test]
    fn event_letters_have_an_order() {
        assert_eq!(keyspace_events("", &["AKEm"]).unwrap(), "AKEm");
        assert_eq!(keyspace_events("", &["lgKE"]).unwrap(), "glKE");
        assert_eq!(keyspace_events("", &["dtexzhsl$gE"]).unwrap(), "AE");
        assert_eq!(keyspace_events("", &[""]).unwrap(), "");
        assert!(keyspace_events("", &["Q"]).is_err());
        assert!(keyspace_events("", &["K", "E"]).is_err());
    }

    #[test]
    fn percentiles_are_short() {
        assert_eq!(percentiles("", &words("50 99.999 0.1 100")).unwrap(), "50 99.999 0.1 100");
        assert_eq!(percentiles("", &words("50.12345678 0")).unwrap(), "50.123457 0");
        assert_eq!(percentiles("", &[""]).unwrap(), "");
        assert_eq!(percentiles("", &words("50  60")).unwrap(), "50 60");
        for wrong in ["a", "nan"] {
            assert_eq!(
                percentiles("", &[wrong]).unwrap_err().0,
                "Invalid latency-tracking-info-percentiles parameters"
            );
        }
        assert!(percentiles("", &["101"]).unwrap_err().0.ends_with("[0.0,100.0]"));
    }

    #[test]
    fn the_other_formats() {
        assert_eq!(bind("", &words("127.0.0.1 -::1")).unwrap(), "127.0.0.1 -::1");
        assert_eq!(bind("", &[""]).unwrap(), "");
        assert_eq!(bind("", &["h"; 17]).unwrap_err().0, "Too many bind addresses specified.");
        assert_eq!(oom_score_adj_values("", &words("5 2 3")).unwrap(), "5 2 3");
        assert_eq!(
            oom_score_adj_values("", &words("1 2")).unwrap_err().0,
            "wrong number of arguments"
        );
        assert!(oom_score_adj_values("", &words("1 2 3000")).is_err());
        assert_eq!(replica_of("", &words("NO one")).unwrap(), "");
        assert_eq!(replica_of("", &words("host 6379")).unwrap(), "host 6379");
        assert_eq!(replica_of("", &words("a b")).unwrap_err().0, "Invalid master port");
        assert_eq!(shutdown_words("", &words("SAVE force NOW")).unwrap(), "save now force");
        assert_eq!(shutdown_words("", &words("save  now")).unwrap(), "save now");
        assert_eq!(shutdown_words("", &["default"]).unwrap(), "default");
        assert!(
            shutdown_words("", &words("save nosave")).unwrap_err().0.contains("simultaneously")
        );
        assert!(
            shutdown_words("", &[""]).unwrap_err().0.ends_with("default, save, nosave, now, force")
        );
        for (template, valid) in [
            ("{title} {port}", true),
            ("{{x", true),
            ("{foo", false),
            ("{foo}", false),
            ("", false),
        ] {
            assert_eq!(title_template(template).is_ok(), valid, "{template}");
        }
        assert_eq!(
            db_filename("a/b").unwrap_err().0,
            "dbfilename can't be a path, just a filename"
        );
        assert_eq!(append_filename("").unwrap_err().0, "appendfilename can't be empty");
        assert!(append_dirname("a/b").is_err());
    }

    #[test]
    fn lists_of_processors_are_read() {
        assert_eq!(cpus(""), Some(vec![]));
        assert_eq!(cpus("3"), Some(vec![3]));
        assert_eq!(cpus("0-7:2,9,1-2"), Some(vec![0, 2, 4, 6, 9, 1, 2]));
        for wrong in ["x", "1,", ",", "3-1", "1-", "-1", "0-7:0", "0-7:", "1024", "1-2-3", " 1"] {
            assert!(cpu_list(wrong).is_err(), "{wrong}");
        }
    }
}
