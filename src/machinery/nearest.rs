//! What was probably meant: the nearest of some names.

/// Longest name that is compared; longer ones are typed by machines.
const LENGTH_MAX: usize = 64;

/// The name that differs least from what was typed, if it differs little.
pub fn near(typed: &str, names: impl IntoIterator<Item = String>) -> Option<String> {
    let limit = (typed.chars().count() / 3).clamp(1, 3);
    names
        .into_iter()
        .filter(|name| !name.is_empty() && name != typed)
        .filter_map(|name| Some((distance(typed, &name)?, name)))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, name)| name)
}

/// Insertions, deletions, replacements and swaps of neighbours between two words.
fn distance(one: &str, other: &str) -> Option<usize> {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    if one.len() > LENGTH_MAX || other.len() > LENGTH_MAX {
        return None;
    }
    let mut rows: Vec<Vec<usize>> = (0..=one.len()).map(|i| vec![i; other.len() + 1]).collect();
    rows[0] = (0..=other.len()).collect();
    for i in 1..=one.len() {
        for j in 1..=other.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(one[i - 1] != other[j - 1]);
            let mut least = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = least;
        }
    }
    Some(rows[one.len()][other.len()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_suggested_and_far_ones_are_not() {
        let names = || ["prod-eu", "prod-us", "demo"].map(str::to_owned);
        assert_eq!(near("prod-ue", names()).as_deref(), Some("prod-eu"));
        assert_eq!(near("dmo", names()).as_deref(), Some("demo"));
        assert_eq!(near("staging", names()), None);
        assert_eq!(near("", names()), None);
        assert_eq!(near(&"x".repeat(10_000), names()), None);
    }
}
