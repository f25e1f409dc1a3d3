//! Errors of Go's standard library for texts that do not parse: base64 and times.

/// Where Go's decoder of base64 stops; `None` if it takes the text.
/// (go 1.24: encoding/base64, decodeQuantum)
pub(super) fn base64(text: &str) -> Option<usize> {
    let source = text.as_bytes();
    let is_break = |byte: u8| matches!(byte, b'\n' | b'\r');
    let skip = |mut at: usize| {
        while source.get(at).is_some_and(|byte| is_break(*byte)) {
            at += 1;
        }
        at
    };
    let (mut at, mut held) = (0, 0);
    while let Some(byte) = source.get(at).copied() {
        at += 1;
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' => held = (held + 1) % 4,
            byte if is_break(byte) => {}
            b'=' if held >= 2 => {
                if held == 2 {
                    at = skip(at);
                    match source.get(at) {
                        None => return Some(source.len()),
                        Some(b'=') => at += 1,
                        Some(_) => return Some(at - 1),
                    }
                }
                at = skip(at);
                return (at < source.len()).then_some(at);
            }
            _ => return Some(at - 1),
        }
    }
    (held > 0).then(|| source.len() - held)
}

/// Go's message for a text that is no RFC 3339 time; `micro` asks for six digits of a second.
/// (go 1.24: time.Parse, metav1.Time and metav1.MicroTime)
pub(super) fn time(text: &str, micro: bool) -> Option<String> {
    let layout = match micro {
        true => "2006-01-02T15:04:05.000000Z07:00",
        false => "2006-01-02T15:04:05Z07:00",
    };
    let cannot = |rest: &str, wanted: &str| {
        let (text, rest, wanted) = (quoted(text), quoted(rest), quoted(wanted));
        Some(format!("parsing time {text} as \"{layout}\": cannot parse {rest} as {wanted}"))
    };
    let out_of_range =
        |what: &str| Some(format!("parsing time {}: {what} out of range", quoted(text)));
    let mut rest = text;
    let mut numbers = [0_u32; 6];
    let parts = [
        ("2006", 4, ""),
        ("01", 2, "-"),
        ("02", 2, "-"),
        ("15", 2, "T"),
        ("04", 2, ":"),
        ("05", 2, ":"),
    ];
    for (index, (name, length, before)) in parts.into_iter().enumerate() {
        let Some(after) = rest.strip_prefix(before) else { return cannot(rest, before) };
        rest = after;
        let digits = rest.get(..length).filter(|it| it.bytes().all(|byte| byte.is_ascii_digit()));
        let Some(number) = digits.and_then(|digits| digits.parse().ok()) else {
            return cannot(rest, name);
        };
        numbers[index] = number;
        rest = &rest[length..];
        let limits = [(0, 9999), (1, 12), (0, 99), (0, 23), (0, 59), (0, 59)];
        let (low, high) = limits[index];
        if !(low..=high).contains(&number) {
            return out_of_range(["year", "month", "day", "hour", "minute", "second"][index]);
        }
    }
    let fraction = rest.strip_prefix(['.', ',']).unwrap_or_default();
    let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
    if micro && digits != 6 {
        return cannot(rest, ".000000");
    }
    if digits > 0 {
        rest = &rest[1 + digits..];
    }
    let zone = rest.as_bytes();
    rest = match zone {
        [b'Z', ..] => &rest[1..],
        [b'+' | b'-', a, b, b':', c, d, ..]
            if [a, b, c, d].iter().all(|byte| byte.is_ascii_digit()) =>
        {
            let number =
                |from: usize| rest.get(from..from + 2).and_then(|it| it.parse::<u8>().ok());
            if number(1).is_none_or(|hours| hours > 24) {
                return out_of_range("time zone offset hour");
            }
            if number(4).is_none_or(|minutes| minutes > 60) {
                return out_of_range("time zone offset minute");
            }
            &rest[6..]
        }
        _ => return cannot(rest, "Z07:00"),
    };
    if !rest.is_empty() {
        let (text, rest) = (quoted(text), quoted(rest));
        return Some(format!("parsing time {text}: extra text: {rest}"));
    }
    let [year, month, day, ..] = numbers;
    let exists = jiff::civil::Date::new(year as i16, month as i8, day as i8).is_ok();
    if exists { None } else { out_of_range("day") }
}

fn quoted(text: &str) -> String {
    crate::machinery::status::quote(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_stops_where_go_stops() {
        for (text, expected) in [
            ("", None),
            ("YWI=", None),
            ("YQ==", None),
            ("YW\nI=", None),
            ("notb64", Some(4)),
            ("!", Some(0)),
            ("ab!d", Some(2)),
            ("a", Some(0)),
            ("YQ=", Some(3)),
            ("YQ=x", Some(2)),
            ("YQ==x", Some(4)),
            ("=", Some(0)),
        ] {
            assert_eq!(base64(text), expected, "{text:?}");
        }
    }

    #[test]
    fn times_are_refused_as_go_refuses_them() {
        let zone = time("2026-01-01T00:00:00+25:00", false).unwrap();
        assert!(zone.ends_with("time zone offset hour out of range"), "{zone}");
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(time(text, false).as_deref(), expected, "{text}");
        };
        check("2020-01-02T03:04:05Z", None);
        check("2020-01-02T03:04:05.5+01:00", None);
        check(
            "x",
            Some(
                "parsing time \"x\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"x\" as \"2006\"",
            ),
        );
        check(
            "2020-01-02",
            Some(
                "parsing time \"2020-01-02\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"\" as \"T\"",
            ),
        );
        check(
            "2020-01-02T03:04:05",
            Some(
                "parsing time \"2020-01-02T03:04:05\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"\" as \"Z07:00\"",
            ),
        );
        check(
            "2020-13-02T03:04:05Z",
            Some("parsing time \"2020-13-02T03:04:05Z\": month out of range"),
        );
        check(
            "2020-02-30T03:04:05Z",
            Some("parsing time \"2020-02-30T03:04:05Z\": day out of range"),
        );
        assert!(
            time("2020-01-02T03:04:05Z", true)
                .is_some_and(|it| it.ends_with("cannot parse \"Z\" as \".000000\""))
        );
    }
}
