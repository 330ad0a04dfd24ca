//! Which pages of this process are in physical memory, as the kernel's page map tells.
//!
//! Only what is named is looked at: the program's own mappings, the stacks of the threads, and the
//! ranges that the caller asks for. A gigabyte of them takes some milliseconds.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use ebb_engine::server::ResidentPages;
use parking_lot::Mutex;

const PAGE: usize = 4096;
/// Rows of the page map are numbers of so many bytes.
const ROW: usize = 8;
/// Rows read at once.
const ROWS: usize = 4096;
/// What a thread of the standard library has for its stack.
const STACK_BYTES: usize = 2 << 20;
/// Variables of one program or library take less; what is larger is something else (the tables of a
/// sanitizer are).
const VARIABLES_MAX: usize = 1 << 30;
/// Above a thread's first function: the thread's own record and its local variables.
const STACK_HEAD: usize = 2 * PAGE;

/// An address near the top of each thread's stack.
static STACKS: Mutex<Vec<usize>> = Mutex::new(Vec::new());

/// Called by a thread when it begins, and lives as long as the server.
pub(crate) fn note_stack() {
    let here = 0u8;
    STACKS.lock().push(std::ptr::from_ref(&here).addr());
}

/// Resident bytes of the process; 0 if the system does not tell.
pub(crate) fn resident_bytes() -> usize {
    statm().0
}

/// Resident bytes, and those among them that files (or shared memory) stand behind.
fn statm() -> (usize, usize) {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let mut pages = statm.split(' ').skip(1).map(|pages| pages.parse::<usize>().unwrap_or(0));
    let mut next = || pages.next().unwrap_or(0) * PAGE;
    (next(), next())
}

/// Reads them; what the system does not tell is 0, but for `ranges`, which then count in full.
pub(crate) fn resident_pages(ranges: &[Range<usize>]) -> ResidentPages {
    let (total, file) = statm();
    let whole = ranges.iter().map(Range::len).sum();
    let Ok(map) = File::open("/proc/self/pagemap") else {
        return ResidentPages { total, program: file, stacks: 0, ranges: whole };
    };
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let (program, stacks) = own_ranges(&maps, &STACKS.lock());
    let sum = |ranges: &[Range<usize>]| -> usize {
        ranges.iter().map(|range| private_bytes(&map, range).unwrap_or(range.len())).sum()
    };
    ResidentPages {
        total,
        program: file + sum(&program),
        stacks: sum(&stacks),
        ranges: sum(ranges),
    }
}

/// The mappings of the program and its libraries, with their variables and the C library's heap; and
/// those of the stacks.
fn own_ranges(maps: &str, stacks: &[usize]) -> (Vec<Range<usize>>, Vec<Range<usize>>) {
    let (mut program, mut own_stacks) = (Vec::new(), Vec::new());
    let mut end_of_file = 0;
    for line in maps.lines() {
        let mut words = line.split_ascii_whitespace();
        let Some((begin, end)) = words.next().and_then(|range| range.split_once('-')) else {
            continue;
        };
        let number = |text| usize::from_str_radix(text, 16).unwrap_or(0);
        let range = number(begin)..number(end);
        let name = words.nth(4).unwrap_or("");
        // Variables that begin as zeros have no file behind them and follow those that have.
        let is_variables =
            name.is_empty() && range.start == end_of_file && range.len() <= VARIABLES_MAX;
        if name.starts_with('/') || is_variables || name == "[heap]" {
            if name.starts_with('/') {
                end_of_file = range.end;
            }
            program.push(range);
        } else if name == "[stack]" {
            own_stacks.push(range);
        } else {
            let here = stacks.iter().filter(|stack| range.contains(stack));
            own_stacks.extend(here.map(|&top| {
                let begin = range.start.max(top.saturating_sub(STACK_BYTES) / PAGE * PAGE);
                begin..range.end.min(top.next_multiple_of(PAGE) + STACK_HEAD)
            }));
        }
    }
    (program, own_stacks)
}

/// Bytes of a range's pages that are present and that no file stands behind.
fn private_bytes(map: &File, range: &Range<usize>) -> Option<usize> {
    const PRESENT: u64 = 1 << 63;
    const OF_FILE: u64 = 1 << 61;
    let mut rows = [0; ROWS * ROW];
    let (mut page, end) = (range.start / PAGE, range.end.div_ceil(PAGE));
    let mut pages = 0;
    while page < end {
        let part = &mut rows[..(end - page).min(ROWS) * ROW];
        map.read_exact_at(part, (page * ROW) as u64).ok()?;
        let (numbers, _) = part.as_chunks::<ROW>();
        let rows = numbers.iter().map(|row| u64::from_ne_bytes(*row));
        pages += rows.filter(|row| row & (PRESENT | OF_FILE) == PRESENT).count();
        page += ROWS;
    }
    Some(pages * PAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_are_told_apart() {
        let maps = "1000-3000 r-xp 00000000 08:01 7 /bin/ebb\n3000-4000 rw-p 00000000 00:00 0 \n\
                    a0000-a1000 r--p 00000000 08:01 8 /lib/c\na1000-90000000 rw-p 00000000 00:00 0 \n\
                    5000-6000 rw-p 00000000 00:00 0 [heap]\n7000-8000 ---p 00000000 00:00 0 \n\
                    8000-20000 rw-p 00000000 00:00 0 \n30000-31000 rw-p 00000000 00:00 0 [stack]\n";
        let (program, stacks) = own_ranges(maps, &[0x1_1234]);
        assert_eq!(program, [0x1000..0x3000, 0x3000..0x4000, 0xa0000..0xa1000, 0x5000..0x6000]);
        assert_eq!(stacks, [0x8000..0x1_4000, 0x3_0000..0x3_1000]);
    }

    #[test]
    fn pages_that_were_written_are_seen() {
        let mut memory: Vec<u8> = Vec::with_capacity(64 << 20);
        let begin = memory.as_ptr().addr();
        let range = begin..begin + memory.capacity();
        let before = resident_pages(std::slice::from_ref(&range));
        memory.resize(8 << 20, 1);
        let after = resident_pages(std::slice::from_ref(&range));
        assert!(before.ranges < 4 << 20, "{before:?}");
        assert!((8 << 20..12 << 20).contains(&after.ranges), "{after:?}");
        assert!(after.program > 1 << 20 && after.total > after.program, "{after:?}");
    }
}
