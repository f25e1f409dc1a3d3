//! How two texts differ, as kube-apiserver shows it: a unified diff with three lines of context.
//! (kubernetes 1.36: apimachinery/pkg/util/diff over github.com/pmezard/go-difflib)
//!
//! The blocks that two texts have in common are found as Python's difflib finds them: the longest
//! one first, then those before and after it; lines that occur too often to mean anything do not
//! begin one.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use serde_json::Value;

/// Lines around a change.
const CONTEXT: usize = 3;
/// Texts of at least so many lines have lines that occur too often.
const MANY: usize = 200;

/// How two versions of an object differ that is shown as it is sent.
pub(super) fn difference(old: &Value, new: &Value) -> String {
    let shown = |value: &Value| serde_json::to_string_pretty(value).unwrap_or_default();
    let shown = |value: &Value| {
        let text = shown(value);
        let lines = text.lines().map(|line| {
            let rest = line.trim_start();
            format!("{}{rest}", " ".repeat((line.len() - rest.len()) / 2))
        });
        lines.collect::<Vec<_>>().join("\n")
    };
    unified(&shown(old), &shown(new))
}

/// How two texts differ.
pub(super) fn unified(old: &str, new: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.split('\n').collect(), new.split('\n').collect());
    let mut text = String::new();
    for group in groups(&operations(&old, &new)) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
        let before = range(first.old.0, last.old.1);
        let after = range(first.new.0, last.new.1);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "@@ -{before} +{after} @@");
        for operation in &group {
            if operation.is_equal {
                lines(&mut text, ' ', &old[operation.old.0..operation.old.1]);
                continue;
            }
            lines(&mut text, '-', &old[operation.old.0..operation.old.1]);
            lines(&mut text, '+', &new[operation.new.0..operation.new.1]);
        }
    }
    text
}

fn lines(text: &mut String, mark: char, lines: &[&str]) {
    for line in lines {
        let _ = writeln!(text, "{mark}{line}");
    }
}

fn range(start: usize, end: usize) -> String {
    match end - start {
        0 => format!("{start},0"),
        1 => (start + 1).to_string(),
        length => format!("{},{length}", start + 1),
    }
}

/// A part of both texts that is equal, or that takes the place of the other.
#[derive(Clone, Copy, Debug)]
struct Operation {
    is_equal: bool,
    old: (usize, usize),
    new: (usize, usize),
}

fn operations(old: &[&str], new: &[&str]) -> Vec<Operation> {
    let mut found = Vec::new();
    let (mut i, mut j) = (0, 0);
    for (a, b, size) in matching_blocks(old, new) {
        if i < a || j < b {
            found.push(Operation { is_equal: false, old: (i, a), new: (j, b) });
        }
        (i, j) = (a + size, b + size);
        if size > 0 {
            found.push(Operation { is_equal: true, old: (a, i), new: (b, j) });
        }
    }
    found
}

/// Changes that are near to each other, with what is around them.
fn groups(operations: &[Operation]) -> Vec<Vec<Operation>> {
    let mut operations = operations.to_vec();
    if operations.iter().all(|operation| operation.is_equal) {
        return Vec::new();
    }
    if let Some(first) = operations.first_mut().filter(|first| first.is_equal) {
        first.old.0 = first.old.0.max(first.old.1.saturating_sub(CONTEXT));
        first.new.0 = first.new.0.max(first.new.1.saturating_sub(CONTEXT));
    }
    if let Some(last) = operations.last_mut().filter(|last| last.is_equal) {
        last.old.1 = last.old.1.min(last.old.0 + CONTEXT);
        last.new.1 = last.new.1.min(last.new.0 + CONTEXT);
    }
    let (mut groups, mut group) = (Vec::new(), Vec::new());
    for mut operation in operations {
        let (old, new) = (operation.old, operation.new);
        if operation.is_equal && old.1 - old.0 > 2 * CONTEXT {
            let end = Operation {
                is_equal: true,
                old: (old.0, old.1.min(old.0 + CONTEXT)),
                new: (new.0, new.1.min(new.0 + CONTEXT)),
            };
            group.push(end);
            groups.push(std::mem::take(&mut group));
            operation.old.0 = old.0.max(old.1.saturating_sub(CONTEXT));
            operation.new.0 = new.0.max(new.1.saturating_sub(CONTEXT));
        }
        group.push(operation);
    }
    if group.iter().any(|operation| !operation.is_equal) {
        groups.push(group);
    }
    groups
}

type Block = (usize, usize, usize);

fn matching_blocks(old: &[&str], new: &[&str]) -> Vec<Block> {
    let places = places(new);
    let mut blocks = Vec::new();
    let mut open = vec![((0, old.len()), (0, new.len()))];
    while let Some((old_range, new_range)) = open.pop() {
        let (i, j, size) = longest(old, new, &places, (old_range, new_range));
        if size == 0 {
            continue;
        }
        open.push(((old_range.0, i), (new_range.0, j)));
        open.push(((i + size, old_range.1), (j + size, new_range.1)));
        blocks.push((i, j, size));
    }
    blocks.sort_unstable();
    let mut merged: Vec<Block> = Vec::new();
    for (i, j, size) in blocks {
        match merged.last_mut() {
            Some(last) if last.0 + last.2 == i && last.1 + last.2 == j => last.2 += size,
            _ => merged.push((i, j, size)),
        }
    }
    merged.push((old.len(), new.len(), 0));
    merged
}

/// Where each line of a text stands, but for lines that stand nearly everywhere.
fn places<'a>(text: &[&'a str]) -> HashMap<&'a str, Vec<usize>> {
    let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, line) in text.iter().enumerate() {
        places.entry(line).or_default().push(index);
    }
    if text.len() >= MANY {
        let often = text.len() / 100 + 1;
        let popular: HashSet<&str> =
            places.iter().filter(|(_, at)| at.len() > often).map(|(line, _)| *line).collect();
        places.retain(|line, _| !popular.contains(line));
    }
    places
}

type Range = (usize, usize);

/// The longest block that is common to two ranges, the first of those; lines that stand nearly
/// everywhere only make it longer.
fn longest(
    old: &[&str],
    new: &[&str],
    places: &HashMap<&str, Vec<usize>>,
    (old_range, new_range): (Range, Range),
) -> Block {
    let (mut best_i, mut best_j, mut best) = (old_range.0, new_range.0, 0);
    let mut lengths: HashMap<usize, usize> = HashMap::new();
    for (i, line) in old.iter().enumerate().take(old_range.1).skip(old_range.0) {
        let mut next = HashMap::new();
        for &j in places.get(line).map_or(&[][..], Vec::as_slice) {
            if !(new_range.0..new_range.1).contains(&j) {
                continue;
            }
            let length = j.checked_sub(1).and_then(|j| lengths.get(&j)).unwrap_or(&0) + 1;
            next.insert(j, length);
            if length > best {
                (best_i, best_j, best) = (i + 1 - length, j + 1 - length, length);
            }
        }
        lengths = next;
    }
    while best_i > old_range.0 && best_j > new_range.0 && old[best_i - 1] == new[best_j - 1] {
        (best_i, best_j, best) = (best_i - 1, best_j - 1, best + 1);
    }
    while best_i + best < old_range.1
        && best_j + best < new_range.1
        && old[best_i + best] == new[best_j + best]
    {
        best += 1;
    }
    (best_i, best_j, best)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn changes_stand_in_their_context() {
        let old: Vec<String> = (1..=20).map(|line| line.to_string()).collect();
        let mut new = old.clone();
        new[1] = "two".to_owned();
        new.remove(14);
        new.insert(17, "more".to_owned());
        assert_eq!(
            unified(&old.join("\n"), &new.join("\n")),
            "@@ -1,5 +1,5 @@\n 1\n-2\n+two\n 3\n 4\n 5\n\
             @@ -12,9 +12,9 @@\n 12\n 13\n 14\n-15\n 16\n 17\n 18\n+more\n 19\n 20\n"
        );
        assert_eq!(unified("a\nb", "a\nb"), "");
        assert_eq!(unified("a", "b"), "@@ -1 +1 @@\n-a\n+b\n");
    }

    #[test]
    fn objects_are_indented_by_one() {
        let old = json!({"a": 1, "b": {"c": [1]}});
        let new = json!({"a": 1, "b": {"c": [2]}});
        assert_eq!(
            difference(&old, &new),
            "@@ -2,7 +2,7 @@\n  \"a\": 1,\n  \"b\": {\n   \"c\": [\n-   1\n+   2\n   ]\n  }\n }\n"
        );
    }
}
