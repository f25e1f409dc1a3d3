//! Go's `time.Duration` in text, as Kubernetes APIs write it (`1m30s`), and kubectl's ages.

use std::time::Duration;

use super::status::quote;

const SECOND: u64 = 1_000_000_000;
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", SECOND),
    ("m", 60 * SECOND),
    ("h", 3_600 * SECOND),
];
/// Go durations are signed 64-bit nanoseconds.
const NANOSECONDS_MAX: u64 = i64::MAX as u64;

/// Parses a duration as Go's `time.ParseDuration` does, with its error messages. A negative
/// duration is an error here, because no field that we read can use one.
pub fn parse(text: &str) -> Result<Duration, String> {
    let nanoseconds = parse_nanoseconds(text)?;
    u64::try_from(nanoseconds)
        .map(Duration::from_nanos)
        .map_err(|_| format!("time: negative duration {}", quote(text)))
}

/// Parses a duration of either sign into nanoseconds.
pub fn parse_nanoseconds(text: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {}", quote(text));
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (amount, after) = split_number(rest).ok_or_else(invalid)?;
        let unit_end = after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len());
        let unit = &after[..unit_end];
        if unit.is_empty() {
            return Err(format!("time: missing unit in duration {}", quote(text)));
        }
        let Some((_, scale)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(format!("time: unknown unit {} in duration {}", quote(unit), quote(text)));
        };
        let nanoseconds = amount.scaled(*scale).ok_or_else(invalid)?;
        total = total.checked_add(nanoseconds).ok_or_else(invalid)?;
        if total > NANOSECONDS_MAX + u64::from(negative) {
            return Err(invalid());
        }
        rest = &after[unit_end..];
    }
    match (negative, i64::try_from(total)) {
        (false, Ok(total)) => Ok(total),
        (true, Ok(total)) => Ok(-total),
        (true, Err(_)) => Ok(i64::MIN),
        (false, Err(_)) => Err(invalid()),
    }
}

/// A decimal number before its unit: whole part, fraction digits and their power of ten.
struct Amount {
    whole: u64,
    fraction: u64,
    divisor: u64,
}

impl Amount {
    fn scaled(&self, scale: u64) -> Option<u64> {
        let whole = self.whole.checked_mul(scale)?;
        let fraction = u128::from(self.fraction) * u128::from(scale) / u128::from(self.divisor);
        whole.checked_add(u64::try_from(fraction).ok()?)
    }
}

fn split_number(text: &str) -> Option<(Amount, &str)> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let whole_end = digits(text);
    let whole = if whole_end == 0 { 0 } else { text[..whole_end].parse().ok()? };
    let mut rest = &text[whole_end..];
    let (mut fraction, mut divisor, mut fraction_end) = (0_u64, 1_u64, 0);
    if let Some(after) = rest.strip_prefix('.') {
        fraction_end = digits(after);
        // More than 18 digits are below a nanosecond in every unit; Go drops them, too.
        for byte in after.bytes().take(fraction_end.min(18)) {
            fraction = fraction * 10 + u64::from(byte - b'0');
            divisor *= 10;
        }
        rest = &after[fraction_end..];
    }
    (whole_end + fraction_end > 0).then_some((Amount { whole, fraction, divisor }, rest))
}

/// Writes a duration as Go's `Duration.String` does: `1h0m0s`, `1.5s`, `100ms`, `0s`.
pub fn format(duration: Duration) -> String {
    let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    if nanoseconds == 0 {
        return "0s".to_owned();
    }
    if nanoseconds < SECOND {
        let (unit, scale) = match nanoseconds {
            0..1_000 => ("ns", 1),
            1_000..1_000_000 => ("µs", 1_000),
            _ => ("ms", 1_000_000),
        };
        return format!("{}{unit}", decimal(nanoseconds, scale));
    }
    let seconds = nanoseconds / SECOND;
    let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
    let rest = decimal(nanoseconds % (60 * SECOND), SECOND);
    match (hours, minutes) {
        (0, 0) => format!("{rest}s"),
        (0, minutes) => format!("{minutes}m{rest}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{rest}s"),
    }
}

fn decimal(value: u64, scale: u64) -> String {
    let (whole, fraction) = (value / scale, value % scale);
    if fraction == 0 {
        return whole.to_string();
    }
    let width = scale.ilog10() as usize;
    let digits = format!("{fraction:0width$}");
    format!("{whole}.{}", digits.trim_end_matches('0'))
}

/// Writes an age in seconds for people, with two or three significant figures (apimachinery
/// `duration.HumanDuration`): `5s`, `3m2s`, `12h`, `3d4h`; `<invalid>` for the future.
pub fn human(seconds: i64) -> String {
    if seconds < -1 {
        return "<invalid>".to_owned();
    }
    let pair = |high: i64, high_unit: char, low: i64, low_unit: char| {
        if low == 0 {
            format!("{high}{high_unit}")
        } else {
            format!("{high}{high_unit}{low}{low_unit}")
        }
    };
    let (minutes, hours) = (seconds / 60, seconds / 3_600);
    let days = hours / 24;
    match () {
        () if seconds < 0 => "0s".to_owned(),
        () if seconds < 120 => format!("{seconds}s"),
        () if minutes < 10 => pair(minutes, 'm', seconds % 60, 's'),
        () if minutes < 180 => format!("{minutes}m"),
        () if hours < 8 => pair(hours, 'h', minutes % 60, 'm'),
        () if hours < 48 => format!("{hours}h"),
        () if hours < 192 => pair(days, 'd', hours % 24, 'h'),
        () if hours < 24 * 365 * 2 => format!("{days}d"),
        () if hours < 24 * 365 * 8 => pair(days / 365, 'y', days % 365, 'd'),
        () => format!("{}y", days / 365),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn errors_are_gos() {
        let error = |text: &str| parse(text).unwrap_err();
        assert_eq!(
            error("10 parsecs"),
            r#"time: unknown unit " parsecs" in duration "10 parsecs""#
        );
        assert_eq!(error("10"), r#"time: missing unit in duration "10""#);
        assert_eq!(error(""), r#"time: invalid duration """#);
        assert_eq!(error("x"), r#"time: invalid duration "x""#);
        assert_eq!(error("."), r#"time: invalid duration ".""#);
        assert_eq!(error("9999999999h"), r#"time: invalid duration "9999999999h""#);
    }

    #[test]
    fn parses_what_go_parses() {
        for (text, nanoseconds) in [
            ("0", 0),
            ("1m30s", 90 * SECOND as i64),
            ("-1.5h", -5_400 * SECOND as i64),
            (".5s", 500_000_000),
            ("1h0m0.000000001s", 3_600 * SECOND as i64 + 1),
            ("3us", 3_000),
            ("3µs", 3_000),
        ] {
            assert_eq!(parse_nanoseconds(text), Ok(nanoseconds), "{text}");
        }
    }

    #[test]
    fn formats_as_go_formats() {
        for (nanoseconds, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_100, "1.1µs"),
            (100_000_000, "100ms"),
            (1_500_000_000, "1.5s"),
            (90 * SECOND, "1m30s"),
            (3_600 * SECOND, "1h0m0s"),
            (3_661 * SECOND, "1h1m1s"),
        ] {
            assert_eq!(format(Duration::from_nanos(nanoseconds)), text);
        }
    }

    #[test]
    fn ages_lose_precision_as_they_grow() {
        for (seconds, text) in [
            (-2, "<invalid>"),
            (-1, "0s"),
            (119, "119s"),
            (120, "2m"),
            (182, "3m2s"),
            (10 * 60, "10m"),
            (3 * 3_600, "3h"),
            (3 * 3_600 + 60, "3h1m"),
            (12 * 3_600, "12h"),
            (48 * 3_600, "2d"),
            (76 * 3_600, "3d4h"),
            (30 * 86_400, "30d"),
            (800 * 86_400, "2y70d"),
            (3_650 * 86_400, "10y"),
        ] {
            assert_eq!(human(seconds), text, "{seconds}");
        }
    }

    proptest! {
        #[test]
        fn format_then_parse_is_identity(nanoseconds in 0_u64..i64::MAX as u64) {
            let duration = Duration::from_nanos(nanoseconds);
            prop_assert_eq!(parse(&format(duration)), Ok(duration));
        }

        #[test]
        fn parse_never_panics(text in "[-+0-9a-zµ. ]{0,12}") {
            let _ = parse(&text);
        }
    }
}
