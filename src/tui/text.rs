//! Text on its way to a terminal: control characters out, ages short.

use jiff::Timestamp;

pub use crate::machinery::printable::{one_line, printable};

/// Time since `then`, in at most two units: `59s`, `3m5s`, `42m`, `7h12m`, `23h`, `5d`.
pub fn age(then: Option<Timestamp>, now: Timestamp) -> String {
    let Some(then) = then else { return "-".to_owned() };
    let seconds = now.as_second().saturating_sub(then.as_second()).max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let pair = |high: i64, unit: char, low: i64, low_unit: char| {
        if low == 0 { format!("{high}{unit}") } else { format!("{high}{unit}{low}{low_unit}") }
    };
    match () {
        () if minutes < 2 => format!("{seconds}s"),
        () if minutes < 10 => pair(minutes, 'm', seconds % 60, 's'),
        () if hours < 3 => format!("{minutes}m"),
        () if hours < 8 => pair(hours, 'h', minutes % 60, 'm'),
        () if days < 2 => format!("{hours}h"),
        () => format!("{days}d"),
    }
}

/// Sort key that puts `test-2` before `test-10`.
pub fn natural(name: &str) -> Vec<(u64, String)> {
    let mut parts = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let text_end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let (text, tail) = rest.split_at(text_end);
        let number_end = tail.find(|c: char| !c.is_ascii_digit()).unwrap_or(tail.len());
        let (number, tail) = tail.split_at(number_end);
        parts.push((0, text.to_owned()));
        parts.push((number.parse().unwrap_or(u64::MAX), String::new()));
        rest = tail;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_short() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let shown =
            |seconds: i64| age(Some(Timestamp::from_second(1_000_000 - seconds).unwrap()), now);
        assert_eq!(shown(0), "0s");
        assert_eq!(shown(119), "119s");
        assert_eq!(shown(185), "3m5s");
        assert_eq!(shown(2520), "42m");
        assert_eq!(shown(25_920), "7h12m");
        assert_eq!(shown(432_000), "5d");
        assert_eq!(shown(-5), "0s");
        assert_eq!(age(None, now), "-");
    }

    #[test]
    fn numbers_in_names_sort_as_numbers() {
        let mut names = ["test-10", "test-2", "a", "test-2-x"];
        names.sort_by_key(|name| natural(name));
        assert_eq!(names, ["a", "test-2", "test-2-x", "test-10"]);
    }
}
