//! Text on its way to a terminal: control characters out, ages short.

use jiff::Timestamp;

/// Replaces control characters, so that no name or message can steer the terminal, and characters
/// that change the direction of text or cannot be seen, so that none looks like another. Line
/// breaks stay.
pub fn printable(text: &str) -> String {
    let is_harmful = |c: char| (c.is_control() && c != '\n') || is_deceptive(c);
    text.chars().map(|c| if is_harmful(c) { '\u{fffd}' } else { c }).collect()
}

/// Marks of direction, zero-width characters, line and paragraph separators, tags.
fn is_deceptive(c: char) -> bool {
    matches!(c,
        '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}')
}

/// The same on one line: lines are joined and list marks dropped, as conditions' messages need it.
pub fn one_line(text: &str) -> String {
    let lines = text
        .lines()
        .map(|line| line.trim().trim_start_matches("* "))
        .filter(|line| !line.is_empty());
    printable(&lines.collect::<Vec<_>>().join("; "))
}

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
    fn messages_become_one_line_without_control_characters() {
        assert_eq!(one_line("* A: x\n  * B: \u{1b}[2Jy\n"), "A: x; B: \u{fffd}[2Jy");
    }

    #[test]
    fn nothing_unseen_passes() {
        assert_eq!(
            printable("a\u{202e}b\u{200b}c\u{feff}\u{9b}é漢"),
            "a\u{fffd}b\u{fffd}c\u{fffd}\u{fffd}é漢"
        );
    }

    #[test]
    fn numbers_in_names_sort_as_numbers() {
        let mut names = ["test-10", "test-2", "a", "test-2-x"];
        names.sort_by_key(|name| natural(name));
        assert_eq!(names, ["a", "test-2", "test-2-x", "test-10"]);
    }
}
