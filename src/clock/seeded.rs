//! Randomness derived from a seed, so that the same seed and inputs give the same run.

/// The seed of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(pub u64);

impl Seed {
    /// A number in `[0, 1)` that depends on the seed and the parts only: drawn once per object and
    /// stage, whoever asks and however often.
    pub fn fraction(self, parts: &[&str]) -> f64 {
        // 53 bits fill the mantissa of a double.
        (self.number(parts) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A 64-bit number that depends on the seed and the parts only.
    pub fn number(self, parts: &[&str]) -> u64 {
        // FNV-1a over the parts with a separator, then the finaliser of SplitMix64.
        let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ self.0;
        for part in parts {
            for byte in part.bytes().chain([0xff]) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
            }
        }
        let mut mixed = hash.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_and_parts_give_the_same_number() {
        let parts = ["default", "DevMachine", "a", "vm"];
        assert_eq!(Seed(42).fraction(&parts), Seed(42).fraction(&parts));
        assert_ne!(Seed(42).number(&parts), Seed(43).number(&parts));
        assert_ne!(Seed(42).number(&["ab", "c"]), Seed(42).number(&["a", "bc"]));
    }

    #[test]
    fn fractions_fill_the_unit_interval() {
        let drawn: Vec<f64> =
            (0..1000).map(|i| Seed(7).fraction(&["ns", &i.to_string(), "vm"])).collect();
        assert!(drawn.iter().all(|fraction| (0.0..1.0).contains(fraction)));
        let mean = drawn.iter().sum::<f64>() / 1000.0;
        assert!((0.45..0.55).contains(&mean), "mean {mean}");
    }
}
