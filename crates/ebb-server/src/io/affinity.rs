//! On which processors a thread may run.

use std::io;

/// Lets the calling thread, and those it starts, run on these processors only. Fails if none of
/// them is there.
pub(crate) fn bind_thread(processors: &[usize]) -> io::Result<()> {
    // SAFETY: all zeros is the empty set; `CPU_SET` is given numbers below its size; the kernel
    // reads as many bytes as the set has.
    let done = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        let room = 8 * size_of_val(&set);
        processors.iter().filter(|&&n| n < room).for_each(|&n| libc::CPU_SET(n, &mut set));
        libc::sched_setaffinity(0, size_of_val(&set), &set)
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::bind_thread;

    #[test]
    fn a_thread_stays_where_it_is_bound() {
        let status = || std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let allowed = |status: &str| {
            let line = status.lines().find(|line| line.starts_with("Cpus_allowed_list:"));
            line.unwrap().split_whitespace().nth(1).unwrap().to_owned()
        };
        let first = allowed(&status());
        let first: usize = first.split(['-', ',']).next().unwrap().parse().unwrap();
        let bound = std::thread::spawn(move || {
            bind_thread(&[first]).unwrap();
            allowed(&std::fs::read_to_string("/proc/thread-self/status").unwrap())
        });
        assert_eq!(bound.join().unwrap(), first.to_string());
        let nowhere = std::thread::spawn(|| bind_thread(&[]).unwrap_err().raw_os_error());
        assert_eq!(nowhere.join().unwrap(), Some(libc::EINVAL));
    }
}
