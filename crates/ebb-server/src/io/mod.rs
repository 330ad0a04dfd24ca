//! The seam to the operating system: calls that the standard library does not have. All
//! `unsafe` of this crate is here.

pub(crate) mod affinity;
pub(crate) mod clock;
pub(crate) mod collation;
pub(crate) mod syslog;
pub(crate) mod title;

use std::io;
use std::time::Duration;

/// What `getrusage` tells, in microseconds.
pub(crate) struct Usage {
    pub(crate) user_us: u64,
    pub(crate) system_us: u64,
}

/// Whose CPU time is asked for.
pub(crate) enum Who {
    Process,
    Children,
    ThisThread,
}

/// CPU time used so far.
pub(crate) fn usage(who: Who) -> Usage {
    // SAFETY: all zeros is a valid `rusage`, which `getrusage` then fills.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        let who = match who {
            Who::Process => libc::RUSAGE_SELF,
            Who::Children => libc::RUSAGE_CHILDREN,
            Who::ThisThread => libc::RUSAGE_THREAD,
        };
        libc::getrusage(who, &mut usage);
        usage
    };
    let us = |time: libc::timeval| time.tv_sec as u64 * 1_000_000 + time.tv_usec as u64;
    Usage { user_us: us(usage.ru_utime), system_us: us(usage.ru_stime) }
}

/// Time that a processor has worked for this thread.
pub(crate) fn thread_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure is written to, and valid whatever is written.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Tells the kernel to give this process no transparent huge pages, whoever asks for them.
pub(crate) fn disable_huge_pages() -> io::Result<()> {
    // SAFETY: a plain call; the arguments that are not used must be 0.
    let done = unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Has this thread's sleeps end when they are due. The kernel else adds 50 us to spare wake-ups.
pub(crate) fn sleep_precisely() {
    // SAFETY: a plain call; the arguments that are not used must be 0. It cannot fail for 1 ns.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1, 0, 0, 0) };
}

/// Raises the limit on open files to `wanted`, as far as the hard limit allows, and answers
/// the limit in force.
pub(crate) fn raise_open_files(wanted: u64) -> u64 {
    // SAFETY: plain calls on a local structure.
    unsafe {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) != 0 {
            return 1024;
        }
        if limit.rlim_cur >= wanted {
            return limit.rlim_cur;
        }
        let raised = libc::rlimit { rlim_cur: wanted, rlim_max: limit.rlim_max.max(wanted) };
        if libc::setrlimit(libc::RLIMIT_NOFILE, &raised) == 0 {
            return wanted;
        }
        let raised = libc::rlimit { rlim_cur: limit.rlim_max.min(wanted), ..limit };
        if libc::setrlimit(libc::RLIMIT_NOFILE, &raised) == 0 {
            return raised.rlim_cur;
        }
        limit.rlim_cur
    }
}

/// Goes on in a child in a session of its own, without the terminal; the parent ends. Must
/// be called while there is one thread.
pub(crate) fn daemonize() -> io::Result<()> {
    // SAFETY: there is one thread, so the child may go on as if nothing had happened.
    unsafe {
        match libc::fork() {
            -1 => return Err(io::Error::last_os_error()),
            0 => {}
            _ => libc::_exit(0),
        }
        libc::setsid();
        let null = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR);
        if null >= 0 {
            for fd in 0..3 {
                libc::dup2(null, fd);
            }
            if null > 2 {
                libc::close(null);
            }
        }
    }
    Ok(())
}

/// The number of a group of users.
pub(crate) fn group_id(name: &str) -> Option<u32> {
    let name = std::ffi::CString::new(name).ok()?;
    let mut room = [0; 4096];
    // SAFETY: the name ends with a zero byte; the group's texts are written into `room`, which
    // outlives their use, and `found` tells whether there is one.
    unsafe {
        let (mut group, mut found) = (std::mem::zeroed::<libc::group>(), std::ptr::null_mut());
        let (buffer, len) = (room.as_mut_ptr(), room.len());
        libc::getgrnam_r(name.as_ptr(), &mut group, buffer, len, &mut found);
        (!found.is_null()).then_some(group.gr_gid)
    }
}

/// Stops the process until its supervisor sends SIGCONT (upstart's way to learn that a
/// service is ready).
pub(crate) fn stop_for_supervisor() {
    // SAFETY: raising a signal in one's own process.
    unsafe { libc::raise(libc::SIGSTOP) };
}
