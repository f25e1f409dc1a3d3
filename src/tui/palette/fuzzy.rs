//! How well a few letters fit a name.

/// Points of a letter that follows the one before, or begins a word.
const FOLLOWS: u32 = 8;
const BEGINS: u32 = 6;
/// Points of a name that begins with the letters, or is them.
const PREFIX: u32 = 40;
const EQUAL: u32 = 100;

/// Higher is better; `None` if the letters do not occur in their order. Case does not count.
pub(super) fn score(letters: &str, name: &str) -> Option<u32> {
    let (letters, name) = (letters.to_lowercase(), name.to_lowercase());
    if letters == name {
        return Some(EQUAL + PREFIX);
    }
    let name_letters: Vec<char> = name.chars().collect();
    let (mut points, mut from, mut last) = (1, 0, None);
    for letter in letters.chars().filter(|letter| !letter.is_whitespace()) {
        let found = (from..name_letters.len()).filter(|index| name_letters[*index] == letter);
        let worth = |index: usize| {
            let follows = last.is_some_and(|last| last + 1 == index);
            let begins = index == 0 || !name_letters[index - 1].is_alphanumeric();
            1 + if follows { FOLLOWS } else { 0 } + if begins { BEGINS } else { 0 }
        };
        // Of several places the most telling, and of those the first.
        let best = found.max_by_key(|index| (worth(*index), std::cmp::Reverse(*index)))?;
        points += worth(best);
        (from, last) = (best + 1, Some(best));
    }
    Some(points + if name.starts_with(&letters) { PREFIX } else { 0 })
}

/// Whether all words occur in a sentence; worth less than any name.
pub(super) fn words(letters: &str, sentence: &str) -> Option<u32> {
    let sentence = sentence.to_lowercase();
    let letters = letters.to_lowercase();
    letters.split_whitespace().all(|word| sentence.contains(word)).then_some(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_fit_comes_first() {
        let best = |letters: &str, names: &[&'static str]| {
            let scored = names.iter().filter_map(|name| Some((score(letters, name)?, *name)));
            scored.max_by_key(|(score, _)| *score).map(|(_, name)| name)
        };
        let names = ["scale", "save", "save-screen", "sort-column", "control-planes", "create"];
        assert_eq!(best("sc", &names), Some("scale"));
        assert_eq!(best("cp", &names), Some("control-planes"));
        assert_eq!(best("save", &names), Some("save"));
        assert_eq!(best("sco", &names), Some("sort-column"));
        assert_eq!(best("xyz", &names), None);
    }

    #[test]
    fn words_of_a_sentence_are_found_in_any_order() {
        assert_eq!(words("again draw", "Draw everything again."), Some(0));
        assert_eq!(words("again paint", "Draw everything again."), None);
    }
}
