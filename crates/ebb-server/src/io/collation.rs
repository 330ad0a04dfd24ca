//! The order of texts that a place is used to (`locale-collate`), by the C library's locales.

use std::env;
use std::ffi::CString;
use std::io;
use std::sync::atomic::{AtomicPtr, Ordering};

use libc::{c_char, locale_t, size_t};

// Not in `libc` for this system; POSIX.1-2008.
unsafe extern "C" {
    fn strxfrm_l(key: *mut c_char, text: *const c_char, room: size_t, locale: locale_t) -> size_t;
}

/// The locale in use; null is the order of bytes.
static LOCALE: AtomicPtr<libc::c_void> = AtomicPtr::new(std::ptr::null_mut());

/// Locales in which texts are in the order of their bytes.
const OF_BYTES: [&str; 4] = ["C", "POSIX", "C.UTF-8", "C.utf8"];

/// Uses the order of a locale; with an empty name of the one that the environment names.
pub(crate) fn use_locale(name: &str) -> io::Result<()> {
    let of_environment = || {
        let values = ["LC_ALL", "LC_COLLATE", "LANG"].iter().filter_map(|name| env::var(name).ok());
        values.into_iter().find(|value| !value.is_empty()).unwrap_or_else(|| "C".to_owned())
    };
    let name = if name.is_empty() { of_environment() } else { name.to_owned() };
    let is_of_bytes = OF_BYTES.contains(&name.as_str());
    let locale = if is_of_bytes { std::ptr::null_mut() } else { load(&name)? };
    // The one before is never freed: another thread may be using it, and it seldom changes.
    LOCALE.store(locale.cast(), Ordering::Release);
    Ok(())
}

fn load(name: &str) -> io::Result<locale_t> {
    let name = CString::new(name)?;
    // SAFETY: the name ends with a zero byte, and there is no locale to start from.
    let locale =
        unsafe { libc::newlocale(libc::LC_COLLATE_MASK, name.as_ptr(), std::ptr::null_mut()) };
    if locale.is_null() { Err(io::Error::last_os_error()) } else { Ok(locale) }
}

/// Bytes that compare as the text does among others; nothing if bytes of texts compare as they
/// are. What is behind a zero byte does not count.
pub(crate) fn key(text: &[u8]) -> Option<Vec<u8>> {
    let locale: locale_t = LOCALE.load(Ordering::Acquire).cast();
    if locale.is_null() { None } else { key_in(locale, text) }
}

fn key_in(locale: locale_t, text: &[u8]) -> Option<Vec<u8>> {
    let end = text.iter().position(|&byte| byte == 0).unwrap_or(text.len());
    let text = CString::new(&text[..end]).ok()?;
    let mut key: Vec<u8> = Vec::new();
    loop {
        let room = key.len();
        // SAFETY: the text ends with a zero byte, `key` has `room` bytes, and the locale is
        // never freed.
        let needed = unsafe { strxfrm_l(key.as_mut_ptr().cast(), text.as_ptr(), room, locale) };
        if needed < room {
            key.truncate(needed);
            return Some(key);
        }
        key.resize(needed + 1, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_in_the_order_of_a_locale() {
        assert!(use_locale("no_SUCH.locale").is_err());
        use_locale("C").expect("a locale that every system has");
        assert_eq!(key(b"a"), None, "texts are in the order of their bytes");
        let locale = load("C.UTF-8").expect("a locale that every system has");
        let key = |text: &str| key_in(locale, text.as_bytes()).expect("a locale is set");
        let texts = ["", "A", "B", "a", "a b", "b", "\u{e4}", "\u{1f600}", "\u{1f601}"];
        for pair in texts.windows(2) {
            assert!(key(pair[0]) < key(pair[1]), "{pair:?}");
        }
        assert_eq!(key("a\0b"), key("a\0c"));
    }
}
