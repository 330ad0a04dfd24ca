//! Commands of Redis that this version does not have. They are known by name, so that configurations
//! and users written for Redis hold here, and so that whoever calls one learns why it is not there.

const DISK: &str = "this version of Ebb does not keep data on disk";
const REPLICATION: &str = "this version of Ebb does not replicate";
const MODULES: &str = "Ebb has no modules";
const CLUSTER: &str = "this version of Ebb has no cluster";

const ABSENT: &[(&str, &str)] = &[
    ("save", DISK),
    ("bgsave", DISK),
    ("lastsave", DISK),
    ("bgrewriteaof", DISK),
    ("replicaof", REPLICATION),
    ("slaveof", REPLICATION),
    ("sync", REPLICATION),
    ("psync", REPLICATION),
    ("replconf", REPLICATION),
    ("failover", REPLICATION),
    ("wait", REPLICATION),
    ("waitaof", REPLICATION),
    ("module", MODULES),
    ("migrate", CLUSTER),
    ("restore-asking", CLUSTER),
    ("cluster", CLUSTER),
    ("asking", CLUSTER),
    ("readonly", CLUSTER),
    ("readwrite", CLUSTER),
];

/// What Redis answers to these when it is not part of a cluster, as clients know it.
const WITHOUT_CLUSTER: &str = "ERR This instance has cluster support disabled";

/// Why a command is not there, if it is one of Redis's.
fn reason(name: &[u8]) -> Option<&'static str> {
    let row = ABSENT.iter().find(|(absent, _)| name.eq_ignore_ascii_case(absent.as_bytes()));
    row.map(|&(_, reason)| reason)
}

/// Whether this is the name of such a command, or `container|subcommand` of one.
pub(crate) fn is_known(name: &[u8]) -> bool {
    let mut words = name.splitn(2, |&byte| byte == b'|');
    let command = words.next().unwrap_or_default();
    let is_container = [&b"cluster"[..], b"module"].iter().any(|c| command.eq_ignore_ascii_case(c));
    let is_word = |word: &[u8]| {
        !word.is_empty() && word.iter().all(|&byte| byte.is_ascii_alphabetic() || byte == b'-')
    };
    reason(command).is_some() && words.next().is_none_or(|word| is_container && is_word(word))
}

/// What such a command answers.
pub(crate) fn error(name: &[u8]) -> Option<String> {
    let reason = reason(name)?;
    let name = String::from_utf8_lossy(name);
    let is_of_cluster = ["cluster", "asking", "readonly", "readwrite"]
        .iter()
        .any(|command| name.eq_ignore_ascii_case(command));
    Some(match is_of_cluster {
        true => WITHOUT_CLUSTER.into(),
        false => format!("ERR unknown command '{name}': {reason}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_in_any_case() {
        for name in ["psync", "BGSAVE", "cluster|nodes", "Cluster|SLOT-STATS", "module|load"] {
            assert!(is_known(name.as_bytes()), "{name}");
        }
        for name in ["", "get", "psync|x", "cluster|", "cluster|a b", "cluster|a|b", "bgsav"] {
            assert!(!is_known(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn errors_say_why() {
        let error = |name: &str| error(name.as_bytes());
        assert_eq!(
            error("BGSAVE").unwrap(),
            "ERR unknown command 'BGSAVE': this version of Ebb does not keep data on disk"
        );
        assert_eq!(error("Cluster").unwrap(), WITHOUT_CLUSTER);
        assert_eq!(error("nothing"), None);
    }
}
