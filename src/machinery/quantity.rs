//! `resource.Quantity`: numbers with SI or binary suffixes, in nanounits.

use std::cmp::Ordering;
use std::fmt;

const NANO: i128 = 1_000_000_000;
const SUFFIXES: [(&str, i32); 10] = [
    ("n", -9),
    ("u", -6),
    ("m", -3),
    ("", 0),
    ("k", 3),
    ("M", 6),
    ("G", 9),
    ("T", 12),
    ("P", 15),
    ("E", 18),
];
const BINARY_SUFFIXES: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

/// Why a text is no quantity; the messages are apimachinery's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// Not a number with a suffix.
    #[error(
        "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
    )]
    Format,
    /// The number part is malformed or too large.
    #[error("unable to parse numeric part of quantity")]
    Number,
    /// Unknown suffix.
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Notation {
    Decimal,
    Binary,
    Exponent,
}

/// A parsed quantity. Equality and order are by value; the notation only decides how it is printed.
#[derive(Clone, Copy, Debug)]
pub struct Quantity {
    nanounits: i128,
    notation: Notation,
}

impl Quantity {
    /// Parses a quantity; fractions below a nanounit are rounded away from zero, as upstream does.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        let (negative, unsigned) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let number_end =
            unsigned.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(number_end);
        let suffix_fits = suffix.bytes().all(|b| b"eEinumkKMGTP+-0123456789".contains(&b));
        if number.is_empty() || !suffix_fits {
            return Err(QuantityError::Format);
        }
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
            return Err(QuantityError::Format);
        }
        let (base, exponent, notation) = parse_suffix(suffix)?;
        let digits: i128 =
            format!("0{whole}{fraction}").parse().map_err(|_| QuantityError::Number)?;
        let ten_exponent = 9 - fraction.len() as i32 + if base == 10 { exponent } else { 0 };
        let binary = if base == 2 { 1_i128 << exponent } else { 1 };
        let scaled = digits.checked_mul(binary).ok_or(QuantityError::Number)?;
        let magnitude = shift(scaled, ten_exponent).ok_or(QuantityError::Number)?;
        let nanounits = if negative { -magnitude } else { magnitude };
        Ok(Self { nanounits, notation })
    }

    /// The value in whole units, rounded up (`Quantity.Value`).
    pub fn value(&self) -> i128 {
        self.nanounits.div_euclid(NANO) + i128::from(self.nanounits.rem_euclid(NANO) != 0)
    }

    /// The value in thousandths, rounded up (`Quantity.MilliValue`).
    pub fn milli_value(&self) -> i128 {
        let milli = NANO / 1_000;
        self.nanounits.div_euclid(milli) + i128::from(self.nanounits.rem_euclid(milli) != 0)
    }

    /// Whether the value is below zero.
    pub fn is_negative(&self) -> bool {
        self.nanounits < 0
    }

    /// Whether the value is above zero.
    pub fn is_positive(&self) -> bool {
        self.nanounits > 0
    }

    /// The sum, in the notation of the first; sums that are too large stay at the largest value.
    pub fn plus(&self, other: &Self) -> Self {
        let notation = if self.nanounits == 0 { other.notation } else { self.notation };
        Self { nanounits: self.nanounits.saturating_add(other.nanounits), notation }
    }

    /// The value rounded away from zero to thousandths, as lists of resources hold it.
    /// (kubernetes 1.36: pkg/apis/core/v1/defaults.go, SetDefaults_ResourceList)
    pub fn rounded_to_milli(&self) -> Self {
        let milli = NANO / 1_000;
        let rest = self.nanounits % milli;
        if rest == 0 {
            return *self;
        }
        let away = if self.nanounits > 0 { milli } else { -milli };
        Self { nanounits: self.nanounits - rest + away, notation: self.notation }
    }

    /// A whole number.
    pub fn from_integer(value: i64) -> Self {
        Self { nanounits: i128::from(value) * NANO, notation: Notation::Decimal }
    }

    /// -1, 0 or 1.
    pub fn sign(&self) -> i8 {
        self.nanounits.signum() as i8
    }

    /// The value as a floating-point number, which may lose digits.
    pub fn approximate_float(&self) -> f64 {
        self.nanounits as f64 / NANO as f64
    }

    /// The value if it is a whole number of 64 bits.
    pub fn as_integer(&self) -> Option<i64> {
        let whole = self.nanounits % NANO == 0;
        i64::try_from(self.nanounits / NANO).ok().filter(|_| whole)
    }

    /// The sum, in the notation of `self`; `None` on overflow.
    pub fn checked_add(&self, other: Self) -> Option<Self> {
        let nanounits = self.nanounits.checked_add(other.nanounits)?;
        Some(Self { nanounits, notation: self.notation })
    }

    /// The difference, in the notation of `self`; `None` on overflow.
    pub fn checked_sub(&self, other: Self) -> Option<Self> {
        let nanounits = self.nanounits.checked_sub(other.nanounits)?;
        Some(Self { nanounits, notation: self.notation })
    }
}

fn parse_suffix(suffix: &str) -> Result<(u32, i32, Notation), QuantityError> {
    if let Some((_, exponent)) = SUFFIXES.iter().find(|(name, _)| *name == suffix) {
        return Ok((10, *exponent, Notation::Decimal));
    }
    if let Some(power) = BINARY_SUFFIXES.iter().position(|name| *name == suffix) {
        return Ok((2, 10 * power as i32, Notation::Binary));
    }
    let exponent = suffix.strip_prefix(['e', 'E']).ok_or(QuantityError::Suffix)?;
    let exponent: i32 = exponent.parse().map_err(|_| QuantityError::Suffix)?;
    Ok((10, exponent, Notation::Exponent))
}

/// Multiplies by a power of ten; division rounds away from zero. `None` on overflow.
fn shift(value: i128, exponent: i32) -> Option<i128> {
    if value == 0 {
        return Some(0);
    }
    if exponent >= 0 {
        return value.checked_mul(10_i128.checked_pow(exponent.unsigned_abs())?);
    }
    let Some(divisor) = 10_i128.checked_pow(exponent.unsigned_abs()) else { return Some(1) };
    Some(value / divisor + i128::from(value % divisor != 0))
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanounits == other.nanounits
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanounits.cmp(&other.nanounits)
    }
}

impl fmt::Display for Quantity {
    /// The canonical form: no fraction, the largest suffix that allows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nanounits == 0 {
            return f.write_str("0");
        }
        let whole = self.nanounits / NANO;
        let binary = self.notation == Notation::Binary
            && self.nanounits % NANO == 0
            && whole.unsigned_abs() >= 1024;
        if binary {
            let (mut number, mut power) = (whole, 0);
            while number % 1024 == 0 && power + 1 < BINARY_SUFFIXES.len() {
                number /= 1024;
                power += 1;
            }
            return write!(f, "{number}{}", BINARY_SUFFIXES[power]);
        }
        let (mut number, mut exponent) = (self.nanounits, -9);
        while number % 1_000 == 0 && exponent < 18 {
            number /= 1_000;
            exponent += 3;
        }
        match self.notation {
            Notation::Exponent if exponent == 0 => write!(f, "{number}"),
            Notation::Exponent => write!(f, "{number}e{exponent}"),
            Notation::Decimal | Notation::Binary => {
                let suffix = SUFFIXES.iter().find(|(_, e)| *e == exponent).map_or("", |s| s.0);
                write!(f, "{number}{suffix}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn canonical_form_is_upstreams() {
        for (text, canonical) in [
            ("0", "0"),
            ("1000m", "1"),
            ("1.5", "1500m"),
            ("1024Mi", "1Gi"),
            ("1000Mi", "1000Mi"),
            ("1023", "1023"),
            ("0.5Gi", "512Mi"),
            ("1Ki", "1Ki"),
            ("100k", "100k"),
            ("1e3", "1e3"),
            ("-1.1", "-1100m"),
            ("1.0000000001", "1000000001n"),
            ("16Gi", "16Gi"),
            ("3000Gi", "3000Gi"),
        ] {
            assert_eq!(Quantity::parse(text).unwrap().to_string(), canonical, "{text}");
        }
    }

    #[test]
    fn compares_by_value() {
        let quantity = |text: &str| Quantity::parse(text).unwrap();
        assert_eq!(quantity("1Gi"), quantity("1024Mi"));
        assert!(quantity("1G") < quantity("1Gi"));
        assert_eq!(quantity("1500m").value(), 2);
        assert_eq!(quantity("1500m").milli_value(), 1500);
    }

    #[test]
    fn errors_are_upstreams() {
        assert_eq!(Quantity::parse(""), Err(QuantityError::Format));
        assert_eq!(Quantity::parse("x"), Err(QuantityError::Format));
        assert_eq!(Quantity::parse("1X"), Err(QuantityError::Format));
        assert_eq!(Quantity::parse("1ki"), Err(QuantityError::Suffix));
        assert_eq!(Quantity::parse("1.2.3"), Err(QuantityError::Format));
    }

    proptest! {
        #[test]
        fn canonical_form_keeps_the_value(text in "[-]?[0-9]{1,9}(\\.[0-9]{1,3})?(n|u|m||k|M|G|T|Ki|Mi|Gi|Ti)") {
            let quantity = Quantity::parse(&text).unwrap();
            prop_assert_eq!(Quantity::parse(&quantity.to_string()).unwrap(), quantity);
        }

        #[test]
        fn parse_never_panics(text in "[-+.0-9eEinumkKMGTP]{0,24}") {
            let _ = Quantity::parse(&text);
        }
    }
}
