//! HyperLogLog in the format that Redis keeps in strings.
//!
//! ```text
//! 0      4          5       8                    16
//! | HYLL | encoding | zeros | cached cardinality | registers ... |
//! ```
//!
//! The cached cardinality is little-endian; its top bit says that it is out of date. There are
//! 16384 registers of 6 bits. Dense (encoding 0), they lie one after the other from the lowest
//! bit on. Sparse (encoding 1), they are runs:
//!
//! ```text
//! 00xxxxxx          x + 1 registers of zero
//! 01xxxxxx yyyyyyyy xy + 1 registers of zero
//! 1vvvvvxx          x + 1 registers of v + 1
//! ```
//!
//! The estimate is that of Otmar Ertl, "New cardinality estimation algorithms for HyperLogLog
//! sketches" (arXiv:1702.01284), with the hash MurmurHash64A.

/// Registers.
pub const REGISTERS: usize = 1 << INDEX_BITS;
const INDEX_BITS: u32 = 14;
/// Bits of the hash that a register counts zeros in.
const COUNTED_BITS: u32 = 64 - INDEX_BITS;
const HEADER_BYTES: usize = 16;
const DENSE_BYTES: usize = HEADER_BYTES + REGISTERS * 6 / 8;
const DENSE: u8 = 0;
const SPARSE: u8 = 1;
/// The greatest value of a register in the sparse encoding.
const SPARSE_VALUE_MAX: u8 = 32;
const STALE: u8 = 0x80;

/// The bytes are no HyperLogLog, or a broken one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invalid {
    /// Another string.
    Kind,
    /// The runs do not add up.
    Broken,
}

/// All registers.
pub type Registers = Box<[u8; REGISTERS]>;

/// Registers of zero.
pub fn no_registers() -> Registers {
    Box::new([0; REGISTERS])
}

/// An empty HyperLogLog.
pub fn empty() -> Vec<u8> {
    let mut bytes = header(SPARSE);
    bytes[HEADER_BYTES - 1] = STALE;
    push_zeros(&mut bytes, REGISTERS);
    bytes
}

fn header(encoding: u8) -> Vec<u8> {
    let mut bytes = b"HYLL".to_vec();
    bytes.push(encoding);
    bytes.resize(HEADER_BYTES, 0);
    bytes
}

/// Whether the bytes say that they are a HyperLogLog.
pub fn check(bytes: &[u8]) -> Result<(), Invalid> {
    let ok = bytes.len() >= HEADER_BYTES
        && bytes.starts_with(b"HYLL")
        && (bytes[4] == SPARSE || bytes[4] == DENSE && bytes.len() == DENSE_BYTES);
    if ok { Ok(()) } else { Err(Invalid::Kind) }
}

/// Whether a checked HyperLogLog is sparse.
pub fn is_sparse(bytes: &[u8]) -> bool {
    bytes[4] == SPARSE
}

/// One run of the sparse encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Run {
    /// So many zeros, in one byte.
    Zero(usize),
    /// So many zeros, in two.
    LongZero(usize),
    /// A value, and how often.
    Value(u8, usize),
}

impl Run {
    fn len(self) -> usize {
        match self {
            Run::Zero(len) | Run::LongZero(len) | Run::Value(_, len) => len,
        }
    }

    fn value(self) -> u8 {
        match self {
            Run::Value(value, _) => value,
            _ => 0,
        }
    }
}

/// The runs of a sparse HyperLogLog.
pub fn runs(bytes: &[u8]) -> impl Iterator<Item = Result<Run, Invalid>> + '_ {
    let mut at = HEADER_BYTES;
    std::iter::from_fn(move || {
        let byte = *bytes.get(at)?;
        at += 1;
        let low = usize::from(byte & 0x3f);
        Some(Ok(match byte >> 6 {
            0 => Run::Zero(low + 1),
            1 => {
                let Some(&next) = bytes.get(at) else { return Some(Err(Invalid::Broken)) };
                at += 1;
                Run::LongZero((low << 8 | usize::from(next)) + 1)
            }
            _ => Run::Value((byte >> 2 & 0x1f) + 1, usize::from(byte & 3) + 1),
        }))
    })
}

/// Raises registers to those of a checked HyperLogLog.
pub fn merge(into: &mut Registers, bytes: &[u8]) -> Result<(), Invalid> {
    if !is_sparse(bytes) {
        for (index, register) in into.iter_mut().enumerate() {
            *register = (*register).max(dense_get(bytes, index));
        }
        return Ok(());
    }
    let mut at = 0;
    for run in runs(bytes) {
        let run = run?;
        let end = at + run.len();
        let registers = into.get_mut(at..end).ok_or(Invalid::Broken)?;
        if run.value() > 0 {
            registers.iter_mut().for_each(|register| *register = (*register).max(run.value()));
        }
        at = end;
    }
    if at == REGISTERS { Ok(()) } else { Err(Invalid::Broken) }
}

fn dense_get(bytes: &[u8], index: usize) -> u8 {
    let bit = index * 6;
    let at = HEADER_BYTES + bit / 8;
    let next = bytes.get(at + 1).copied().unwrap_or(0);
    let both = u16::from(bytes[at]) | u16::from(next) << 8;
    (both >> (bit % 8) & 0x3f) as u8
}

fn dense_set(bytes: &mut [u8], index: usize, value: u8) {
    let bit = index * 6;
    let (at, shift) = (HEADER_BYTES + bit / 8, bit % 8);
    let mask = 0x3f_u16 << shift;
    let both = u16::from(value) << shift;
    bytes[at] = bytes[at] & !(mask as u8) | both as u8;
    if mask > 0xff {
        bytes[at + 1] = bytes[at + 1] & !((mask >> 8) as u8) | (both >> 8) as u8;
    }
}

fn push_zeros(bytes: &mut Vec<u8>, len: usize) {
    match len {
        0 => {}
        1..=64 => bytes.push(len as u8 - 1),
        _ => {
            let less = len - 1;
            bytes.extend_from_slice(&[0x40 | (less >> 8) as u8, less as u8]);
        }
    }
}

/// Registers as bytes: sparse if header and runs fit into `sparse_max` bytes, and dense otherwise.
pub fn encode(registers: &Registers, sparse_max: usize) -> Vec<u8> {
    if registers.iter().all(|&value| value <= SPARSE_VALUE_MAX) {
        let mut bytes = header(SPARSE);
        for run in registers.chunk_by(|a, b| a == b) {
            match run[0] {
                0 => push_zeros(&mut bytes, run.len()),
                value => {
                    let runs = run.chunks(4);
                    bytes.extend(runs.map(|run| 0x80 | (value - 1) << 2 | (run.len() as u8 - 1)));
                }
            }
            if bytes.len() > sparse_max {
                break;
            }
        }
        if bytes.len() <= sparse_max {
            bytes[15] = STALE;
            return bytes;
        }
    }
    let mut bytes = header(DENSE);
    bytes.resize(DENSE_BYTES, 0);
    for (index, &value) in registers.iter().enumerate() {
        dense_set(&mut bytes, index, value);
    }
    bytes[15] = STALE;
    bytes
}

/// The register that an element belongs to, and the value that it asks for.
pub fn place_of(element: &[u8]) -> (usize, u8) {
    let hash = murmur_hash_64a(element, 0xadc8_3b19);
    let index = hash as usize & (REGISTERS - 1);
    let rest = hash >> INDEX_BITS | 1 << COUNTED_BITS;
    (index, rest.trailing_zeros() as u8 + 1)
}

/// What adding elements comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Added {
    /// Nothing changes.
    Nothing,
    /// These registers of the dense encoding are to be raised; [`raise`] does it.
    Dense(Vec<(usize, u8)>),
    /// These are the new bytes.
    Rewritten(Vec<u8>),
}

/// Adds elements to a checked HyperLogLog.
pub fn add(bytes: &[u8], elements: &[&[u8]], sparse_max: usize) -> Result<Added, Invalid> {
    let places = elements.iter().map(|element| place_of(element));
    if !is_sparse(bytes) {
        let raised: Vec<_> =
            places.filter(|&(index, value)| dense_get(bytes, index) < value).collect();
        return Ok(if raised.is_empty() { Added::Nothing } else { Added::Dense(raised) });
    }
    let mut registers = no_registers();
    merge(&mut registers, bytes)?;
    let mut changed = false;
    for (index, value) in places {
        changed |= registers[index] < value;
        registers[index] = registers[index].max(value);
    }
    if !changed {
        return Ok(Added::Nothing);
    }
    let mut new = encode(&registers, sparse_max);
    keep_stale(&mut new, bytes);
    Ok(Added::Rewritten(new))
}

/// Raises registers of a dense HyperLogLog.
pub fn raise(bytes: &mut [u8], registers: &[(usize, u8)]) {
    for &(index, value) in registers {
        let value = value.max(dense_get(bytes, index));
        dense_set(bytes, index, value);
    }
    bytes[15] |= STALE;
}

/// The cardinality that is kept in the header, unless it is out of date.
pub fn cached(bytes: &[u8]) -> Option<u64> {
    let count = bytes[8..HEADER_BYTES].first_chunk().map(|count| u64::from_le_bytes(*count))?;
    (bytes[15] & STALE == 0).then_some(count)
}

/// Keeps a cardinality in the header.
pub fn set_cached(bytes: &mut [u8], count: u64) {
    bytes[8..HEADER_BYTES].copy_from_slice(&count.to_le_bytes());
}

/// Keeps the cardinality of a HyperLogLog in the bytes that follow it.
pub fn keep_cached(new: &mut [u8], old: &[u8]) {
    new[8..HEADER_BYTES].copy_from_slice(&old[8..HEADER_BYTES]);
}

/// The same, but it is out of date. Redis only marks it so, and GET shows it.
pub fn keep_stale(new: &mut [u8], old: &[u8]) {
    keep_cached(new, old);
    new[HEADER_BYTES - 1] |= STALE;
}

/// Estimates how many different elements the registers have seen.
pub fn estimate(registers: &Registers) -> u64 {
    let mut histogram = [0_u32; 64];
    registers.iter().for_each(|&value| histogram[usize::from(value & 63)] += 1);
    let m = REGISTERS as f64;
    let q = COUNTED_BITS as usize;
    let mut z = m * tau((m - f64::from(histogram[q + 1])) / m);
    for &count in histogram[1..=q].iter().rev() {
        z = (z + f64::from(count)) * 0.5;
    }
    z += m * sigma(f64::from(histogram[0]) / m);
    const ALPHA_INF: f64 = 0.721_347_520_444_481_7;
    (ALPHA_INF * m * m / z).round() as u64
}

fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x).powi(2) * y;
        if z == before {
            return z / 3.0;
        }
    }
}

/// Austin Appleby's MurmurHash64A.
fn murmur_hash_64a(key: &[u8], seed: u64) -> u64 {
    const M: u64 = 0xc6a4_a793_5bd1_e995;
    const R: u32 = 47;
    let mix = |word: u64| {
        let word = word.wrapping_mul(M);
        (word ^ word >> R).wrapping_mul(M)
    };
    let mut hash = seed ^ (key.len() as u64).wrapping_mul(M);
    let mut words = key.chunks_exact(8);
    for word in &mut words {
        let word = word.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte));
        hash = (hash ^ mix(word)).wrapping_mul(M);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        let word = rest.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte));
        hash = (hash ^ word).wrapping_mul(M);
    }
    hash = (hash ^ hash >> R).wrapping_mul(M);
    hash ^ hash >> R
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What redis-server 7.0.15 keeps after PFADD key a b c d.
    const ABCD: &[u8] = b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80\\{\x80Dv\x80P\xb1\x84K\xfb\x80BZ";

    #[test]
    fn bytes_are_those_of_redis() {
        let elements: [&[u8]; 4] = [b"a", b"b", b"c", b"d"];
        let Ok(Added::Rewritten(bytes)) = add(&empty(), &elements, 3000) else {
            unreachable!("four elements change an empty one")
        };
        assert_eq!(bytes, ABCD);
        assert_eq!(add(&bytes, &elements, 3000), Ok(Added::Nothing));
        let mut registers = no_registers();
        merge(&mut registers, &bytes).unwrap();
        assert_eq!(estimate(&registers), 4);
        assert_eq!(cached(&bytes), None);
    }

    #[test]
    fn estimates_are_near_and_encodings_agree() {
        let (mut sparse, mut dense) = (empty(), encode(&no_registers(), 0));
        assert!(is_sparse(&sparse) && !is_sparse(&dense));
        for n in 0..20_000_u32 {
            let element = n.to_string();
            match add(&sparse, &[element.as_bytes()], 3000).unwrap() {
                Added::Nothing => {}
                Added::Dense(raised) => raise(&mut sparse, &raised),
                Added::Rewritten(bytes) => sparse = bytes,
            }
            if let Added::Dense(raised) = add(&dense, &[element.as_bytes()], 3000).unwrap() {
                raise(&mut dense, &raised);
            }
        }
        assert!(!is_sparse(&sparse), "it has outgrown its limit");
        assert_eq!(sparse, dense);
        let mut registers = no_registers();
        merge(&mut registers, &dense).unwrap();
        let estimate = estimate(&registers) as f64;
        assert!((estimate - 20_000.0).abs() < 600.0, "{estimate}");
        assert_eq!(encode(&registers, 0), dense);
    }

    #[test]
    fn broken_bytes_are_refused() {
        assert_eq!(check(b"HYLL"), Err(Invalid::Kind));
        assert_eq!(check(&[b'x'; 20]), Err(Invalid::Kind));
        let mut registers = no_registers();
        for tail in [&[0x00][..], &[0x7f], &[0x7f, 0xff, 0x00], &[]] {
            let bytes = [&ABCD[..16], tail].concat();
            assert_eq!(check(&bytes), Ok(()));
            assert_eq!(merge(&mut registers, &bytes), Err(Invalid::Broken), "{tail:?}");
        }
    }
}
