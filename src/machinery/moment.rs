//! Moments as Kubernetes' Time and MicroTime hold them: of all years from 0 to 9999, the last day of
//! which `jiff::Timestamp` does not reach. `9999-12-31T23:59:59Z` is how many say "never".

use jiff::SignedDuration;
use jiff::civil::{DateTime, date};

/// A moment; seconds since 1970 in UTC, and nanoseconds on top.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) seconds: i64,
    pub(super) nanoseconds: u32,
}

/// The beginning of 1970.
fn epoch() -> DateTime {
    date(1970, 1, 1).at(0, 0, 0, 0)
}

impl Moment {
    /// Reads RFC 3339; `None` for everything else. (Go: time.Parse with time.RFC3339)
    pub(super) fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let places = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
        if bytes.len() < 20 || places.iter().any(|(at, wanted)| bytes[*at] != *wanted) {
            return None;
        }
        let number = |from: usize, to: usize| -> Option<i16> {
            let digits = text.get(from..to)?;
            digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
        };
        let two = |from: usize| -> Option<i8> { number(from, from + 2)?.try_into().ok() };
        let (year, month, day) = (number(0, 4)?, two(5)?, two(8)?);
        let time = DateTime::new(year, month, day, two(11)?, two(14)?, two(17)?, 0).ok()?;
        let mut rest = text.get(19..)?;
        let mut nanoseconds = 0;
        if let Some(fraction) = rest.strip_prefix(['.', ',']) {
            let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
            let kept = &fraction[..digits.min(9)];
            nanoseconds = format!("{kept:0<9}").parse().ok().filter(|_| digits > 0)?;
            rest = &fraction[digits..];
        }
        let seconds = time.duration_since(epoch()).as_secs() - offset(rest)?;
        Some(Self { seconds, nanoseconds })
    }

    /// RFC 3339 in UTC, without fractions; `None` for other years.
    pub(super) fn in_seconds(self) -> Option<String> {
        Some(format!("{}Z", self.civil()?))
    }

    /// RFC 3339 in UTC, with six digits of a second; `None` for other years.
    pub(super) fn in_microseconds(self) -> Option<String> {
        Some(format!("{}.{:06}Z", self.civil()?, self.nanoseconds / 1000))
    }

    fn civil(self) -> Option<DateTime> {
        let civil = epoch().checked_add(SignedDuration::from_secs(self.seconds)).ok()?;
        (civil.year() >= 0).then_some(civil)
    }
}

/// Seconds east of UTC. Go takes 24 hours and 60 minutes, and nothing beyond.
fn offset(zone: &str) -> Option<i64> {
    let (sign, digits) = match *zone.as_bytes() {
        [b'Z'] => return Some(0),
        [b'+', a, b, b':', c, d] => (1, [a, b, c, d]),
        [b'-', a, b, b':', c, d] => (-1, [a, b, c, d]),
        _ => return None,
    };
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let [a, b, c, d] = digits.map(|digit| i64::from(digit - b'0'));
    let (hours, minutes) = (a * 10 + b, c * 10 + d);
    (hours <= 24 && minutes <= 60).then_some(sign * (hours * 3600 + minutes * 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_the_last_second_are_read_and_shown() {
        for text in ["0000-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2024-02-29T12:00:00Z"] {
            let moment = Moment::parse(text).unwrap();
            assert_eq!(moment.in_seconds().as_deref(), Some(text));
        }
        assert_eq!(Moment::parse("1970-01-01T00:00:00Z").unwrap().seconds, 0);
        let moment = Moment::parse("2026-01-01T01:30:00,1234567+01:30").unwrap();
        assert_eq!(moment.in_microseconds().unwrap(), "2026-01-01T00:00:00.123456Z");
        let beyond = Moment::parse("9999-12-31T23:59:59-01:00").unwrap();
        assert_eq!(beyond.in_seconds(), None);
        for refused in ["", "2026-02-30T00:00:00Z", "2026-01-01T00:00:00", "2026-01-01T00:00:00.Z"]
        {
            assert_eq!(Moment::parse(refused), None, "{refused}");
        }
    }

    #[test]
    fn offsets_have_the_bounds_that_go_gives_them() {
        let seconds = |zone: &str| {
            Moment::parse(&format!("1970-01-01T00:00:00{zone}")).map(|moment| moment.seconds)
        };
        assert_eq!(seconds("Z"), Some(0));
        assert_eq!(seconds("-00:30"), Some(1800));
        assert_eq!(seconds("+24:00"), Some(-86_400));
        assert_eq!(seconds("+00:60"), Some(-3600));
        let refused = [
            "", "z", "+", "++1:00", "+1:000", "+01:+1", "-+1:00", "+25:00", "-24:61", "+99:99",
            "+0100", "+01:00Z", "+01:0é", "01:00",
        ];
        for zone in refused {
            assert_eq!(seconds(zone), None, "{zone}");
        }
    }
}
