//! Checks the invariants of ARCHITECTURE.md that a machine can check, and the table of rooms.

#![allow(clippy::unwrap_used, reason = "a test says no more than that it failed here")]

#[path = "tidy/conditions.rs"]
mod conditions;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const FILE_LINES_MAX: usize = 1_000;
const FUNCTION_LINES_MAX: usize = 70;

/// One source file of `src`.
struct Source {
    path: String,
    room: String,
    text: String,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<Source> {
    fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let mut paths = Vec::new();
    walk(&root().join("src"), &mut paths);
    paths.sort();
    let source = |path: PathBuf| {
        let relative = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
        let room = relative.split('/').nth(1).unwrap().trim_end_matches(".rs").to_owned();
        Source { text: fs::read_to_string(&path).unwrap(), path: relative, room }
    };
    paths.into_iter().map(source).collect()
}

/// Room -> rooms it may import, in build order.
fn rooms() -> Vec<(String, BTreeSet<String>)> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    let room = |line: &str| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let imports =
            cells[3].split(',').map(|name| name.trim().to_owned()).filter(|name| name != "–");
        (cells[1].trim_matches('`').to_owned(), imports.collect())
    };
    rows.map(room).collect()
}

/// The part of a file that is not tests.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text)
}

fn is_test_file(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/") || path.ends_with("_tests.rs")
}

fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let numbered = text.lines().enumerate().map(|(index, line)| (index + 1, line));
    numbered.filter(|(_, line)| !line.trim_start().starts_with("//"))
}

fn assert_none(rule: &str, offences: Vec<String>) {
    assert!(offences.is_empty(), "{rule}:\n  {}", offences.join("\n  "));
}

#[test]
fn table_of_rooms_matches_the_tree_and_points_upwards() {
    let rooms = rooms();
    let named: BTreeSet<String> = rooms.iter().map(|(room, _)| room.clone()).collect();
    let present: BTreeSet<String> = sources()
        .into_iter()
        .map(|source| source.room)
        .filter(|room| room != "lib" && room != "main")
        .collect();
    assert_eq!(named, present);
    let order: BTreeMap<&str, usize> =
        rooms.iter().enumerate().map(|(i, (room, _))| (room.as_str(), i)).collect();
    for (room, imports) in &rooms {
        for import in imports {
            let above =
                order.get(import.as_str()).is_some_and(|position| *position < order[room.as_str()]);
            // The composition root names the struct that the dashboard is given.
            let exception = room == "playground" && import == "tui";
            assert!(above || exception, "{room} may not import {import}: it is not above");
        }
    }
}

#[test]
fn imports_follow_the_table() {
    let rooms: BTreeMap<String, BTreeSet<String>> = rooms().into_iter().collect();
    let mut offences = Vec::new();
    let checked =
        |source: &&Source| rooms.contains_key(&source.room) && !is_test_file(&source.path);
    for source in sources().iter().filter(checked) {
        for (number, line) in code_lines(without_tests(&source.text)) {
            for rest in line.split("crate::").skip(1) {
                let used: String =
                    rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                let allowed = used == source.room
                    || rooms[&source.room].contains(&used)
                    || !rooms.contains_key(&used);
                if !allowed {
                    offences.push(format!("{}:{number} imports {used}", source.path));
                }
            }
        }
    }
    assert_none("a room imports what the table does not allow", offences);
}

#[test]
fn providers_do_not_know_each_other() {
    let mut offences = Vec::new();
    for source in sources().iter().filter(|source| source.room == "providers") {
        let Some(own) = source.path.split('/').nth(2) else { continue };
        for (number, line) in code_lines(without_tests(&source.text)) {
            for rest in line.split("providers::").skip(1) {
                let used: String =
                    rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                if used != own && own != "mod.rs" {
                    offences.push(format!("{}:{number} imports {used}", source.path));
                }
            }
        }
    }
    assert_none("a provider imports another one", offences);
}

#[test]
fn time_is_read_in_clock_only() {
    let banned =
        ["Instant::now", "SystemTime::now", "Timestamp::now", "tokio::time::", "thread::sleep"];
    let mut offences = Vec::new();
    for source in
        sources().iter().filter(|source| !["clock", "pki"].contains(&source.room.as_str()))
    {
        for (number, line) in code_lines(&source.text) {
            offences.extend(
                banned
                    .iter()
                    .filter(|word| line.contains(**word))
                    .map(|word| format!("{}:{number} {word}", source.path)),
            );
        }
    }
    assert_none("time is read outside clock", offences);
}

#[test]
fn machinery_and_store_are_synchronous_and_do_no_io() {
    let banned = ["async fn", ".await", "tokio::net", "std::fs", "std::net::Tcp", "std::io::stdin"];
    let mut offences = Vec::new();
    for source in
        sources().iter().filter(|source| ["machinery", "store"].contains(&source.room.as_str()))
    {
        for (number, line) in code_lines(without_tests(&source.text)) {
            offences.extend(
                banned
                    .iter()
                    .filter(|word| line.contains(**word))
                    .map(|word| format!("{}:{number} {word}", source.path)),
            );
        }
    }
    assert_none("a pure room waits or does I/O", offences);
}

#[test]
fn files_and_functions_stay_short() {
    let mut offences = Vec::new();
    for source in sources().iter().filter(|source| !is_test_file(&source.path)) {
        let text = without_tests(&source.text);
        let lines = text.lines().count();
        if lines > FILE_LINES_MAX {
            offences.push(format!("{} has {lines} lines", source.path));
        }
        for (name, number, length) in functions(text) {
            if length > FUNCTION_LINES_MAX {
                offences.push(format!("{}:{number} fn {name} has {length} lines", source.path));
            }
        }
    }
    assert_none("too long", offences);
}

/// Functions of a formatted file: name, first line, lines up to the closing brace of the same
/// indentation.
fn functions(text: &str) -> Vec<(String, usize, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let trimmed = line.trim_start();
        let Some(position) = trimmed.find("fn ") else { continue };
        let starts = trimmed[..position]
            .split_whitespace()
            .all(|word| ["const", "async", "extern"].contains(&word) || word.starts_with("pub"));
        if !starts || trimmed.starts_with("//") || trimmed.ends_with(';') {
            continue;
        }
        let indent = &line[..line.len() - trimmed.len()];
        let end = lines[index..].iter().position(|line| *line == format!("{indent}}}"));
        let name: String = trimmed[position + 3..]
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect();
        found.push((name, index + 1, end.map_or(1, |end| end + 1)));
    }
    found
}

#[test]
fn nothing_is_left_unfinished() {
    let words = ["todo!(", "unimplemented!(", "dbg!(", "FIXME", "XXX", "unsafe {", "unsafe fn"];
    let mut offences = Vec::new();
    for source in sources() {
        for (index, line) in source.text.lines().enumerate() {
            offences.extend(
                words
                    .iter()
                    .filter(|word| line.contains(**word))
                    .map(|word| format!("{}:{} {word}", source.path, index + 1)),
            );
        }
    }
    assert_none("left over", offences);
}

#[test]
fn every_module_says_what_it_is() {
    let silent = sources().into_iter().filter(|source| !source.text.starts_with("//!"));
    let silent: Vec<String> =
        silent.filter(|source| !is_test_file(&source.path)).map(|s| s.path).collect();
    assert_none("no module documentation", silent);
}

#[test]
fn forbidden_names_are_not_used() {
    let words = ["utils", "helpers", "common", "misc"];
    let named = sources()
        .into_iter()
        .map(|source| source.path)
        .filter(|path| path.split('/').any(|part| words.contains(&part.trim_end_matches(".rs"))));
    assert_none("a name that says nothing", named.collect());
}

/// Every error code that the sources have is explained, listed in the documents, and produced by an
/// end-to-end test that compares what is printed.
#[test]
fn error_codes_are_explained_documented_and_produced() {
    let codes = |text: &str, before: &str, after: &str| -> BTreeSet<String> {
        let places = text.match_indices(before).map(|(at, _)| &text[at + before.len()..]);
        let code = |rest: &str| {
            let code = rest.get(..4)?;
            let is_code = code.starts_with(['E', 'W'])
                && code[1..].bytes().all(|byte| byte.is_ascii_digit())
                && rest[4..].starts_with(after);
            is_code.then(|| code.to_owned())
        };
        places.filter_map(code).collect()
    };
    let catalogue = fs::read_to_string(root().join("src/cli/codes.rs")).unwrap();
    let explained = codes(catalogue.split("#[cfg(test)]").next().unwrap(), "\"", "\"");
    let own = sources().into_iter().filter(|source| source.path != "src/cli/codes.rs");
    let used: BTreeSet<String> =
        own.flat_map(|source| codes(without_tests(&source.text), "\"", "\"")).collect();
    assert_eq!(used, explained, "codes of the sources, and those that are explained");
    let page = fs::read_to_string(root().join("docs/commands.md")).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| E"));
    let documented: BTreeSet<String> = rows.flat_map(|row| codes(row, " ", "")).collect();
    assert_eq!(documented, explained, "codes of docs/commands.md");
    let tests = fs::read_dir(root().join("tests/e2e")).unwrap().flatten();
    let tests = tests.filter_map(|file| fs::read_to_string(file.path()).ok());
    let produced: BTreeSet<String> = tests.flat_map(|text| codes(&text, "error[", "]")).collect();
    assert_eq!(produced, explained, "codes of tests/e2e");
}

/// `docs/conformance.md` names a test for every spec, and the tests exist.
#[test]
fn conformance_tests_exist() {
    let text = fs::read_to_string(root().join("docs/conformance.md")).unwrap();
    let code: String = sources().into_iter().map(|source| source.text).collect();
    let rows: Vec<(&str, &str)> = text
        .lines()
        .filter(|line| line.starts_with("| ") && line.ends_with("` |"))
        .map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            (cells[1], cells[cells.len() - 2].trim_matches('`'))
        })
        .collect();
    let missing: Vec<String> = rows
        .iter()
        .filter(|(_, test)| !code.contains(&format!("fn {test}()")))
        .map(|(what, test)| format!("{what}: {test}"))
        .collect();
    assert_none("a test that the conformance page names is not there", missing);
    let specs: BTreeSet<usize> = rows.iter().filter_map(|(what, _)| what.parse().ok()).collect();
    let left_out = [1, 2, 29].into_iter().chain(69..=80);
    let wanted: BTreeSet<usize> =
        (1..=93).filter(|spec| !left_out.clone().any(|it| it == *spec)).collect();
    assert_eq!(specs, wanted);
    assert!(rows.len() - specs.len() >= 59, "the contract tests of the storage have a row each");
}
