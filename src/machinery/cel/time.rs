//! Times and durations as CEL reads and writes them (cel-go: common/types/timestamp.go,
//! duration.go).

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::{Offset, TimeZone};

use super::error::EvalError;
use crate::machinery::duration;

const SECOND: i64 = 1_000_000_000;
/// 0001-01-01T00:00:00Z.
const SECONDS_MIN: i64 = -62_135_596_800;
/// 9999-12-31T23:59:59Z.
const SECONDS_MAX: i64 = 253_402_300_799;

/// A timestamp, if it is in CEL's range.
pub(super) fn in_range(timestamp: Timestamp) -> Result<Timestamp, EvalError> {
    if (SECONDS_MIN..=SECONDS_MAX).contains(&timestamp.as_second()) {
        return Ok(timestamp);
    }
    Err(EvalError::new("timestamp overflow"))
}

/// A timestamp from seconds since 1970.
pub(super) fn from_seconds(seconds: i64) -> Result<Timestamp, EvalError> {
    let overflow = |_| EvalError::new("timestamp overflow");
    in_range(Timestamp::from_second(seconds).map_err(overflow)?)
}

/// A timestamp some nanoseconds later.
pub(super) fn add(timestamp: Timestamp, nanoseconds: i64) -> Result<Timestamp, EvalError> {
    let overflow = || EvalError::new("timestamp overflow");
    let total = timestamp.as_nanosecond().checked_add(nanoseconds.into()).ok_or_else(overflow)?;
    in_range(Timestamp::from_nanosecond(total).map_err(|_| overflow())?)
}

/// Nanoseconds between two timestamps.
pub(super) fn between(one: Timestamp, two: Timestamp) -> Result<i64, EvalError> {
    let difference = one.as_nanosecond() - two.as_nanosecond();
    i64::try_from(difference).map_err(|_| EvalError::new("timestamp overflow"))
}

/// RFC 3339, as Go's `time.Parse` reads it.
pub(super) fn parse_timestamp(text: &str) -> Result<Timestamp, EvalError> {
    let strict = text.len() >= 20
        && text.as_bytes()[10] == b'T'
        && (text.ends_with('Z') || text.as_bytes()[text.len() - 3] == b':');
    let parsed = if strict { text.parse::<Timestamp>().ok() } else { None };
    let timestamp = parsed.ok_or_else(|| {
        let quoted = serde_json::Value::from(text);
        EvalError::new(format!(
            "parsing time {quoted} as \"2006-01-02T15:04:05Z07:00\": cannot parse {quoted} as \
             \"2006\""
        ))
    })?;
    in_range(timestamp)
}

/// A day, as a timestamp of its start.
pub(super) fn date(text: &str) -> Option<Timestamp> {
    let date: Date = text.parse().ok()?;
    Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

/// RFC 3339 with as many digits of a second as are needed.
pub(super) fn show_timestamp(timestamp: Timestamp) -> String {
    timestamp.to_string()
}

/// A duration in seconds, as `string(duration)` shows it.
pub(super) fn show_duration(nanoseconds: i64) -> String {
    let seconds = nanoseconds as f64 / SECOND as f64;
    format!("{seconds}s")
}

/// Go's duration.
pub(super) fn parse_duration(text: &str) -> Result<i64, EvalError> {
    duration::parse_nanoseconds(text).map_err(EvalError::new)
}

/// A duration as OpenAPI's format takes it: Go's, or a number and a unit in words.
pub(super) fn openapi_duration(text: &str) -> Option<i64> {
    if let Ok(nanoseconds) = duration::parse_nanoseconds(text) {
        return Some(nanoseconds);
    }
    let text = text.trim_start();
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let count: i64 = text[..unit_at].parse().ok()?;
    let unit = text[unit_at..].trim();
    let unit = if unit.len() > 2 { unit.strip_suffix('s').unwrap_or(unit) } else { unit };
    let scale = match unit {
        "ns" | "nano" | "nanosecond" => 1,
        "us" | "µs" | "micro" | "microsecond" => 1_000,
        "ms" | "milli" | "millisecond" => 1_000_000,
        "s" | "sec" | "second" => SECOND,
        "m" | "min" | "minute" => 60 * SECOND,
        "h" | "hr" | "hour" => 3_600 * SECOND,
        "d" | "day" => 86_400 * SECOND,
        "w" | "wk" | "week" => 604_800 * SECOND,
        _ => return None,
    };
    count.checked_mul(scale)
}

/// Part of a timestamp in a time zone (`UTC`, `Europe/Berlin`, `+02:00`).
pub(super) fn part(timestamp: Timestamp, name: &str, zone: &str) -> Result<i64, EvalError> {
    let zoned = timestamp.to_zoned(time_zone(zone)?);
    Ok(match name {
        "getFullYear" => zoned.year().into(),
        "getMonth" => i64::from(zoned.month()) - 1,
        "getDayOfYear" => i64::from(zoned.day_of_year()) - 1,
        "getDayOfMonth" => i64::from(zoned.day()) - 1,
        "getDate" => zoned.day().into(),
        "getDayOfWeek" => zoned.weekday().to_sunday_zero_offset().into(),
        "getHours" => zoned.hour().into(),
        "getMinutes" => zoned.minute().into(),
        "getSeconds" => zoned.second().into(),
        "getMilliseconds" => zoned.millisecond().into(),
        _ => return Err(EvalError::no_such_overload()),
    })
}

fn time_zone(name: &str) -> Result<TimeZone, EvalError> {
    if matches!(name, "" | "UTC" | "Z") {
        return Ok(TimeZone::UTC);
    }
    let unknown = || EvalError::new(format!("unknown time zone {name}"));
    let Some((hours, minutes)) = name.split_once(':') else {
        return TimeZone::get(name).map_err(|_| unknown());
    };
    let negative = hours.starts_with('-');
    let hours: i32 = hours.parse().map_err(|_| unknown())?;
    let minutes: i32 = minutes.parse().map_err(|_| unknown())?;
    if !(0..60).contains(&minutes) || hours.abs() > 24 {
        return Err(unknown());
    }
    let seconds = hours * 3_600 + if negative { -minutes } else { minutes } * 60;
    Offset::from_seconds(seconds).map(TimeZone::fixed).map_err(|_| unknown())
}

/// Part of a duration.
pub(super) fn duration_part(nanoseconds: i64, name: &str) -> Result<i64, EvalError> {
    Ok(match name {
        "getHours" => nanoseconds / (3_600 * SECOND),
        "getMinutes" => nanoseconds / (60 * SECOND),
        "getSeconds" => nanoseconds / SECOND,
        "getMilliseconds" => nanoseconds / 1_000_000,
        _ => return Err(EvalError::no_such_overload()),
    })
}
