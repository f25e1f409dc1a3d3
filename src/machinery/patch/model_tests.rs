//! JSON patch and JSON merge patch against models: the RFCs' text, with the laxities of the Go
//! library that kube-apiserver uses.

use serde_json::{Map, Value, json};

use super::json::JsonPatch;
use super::merge;
use crate::machinery::random_tests::{Draw, cases, multiplied};

/// What a step of a JSON pointer leads to, if there is such a member or item.
fn child<'a>(holder: &'a Value, step: &str) -> Option<&'a Value> {
    match holder {
        Value::Object(members) => members.get(step),
        Value::Array(items) => items.get(index(step, items.len())?),
        _ => None,
    }
}

/// A whole number, from the end if it is negative.
fn index(step: &str, length: usize) -> Option<usize> {
    let digits = step.strip_prefix(['+', '-']).unwrap_or(step);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: i64 = step.parse().ok()?;
    let index = if number < 0 { number + length as i64 } else { number };
    usize::try_from(index).ok().filter(|index| *index < length)
}

/// The document in which the holder of the last step is changed; `None` if there is no holder, or
/// it cannot be changed so.
fn changed(
    document: &Value,
    steps: &[String],
    change: &dyn Fn(&mut Value, &str) -> Option<()>,
) -> Option<Value> {
    let mut document = document.clone();
    match steps {
        [] => return None,
        [last] => change(&mut document, last)?,
        [first, rest @ ..] => {
            let below = changed(child(&document, first)?, rest, change)?;
            match &mut document {
                Value::Object(members) => drop(members.insert(first.clone(), below)),
                Value::Array(items) => {
                    let place = index(first, items.len())?;
                    items[place] = below;
                }
                _ => return None,
            }
        }
    }
    Some(document)
}

fn add(holder: &mut Value, step: &str, value: &Value) -> Option<()> {
    match holder {
        Value::Object(members) => drop(members.insert(step.to_owned(), value.clone())),
        Value::Array(items) if step == "-" => items.push(value.clone()),
        Value::Array(items) => {
            let (before, after) = items.split_at(index(step, items.len() + 1)?);
            *items = [before, std::slice::from_ref(value), after].concat();
        }
        _ => return None,
    }
    Some(())
}

fn remove(holder: &mut Value, step: &str) -> Option<()> {
    match holder {
        Value::Object(members) => drop(members.remove(step)?),
        Value::Array(items) => {
            let place = index(step, items.len())?;
            *items = [&items[..place], &items[place + 1..]].concat();
        }
        _ => return None,
    }
    Some(())
}

fn replace(holder: &mut Value, step: &str, value: &Value) -> Option<()> {
    match holder {
        Value::Object(members) => drop(members.insert(step.to_owned(), value.clone())),
        Value::Array(items) => {
            let place = index(step, items.len())?;
            items[place] = value.clone();
        }
        _ => return None,
    }
    Some(())
}

/// What is at a path; an absent member of an object that is there is null.
fn found(document: &Value, steps: &[String]) -> Option<Value> {
    let (last, holders) = steps.split_last()?;
    let holder = holders.iter().try_fold(document, |holder, step| child(holder, step))?;
    match holder {
        Value::Object(members) => Some(members.get(last).cloned().unwrap_or_default()),
        _ => child(holder, last).cloned(),
    }
}

fn steps(pointer: &str) -> Vec<String> {
    let plain = |step: &str| step.replace("~1", "/").replace("~0", "~");
    pointer.split('/').skip(1).map(plain).collect()
}

/// RFC 6902 section 4, one operation.
fn model(document: &Value, operation: &Value) -> Option<Value> {
    let path = steps(operation["path"].as_str()?);
    let from = || operation["from"].as_str().map(steps);
    let value = &operation["value"];
    match operation["op"].as_str()? {
        "add" => changed(document, &path, &|holder, step| add(holder, step, value)),
        "remove" => changed(document, &path, &|holder, step| remove(holder, step)),
        "replace" => changed(document, &path, &|holder, step| replace(holder, step, value)),
        "test" => (found(document, &path)? == *value).then(|| document.clone()),
        "copy" => {
            let value = found(document, &from()?)?;
            changed(document, &path, &|holder, step| add(holder, step, &value))
        }
        "move" => {
            let value = found(document, &from()?)?;
            let without = changed(document, &from()?, &|holder, step| remove(holder, step))?;
            changed(&without, &path, &|holder, step| add(holder, step, &value))
        }
        _ => None,
    }
}

/// A pointer that mostly leads somewhere.
fn pointer(draw: &mut Draw, document: &Value) -> String {
    let mut text = String::new();
    let mut place = Some(document);
    for _ in 0..4 {
        if !text.is_empty() && draw.one_in(3) {
            break;
        }
        let keys: Vec<String> = match place {
            Some(Value::Object(members)) => members.keys().cloned().collect(),
            Some(Value::Array(items)) => (0..items.len()).map(|item| item.to_string()).collect(),
            _ => Vec::new(),
        };
        let step = if keys.is_empty() || draw.one_in(5) {
            draw.of(&[
                "a", "name", "0", "1", "-", "-1", "-2", "+1", "00", "9", "", "x", "1e0", " 1",
            ])
            .to_owned()
        } else {
            keys[draw.below(keys.len())].clone()
        };
        text.push('/');
        text.push_str(&step.replace('~', "~0").replace('/', "~1"));
        place = place.and_then(|place| child(place, &step));
    }
    if draw.one_in(40) {
        return draw.of(&["", "a", "/", "//", "a/b", "/~", "/~01"]).to_owned();
    }
    text
}

fn operation(draw: &mut Draw, document: &Value) -> Value {
    let op = draw.of(&["add", "remove", "replace", "test", "copy", "move"]);
    let path = pointer(draw, document);
    let mut operation = json!({"op": op, "path": path});
    if matches!(op, "copy" | "move") && !draw.one_in(20) {
        operation["from"] = pointer(draw, document).into();
    }
    if !draw.one_in(10) {
        let present = found(document, &steps(&path));
        let value = if draw.flip() { draw.json(2) } else { present.unwrap_or_default() };
        operation["value"] = value;
    }
    operation
}

#[test]
fn json_patch_is_its_model() {
    let applied = cases("json patch", 20_000, |draw| {
        let before =
            json!({"a": draw.json(3), "b": [draw.json(2), 1], "name": {"x": draw.json(1)}});
        let mut expected = Some(before.clone());
        let mut operations = Vec::new();
        for _ in 0..=draw.below(3) {
            let current = expected.clone().unwrap_or_default();
            let operation = operation(draw, &current);
            expected = expected.and_then(|document| model(&document, &operation));
            operations.push(operation);
        }
        let patch = JsonPatch::from_value(operations.clone().into()).unwrap();
        let mut after = before.clone();
        let applied = patch.apply(&mut after).is_ok().then_some(after);
        assert_eq!(applied, expected, "{operations:?} on {before}");
        expected.is_some_and(|after| after != before)
    });
    assert!(applied > multiplied(20_000) / 20, "{applied}");
}

/// RFC 7386 section 2, with new values as the Go library makes them.
fn merged(target: Option<&Value>, patch: &Value) -> Value {
    match (target, patch) {
        (Some(Value::Object(target)), Value::Object(patch)) => {
            let untouched = target.iter().filter(|(key, _)| !patch.contains_key(*key));
            let mut result: Map<String, Value> =
                untouched.map(|(key, value)| (key.clone(), value.clone())).collect();
            for (key, value) in patch.iter().filter(|(_, value)| !value.is_null()) {
                result.insert(key.clone(), merged(target.get(key), value));
            }
            Value::Object(result)
        }
        (Some(Value::Object(_)), patch) => patch.clone(),
        (_, Value::Object(_)) => merged(Some(&json!({})), patch),
        (_, Value::Array(items)) => items.iter().map(|item| merged(None, item)).collect(),
        (_, scalar) => scalar.clone(),
    }
}

#[test]
fn merge_patch_is_its_model() {
    let changes = cases("merge patch", 20_000, |draw| {
        let (before, patch) = (json!({"a": draw.json(3), "b": draw.json(3)}), draw.json(4));
        let mut after = before.clone();
        merge::apply(&mut after, &patch);
        assert_eq!(after, merged(Some(&before), &patch), "{patch} on {before}");
        let once = after.clone();
        merge::apply(&mut after, &patch);
        let settles = !patch.to_string().contains("null");
        assert!(!settles || after == once, "{patch} on {before}");
        patch.is_object() && once != before
    });
    assert!(changes > multiplied(20_000) / 10, "{changes}");
}

#[test]
fn a_merge_patch_made_from_two_objects_leads_from_one_to_the_other() {
    /// Merge patches cannot express null members.
    fn denulled(value: Value) -> Value {
        merged(None, &value)
    }
    let made = cases("merge patch round trip", 10_000, |draw| {
        let mut object = || denulled(json!({"a": draw.json(3), "b": draw.json(3)}));
        let (before, after) = (object(), object());
        let mut value = before.clone();
        let patch = merge::diff(&before, &after);
        if let Some(patch) = &patch {
            merge::apply(&mut value, patch);
        }
        assert_eq!(value, after, "{patch:?} on {before}");
        patch.is_some()
    });
    assert!(made > multiplied(10_000) / 2, "{made}");
}
