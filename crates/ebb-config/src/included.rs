//! What included files say of partitions, which `CONFIG REWRITE` cannot change.
//!
//! It writes one file. The partitions that included files make need no lines there; but one that
//! was dropped or altered since would come back at the next start, and no other line could
//! prevent it. So the file is rewritten only while every such line still says what is so.

use std::fs;
use std::path::{Path, PathBuf};

use crate::grammar;
use crate::partitions::{PARTITION, PartitionLine, show_all};
use crate::store::Config;

/// A line of an included file that makes a partition.
#[derive(Debug)]
pub(crate) struct Included {
    file: PathBuf,
    /// Counted from 1.
    number: usize,
    line: PartitionLine,
}

impl Config {
    /// The lines that make partitions in the files that were included at the start, as they
    /// are now. What cannot be read is the next start's to refuse.
    pub(crate) fn included_partitions(&self) -> Vec<Included> {
        self.included.iter().flat_map(|file| read(file)).collect()
    }

    /// Why the next start would not make the partitions there are, if it would not.
    pub(crate) fn overruled(&self, included: &[Included]) -> Option<String> {
        let now = self.partitions();
        let one = included.iter().find(|one| !now.contains(&one.line))?;
        let (name, place) = (&one.line.name, one.place());
        Some(match now.iter().find(|line| line.name == *name) {
            None => {
                format!("{place} makes partition '{name}', which is not there: delete the line")
            }
            Some(line) => format!(
                "{place} makes partition '{name}' other than it is: change the line to \
                 '{PARTITION} {}'",
                line.show()
            ),
        })
    }

    /// The value of the directive without what included files say.
    pub(crate) fn partitions_beside(&self, included: &[Included]) -> String {
        let mut own = self.partitions();
        own.retain(|line| !included.iter().any(|one| one.line == *line));
        show_all(&own)
    }
}

impl Included {
    fn place(&self) -> String {
        format!("line {} of '{}'", self.number, self.file.display())
    }
}

/// The lines of a file that make partitions.
fn read(file: &Path) -> Vec<Included> {
    let text = fs::read(file).unwrap_or_default();
    let lines = (1..).zip(text.split(|byte| *byte == b'\n'));
    let line = |(number, line): (usize, &[u8])| {
        let arguments = grammar::split_arguments(grammar::trim(line))?;
        let (name, words) = arguments.split_first()?;
        if !name.eq_ignore_ascii_case(PARTITION.as_bytes()) {
            return None;
        }
        let line = match words {
            // A whole line in quotes.
            [line] => PartitionLine::read(&grammar::split_arguments(line)?),
            words => PartitionLine::read(words),
        };
        Some(Included { file: file.to_owned(), number, line: line.ok()? })
    };
    lines.filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::fs;

    use crate::rewrite::tests::TestDirectory;
    use crate::{Config, Start, start};

    fn load(main: &std::path::Path) -> Config {
        let arguments = [OsString::from(main)];
        match start(&arguments, &mut &b""[..], 1) {
            Ok(Start::Serve(config)) => *config,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_included_partition_does_not_come_back() {
        let directory = TestDirectory::new("included-partitions");
        let text = "# shared\n\npartition a prefix \"\\x00\" maxmemory 1mb\npartition \"b db 1\"\n";
        let more = directory.write("more.conf", text);
        let head = format!("include {}\npartition own prefix o:\n", more.display());
        let main = directory.write("main.conf", &head);
        let config = load(&main);
        let before = config.partitions();
        assert_eq!(before.len(), 3);

        // What is as the files say stays where it is said, and new ones have lines of their own.
        config.rewrite().unwrap();
        assert_eq!(fs::read_to_string(&main).unwrap(), head);
        let mut lines = before.clone();
        lines[2].alter(&["maxmemory", "1kb"]).unwrap();
        lines.push(crate::PartitionLine::read(&["new", "db", "3"]).unwrap());
        config.set_partitions(&lines);
        config.rewrite().unwrap();
        assert_eq!(load(&main).partitions(), lines);

        // One that was altered or dropped keeps the file as it is.
        let kept = fs::read(&main).unwrap();
        let place = format!("of '{}' makes partition", more.display());
        lines[0].alter(&["maxmemory", "2mb"]).unwrap();
        config.set_partitions(&lines);
        assert_eq!(
            config.rewrite().unwrap_err().to_string(),
            format!(
                "ERR Rewriting config file: line 3 {place} 'a' other than it is: change the line \
                 to 'partition a prefix \"\\x00\" maxmemory 2mb'"
            )
        );
        let without_b: Vec<_> = before.iter().filter(|line| line.name != "b").cloned().collect();
        config.set_partitions(&without_b);
        assert_eq!(
            config.rewrite().unwrap_err().to_string(),
            format!(
                "ERR Rewriting config file: line 4 {place} 'b', which is not there: delete the line"
            )
        );
        assert_eq!(fs::read(&main).unwrap(), kept);

        // Until the line says it too.
        fs::write(&more, text.replace("partition \"b db 1\"\n", "")).unwrap();
        config.rewrite().unwrap();
        assert_eq!(load(&main).partitions(), without_b);
    }
}
