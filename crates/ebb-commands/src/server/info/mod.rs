//! INFO: everything there is to know, by section.

use ebb_engine::{Argument, Categories, CommandResult, CommandSpec, Context, Flags, Group, Scope};

mod activity;
mod machine;
mod memory;
mod partitions;

pub(super) static INFO: CommandSpec = CommandSpec {
    name: "info",
    summary: "Returns figures and counters, of all usual sections or of those that are named.",
    since: "1.0.0",
    group: Group::Server,
    complexity: "O(N) where N is the number of shards and databases.",
    arity: -1,
    flags: Flags::LOADING.and(Flags::STALE),
    acl: Categories::DANGEROUS,
    arguments: &[Argument::string("section").optional().multiple()],
    tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
    scope: Scope::Walk,
    run,
    ..CommandSpec::NEW
};

/// A section: its name, whether it is shown when none is named, and what writes it.
struct Section {
    name: &'static str,
    usual: bool,
    write: fn(&mut Context<'_>, &mut Text),
}

const SECTIONS: &[Section] = &[
    Section { name: "Server", usual: true, write: machine::server },
    Section { name: "Clients", usual: true, write: activity::clients },
    Section { name: "Memory", usual: true, write: memory::memory },
    Section { name: "Persistence", usual: true, write: memory::persistence },
    Section { name: "Stats", usual: true, write: activity::stats },
    Section { name: "Replication", usual: true, write: machine::replication },
    Section { name: "CPU", usual: true, write: machine::cpu },
    Section { name: "Modules", usual: true, write: |_, _| {} },
    Section { name: "Commandstats", usual: false, write: activity::commandstats },
    Section { name: "Errorstats", usual: true, write: activity::errorstats },
    Section { name: "Latencystats", usual: false, write: activity::latencystats },
    Section { name: "Cluster", usual: true, write: machine::cluster },
    Section { name: "Partitions", usual: true, write: partitions::partitions },
    Section { name: "Keyspace", usual: true, write: memory::keyspace },
];

fn run(ctx: &mut Context<'_>) -> CommandResult {
    let named = |word: &str| (1..ctx.args.len()).any(|at| ctx.is_word(at, word));
    let everything = named("all") || named("everything");
    let usual = ctx.args.len() == 1 || named("default");
    let wanted: Vec<&Section> = SECTIONS
        .iter()
        .filter(|section| everything || (usual && section.usual) || named(section.name))
        // As Redis has it, "all" leaves out what modules add.
        .filter(|section| section.name != "Modules" || !named("all") || named("modules"))
        .collect();
    let mut text = Text(String::new());
    for section in wanted {
        if !text.0.is_empty() {
            text.0 += "\r\n";
        }
        text.0 += &format!("# {}\r\n", section.name);
        (section.write)(ctx, &mut text);
    }
    ctx.reply.verbatim(*b"txt", &text.0);
    Ok(())
}

/// The text of INFO.
struct Text(String);

impl Text {
    /// Adds a field.
    fn field(&mut self, name: &str, value: impl std::fmt::Display) {
        self.0 += &format!("{name}:{value}\r\n");
    }

    /// Adds a field in bytes, and the same for people.
    fn bytes(&mut self, name: &str, bytes: usize) {
        self.field(name, bytes);
        self.field(&format!("{name}_human"), human(bytes));
    }

    /// Adds a ratio and a difference in bytes.
    fn ratio(&mut self, name: &str, bytes_name: &str, (ratio, bytes): (f64, i64)) {
        self.field(name, format!("{ratio:.2}"));
        self.field(bytes_name, bytes);
    }
}

/// Bytes with a unit: "1.50M".
fn human(bytes: usize) -> String {
    const UNITS: [char; 6] = ['B', 'K', 'M', 'G', 'T', 'P'];
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes}B") } else { format!("{value:.2}{}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use crate::testing::Client;

    #[test]
    fn sections_are_chosen() {
        let mut client = Client::new();
        let sections = |reply: &str| {
            let heads = reply.lines().filter_map(|line| line.strip_prefix("# "));
            heads.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(sections(&client.say("INFO server CPU")), ["Server", "CPU"]);
        assert!(!sections(&client.say("INFO")).contains(&"Commandstats".to_owned()));
        assert!(sections(&client.say("INFO all")).contains(&"Commandstats".to_owned()));
        assert!(!sections(&client.say("INFO all")).contains(&"Modules".to_owned()));
        assert_eq!(sections(&client.say("INFO everything")).len(), super::SECTIONS.len());
        assert!(
            sections(&client.say("INFO default commandstats")).contains(&"Commandstats".into())
        );
        assert_eq!(client.say("INFO nothing"), "$0\r\n\r\n");
    }

    #[test]
    fn figures_follow_what_happens() {
        let mut client = Client::new();
        client.say("SET k 1");
        client.say("GET k");
        client.say("GET nothing");
        client.say("EXPIRE k 1000");
        client.say("INCR");
        let info = client.say("INFO everything");
        for field in [
            "keyspace_hits:1\r\n",
            "keyspace_misses:1\r\n",
            "rdb_changes_since_last_save:2\r\n",
            "total_error_replies:1\r\n",
            "errorstat_ERR:count=1\r\n",
            "cmdstat_incr:calls=0,usec=0,usec_per_call=0.00,rejected_calls=1,failed_calls=0\r\n",
            "db0:keys=1,expires=1,avg_ttl=",
            "redis_version:7.2.",
            "latency_percentiles_usec_get:p50=",
        ] {
            assert!(info.contains(field), "{field} is missing in {info}");
        }
    }

    #[test]
    fn a_pause_and_the_places_to_connect_to_are_told() {
        let mut client = Client::new();
        let info = client.say("INFO everything");
        for field in ["paused_reason:none\r\n", "paused_actions:none\r\n", "eventloop_cycles:0\r\n"]
        {
            assert!(info.contains(field), "{field} is missing in {info}");
        }
        assert!(info.contains("listener0:name=tcp,bind=*,bind=-::*,port=6379\r\n"), "{info}");
        client.say("CLIENT PAUSE 100000 WRITE");
        client.say("CONFIG SET availability-zone here port 0");
        let info = client.say("INFO everything");
        assert!(info.contains("paused_reason:client_pause\r\npaused_actions:write\r\n"), "{info}");
        let left = info.split_once("paused_timeout_milliseconds:").expect("the field").1;
        let left: i64 = left.lines().next().expect("a line").parse().expect("a number");
        assert!((1..=100_000).contains(&left), "{left}");
        assert!(
            info.contains("availability_zone:here\r\n") && !info.contains("listener0"),
            "{info}"
        );
    }

    #[test]
    fn bytes_are_readable() {
        assert_eq!(super::human(0), "0B");
        assert_eq!(super::human(1536), "1.50K");
        assert_eq!(super::human(25_274_793_984), "23.54G");
    }
}
