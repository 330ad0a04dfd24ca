//! The footer of DUMP's answer: two bytes of version and eight of checksum.

use super::{VERSION_OF_FIELD_DEADLINES, VERSION_OF_VALKEY};

/// The polynomial of Jones, reflected.
const POLYNOMIAL: u64 = 0x95ac_9329_ac4b_c9b5;

const TABLE: [u64; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u64;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

fn crc64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |crc, &byte| TABLE[usize::from(crc as u8 ^ byte)] ^ crc >> 8)
}

/// What was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sealed<'a> {
    /// The bytes before the footer.
    pub body: &'a [u8],
    /// The version in which they are written.
    pub version: u16,
}

/// Appends a version and the checksum.
pub fn seal(out: &mut Vec<u8>, version: u16) {
    out.extend(version.to_le_bytes());
    out.extend(crc64(out).to_le_bytes());
}

/// What is not looked at when a seal is opened.
#[derive(Debug, Clone, Copy, Default)]
pub struct Trust {
    /// Any checksum will do.
    pub checksum: bool,
    /// Versions that are not known are tried.
    pub version: bool,
}

/// What is sealed, if the version is one that is read and the checksum is right.
pub fn open(payload: &[u8], trust: Trust) -> Option<Sealed<'_>> {
    let (sealed, checksum) = payload.split_last_chunk::<8>()?;
    let (body, version) = sealed.split_last_chunk::<2>()?;
    let version = u16::from_le_bytes(*version);
    let is_known = version <= VERSION_OF_FIELD_DEADLINES || version == VERSION_OF_VALKEY;
    let is_right = || u64::from_le_bytes(*checksum) == crc64(sealed);
    let opens = (trust.version || is_known) && (trust.checksum || is_right());
    opens.then_some(Sealed { body, version })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_redis() {
        assert_eq!(crc64(b"123456789"), 0xe9c6_d914_c4b8_d9ca);
    }

    #[test]
    fn only_what_was_sealed_is_opened() {
        let mut out = b"value".to_vec();
        seal(&mut out, 11);
        let strict = Trust::default();
        assert_eq!(open(&out, strict), Some(Sealed { body: b"value", version: 11 }));
        out[0] ^= 1;
        assert_eq!(open(&out, strict), None);
        assert!(open(&out, Trust { checksum: true, ..strict }).is_some());
        assert_eq!(open(b"short", Trust { checksum: true, version: true }), None);
        for (version, known) in
            [(0, true), (12, true), (13, false), (79, false), (80, true), (81, false)]
        {
            let mut out = Vec::new();
            seal(&mut out, version);
            assert_eq!(open(&out, strict).is_some(), known, "{version}");
            assert!(open(&out, Trust { version: true, ..strict }).is_some(), "{version}");
        }
    }
}
