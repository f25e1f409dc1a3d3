//! Uids and name suffixes: unique across servers and processes, not secret.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Two numbers that the operating system's randomness seeded, one for each half of a uid.
static SEEDS: LazyLock<[u64; 2]> =
    LazyLock::new(|| [RandomState::new().hash_one(0), RandomState::new().hash_one(1)]);
static DRAWN: AtomicU64 = AtomicU64::new(0);

/// A random number.
pub(super) fn number() -> u64 {
    mix(SEEDS[0].wrapping_add(step()))
}

/// A random (version 4) UUID in lower case.
pub(super) fn uid() -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let step = step();
    let high = mix(SEEDS[0].wrapping_add(step));
    let low = mix(SEEDS[1].wrapping_add(step));
    let high = (high & !0xf000) | 0x4000;
    let low = (low & !(0b11 << 62)) | (0b10 << 62);
    let mut text = String::with_capacity(36);
    for position in 0..32_u32 {
        if matches!(position, 8 | 12 | 16 | 20) {
            text.push('-');
        }
        let half = if position < 16 { high } else { low };
        let digit = (half >> (60 - 4 * (position % 16))) & 0xf;
        text.push(char::from(DIGITS[digit as usize]));
    }
    text
}

fn step() -> u64 {
    DRAWN.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// The finaliser of SplitMix64.
fn mix(state: u64) -> u64 {
    let mut mixed = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    #[test]
    fn uids_are_version_4_and_differ() {
        let uids: HashSet<String> = (0..1000).map(|_| super::uid()).collect();
        assert_eq!(uids.len(), 1000);
        for uid in uids {
            assert_eq!(uid.len(), 36, "{uid}");
            assert_eq!(&uid[14..15], "4", "{uid}");
            assert!("89ab".contains(&uid[19..20]), "{uid}");
        }
    }
}
