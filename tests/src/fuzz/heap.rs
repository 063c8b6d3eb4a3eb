//! What decoding may cost: memory in proportion to the bytes that came in, never to the numbers
//! that they announce.

use allocation_counter::measure;

/// The smallest encoded thing there is, a tombstone, takes 33 bytes on the wire and some four
/// times that in memory.
const PER_BYTE: usize = 8;

/// Shared ownership of the buffer.
const ONCE: usize = 256;

/// What comes of decoding.
///
/// # Panics
///
/// If it takes more memory than that many bytes of input justify.
pub(super) fn decoded<T>(input: usize, decode: impl FnOnce() -> T) -> T {
    let mut decoded = None;
    let used = measure(|| decoded = Some(decode())).bytes_max;
    let justified = PER_BYTE * input + ONCE;
    assert!(
        used <= justified as u64,
        "{input} bytes of input took {used} bytes of memory"
    );
    decoded.expect("measured once")
}
