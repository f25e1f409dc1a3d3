//! Label and field selectors against models: requirements that are known before they are written.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::selector::{FieldSelector, LabelSelector};
use crate::machinery::random_tests::{Draw, cases, multiplied};

/// A requirement before it is written.
#[derive(Clone, Debug)]
enum Requirement {
    In(Vec<String>),
    NotIn(Vec<String>),
    Equals(String),
    NotEquals(String),
    Exists,
    Absent,
    Above(i64),
    Below(i64),
}

const KEYS: [&str; 6] = ["a", "b", "in", "notin", "example.com/a", "x_1.Y-z"];
const VALUES: [&str; 8] = ["", "x", "y", "in", "1", "07", "12", "A_b.c-d"];

impl Requirement {
    fn draw(draw: &mut Draw) -> Self {
        let some = |draw: &mut Draw| {
            let count = 1 + draw.below(3);
            (0..count).map(|_| draw.of(&VALUES).to_owned()).collect()
        };
        match draw.below(8) {
            0 => Self::In(some(draw)),
            1 => Self::NotIn(some(draw)),
            2 => Self::Equals(draw.of(&VALUES).to_owned()),
            3 => Self::NotEquals(draw.of(&VALUES).to_owned()),
            4 => Self::Exists,
            5 => Self::Absent,
            6 => Self::Above(draw.below(15) as i64),
            _ => Self::Below(draw.below(15) as i64),
        }
    }

    fn holds(&self, label: Option<&str>) -> bool {
        let number = label.and_then(|label| label.parse::<i64>().ok());
        match (self, label) {
            (Self::In(values), Some(label)) => values.iter().any(|value| value == label),
            (Self::NotIn(values), Some(label)) => values.iter().all(|value| value != label),
            (Self::Equals(value), Some(label)) => value == label,
            (Self::NotEquals(value), Some(label)) => value != label,
            (Self::Exists, label) => label.is_some(),
            (Self::Absent, label) => label.is_none(),
            (Self::In(_) | Self::Equals(_), None) => false,
            (Self::NotIn(_) | Self::NotEquals(_), None) => true,
            (Self::Above(bound), _) => number.is_some_and(|number| number > *bound),
            (Self::Below(bound), _) => number.is_some_and(|number| number < *bound),
        }
    }

    /// The requirement as text, with spaces wherever they may be.
    fn write(&self, draw: &mut Draw, key: &str) -> String {
        let mut gap = || draw.of(&["", "", " ", "\t "]).to_owned();
        let (one, two, three, four) = (gap(), gap(), gap(), gap());
        let list = |values: &[String]| values.join(&format!("{three},{two}"));
        let equals = if one.is_empty() { "=" } else { "==" };
        match self {
            Self::In(values) => format!("{one}{key} in{two}({one}{}{two}){four}", list(values)),
            Self::NotIn(values) => format!("{key} notin{two}({one}{}{two}){four}", list(values)),
            Self::Equals(value) => format!("{two}{key}{one}{equals}{two}{value}{three}"),
            Self::NotEquals(value) => format!("{key}{one}!={two}{value}{three}"),
            Self::Exists => format!("{one}{key}{two}"),
            Self::Absent => format!("{one}!{two}{key}{three}"),
            Self::Above(bound) => format!("{key}{one}>{two}{bound}"),
            Self::Below(bound) => format!("{key}{one}<{two}{bound}"),
        }
    }

    /// The requirement in a `metav1.LabelSelector`, if it has such a form.
    fn expression(&self, key: &str) -> Option<Value> {
        let (operator, values) = match self {
            Self::In(values) => ("In", values.clone()),
            Self::NotIn(values) => ("NotIn", values.clone()),
            Self::Equals(value) => ("In", vec![value.clone()]),
            Self::NotEquals(value) => ("NotIn", vec![value.clone()]),
            Self::Exists => ("Exists", Vec::new()),
            Self::Absent => ("DoesNotExist", Vec::new()),
            Self::Above(_) | Self::Below(_) => return None,
        };
        Some(json!({"key": key, "operator": operator, "values": values}))
    }
}

fn labels(draw: &mut Draw) -> BTreeMap<String, String> {
    let keys = draw.some(&KEYS);
    keys.into_iter().map(|key| (key.to_owned(), draw.of(&VALUES).to_owned())).collect()
}

fn requirements(draw: &mut Draw) -> Vec<(String, Requirement)> {
    let count = draw.below(4);
    (0..count).map(|_| (draw.of(&KEYS).to_owned(), Requirement::draw(draw))).collect()
}

#[test]
fn label_selectors_are_their_model() {
    let selected = cases("label selectors", 20_000, |draw| {
        let requirements = requirements(draw);
        let text: Vec<String> =
            requirements.iter().map(|(key, requirement)| requirement.write(draw, key)).collect();
        let text = text.join(",");
        let selector =
            LabelSelector::parse(&text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
        let printed = selector.to_string();
        let again = LabelSelector::parse(&printed).unwrap();
        assert_eq!(again, selector, "{text:?} is printed {printed:?}");
        assert_eq!(again.to_string(), printed);
        let expressions: Option<Vec<Value>> =
            requirements.iter().map(|(key, requirement)| requirement.expression(key)).collect();
        let object = expressions.map(|expressions| {
            LabelSelector::from_label_selector(&json!({"matchExpressions": expressions})).unwrap()
        });
        let mut telling = false;
        for _ in 0..4 {
            let labels = labels(draw);
            let label = |key: &str| labels.get(key).map(String::as_str);
            let expected = requirements.iter().all(|(key, it)| it.holds(label(key)));
            assert_eq!(selector.matches(&labels), expected, "{text:?} on {labels:?}");
            if let Some(object) = &object {
                assert_eq!(object.matches(&labels), expected, "{text:?} on {labels:?}");
            }
            telling |= expected && !requirements.is_empty();
        }
        telling
    });
    assert!(selected > multiplied(20_000) / 4, "{selected}");
}

#[test]
fn field_selectors_are_their_model() {
    const PATHS: [&str; 4] = ["metadata.name", "metadata.namespace", "spec.nodeName", "type"];
    const TEXTS: [&str; 9] = ["", "x", "a b", "a,b", "a=b", "\\", "\\,", "é!", "x=,\\"];
    let selected = cases("field selectors", 20_000, |draw| {
        let count = draw.below(4);
        let terms: Vec<(&str, bool, &str)> =
            (0..count).map(|_| (draw.of(&PATHS), draw.flip(), draw.of(&TEXTS))).collect();
        let escaped =
            |text: &str| text.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=");
        let mut written = Vec::new();
        for (path, equals, value) in &terms {
            let operator = if *equals { draw.of(&["=", "=="]) } else { "!=" };
            written.push(format!("{path}{operator}{}", escaped(value)));
        }
        let text = written.join(",");
        let selector =
            FieldSelector::parse(&text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
        let printed = selector.to_string();
        let again = FieldSelector::parse(&printed).unwrap();
        // What is read is sorted as it was written, `==` behind `=`; what is printed has only `=`.
        let settled = again.to_string();
        assert_eq!(FieldSelector::parse(&settled).unwrap().to_string(), settled, "{text:?}");
        let mut telling = false;
        for _ in 0..4 {
            let object: BTreeMap<&str, &str> =
                PATHS.iter().map(|path| (*path, draw.of(&TEXTS))).collect();
            let expected =
                terms.iter().all(|(path, equals, value)| (object[path] == *value) == *equals);
            assert_eq!(
                selector.matches_by(|path| object[path]),
                expected,
                "{text:?} on {object:?}"
            );
            assert_eq!(
                again.matches_by(|path| object[path]),
                expected,
                "{printed:?} on {object:?}"
            );
            telling |= expected && !terms.is_empty();
        }
        for path in PATHS {
            let exact = terms.iter().any(|(other, equals, _)| *other == path && *equals);
            assert_eq!(selector.exact(path).is_some(), exact, "{text:?}");
        }
        telling
    });
    assert!(selected > multiplied(20_000) / 4, "{selected}");
}
