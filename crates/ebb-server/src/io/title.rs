//! The memory from which the kernel tells others a process's command line.

use std::ffi::{CStr, CString, c_char};
use std::fs;

unsafe extern "C" {
    static mut environ: *mut *mut c_char;
}

/// The arguments that the process was started with, and its environment right behind them. The kernel
/// shows what is here up to the first zero (or up to the end of the arguments, if those end in
/// one, as they did at first).
pub(crate) struct TitleArea {
    start: *mut u8,
    bytes: usize,
}

// SAFETY: nobody else reads or writes the area once it has been claimed.
unsafe impl Send for TitleArea {}

impl TitleArea {
    /// Takes the area; the environment has another place from then on. `None` if the kernel does not
    /// say where it is. Must be called once, while there is one thread, after the arguments were
    /// read for the last time.
    pub(crate) fn claim() -> Option<TitleArea> {
        let [start, _, env_start, env_end] =
            addresses(&fs::read_to_string("/proc/self/stat").ok()?)?;
        // SAFETY: there is one thread. `environ` ends in a null pointer, and what it points to in the
        // area are strings that end in zeros.
        unsafe {
            let mut place = environ;
            while !place.is_null() && !(*place).is_null() {
                if (env_start..env_end).contains(&((*place) as usize)) {
                    let copy: CString = CStr::from_ptr(*place).to_owned();
                    *place = copy.into_raw();
                }
                place = place.add(1);
            }
        }
        Some(TitleArea { start: start as *mut u8, bytes: env_end - start })
    }

    /// Shows a title, as much of it as there is room for.
    pub(crate) fn show(&mut self, title: &str) {
        let len = title.len().min(self.bytes - 1);
        // SAFETY: the area lasts as long as the process, is writable, and only this value uses it.
        let area = unsafe { std::slice::from_raw_parts_mut(self.start, self.bytes) };
        area[..len].copy_from_slice(&title.as_bytes()[..len]);
        area[len..].fill(0);
    }
}

/// Where arguments and environment begin and end: the fields 48 to 51 of proc(5)'s `stat`. `None` if
/// they are unknown, or not next to each other.
fn addresses(stat: &str) -> Option<[usize; 4]> {
    // The second field, the program's name in brackets, may have spaces.
    let fields = stat.rsplit_once(')')?.1.split_whitespace();
    let numbers: Vec<usize> =
        fields.skip(45).take(4).filter_map(|field| field.parse().ok()).collect();
    let all: [usize; 4] = numbers.try_into().ok()?;
    let [start, end, env_start, env_end] = all;
    (start != 0 && start < end && end == env_start && env_start < env_end).then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_stand_behind_a_name_with_brackets() {
        let stat = |ends: &str| format!("7 (a) b) S {}{ends} 0\n", "1 ".repeat(44));
        assert_eq!(addresses(&stat("16 32 32 64")), Some([16, 32, 32, 64]));
        for unknown in ["0 0 0 0", "16 32 48 64", "16 16 16 64", "16 32 32 32", "16 32"] {
            assert_eq!(addresses(&stat(unknown)), None, "{unknown}");
        }
        let [start, end, ..] = addresses(&fs::read_to_string("/proc/self/stat").unwrap()).unwrap();
        assert!(end - start > 10);
    }
}
