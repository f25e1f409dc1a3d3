//! Names and labels: what Kubernetes accepts, and names that it generates.
//!
//! Each check returns kube-apiserver's messages (apimachinery `pkg/api/validate/content`), an empty
//! vector accepts.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

const LABEL_FORMAT: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const SUBDOMAIN_FORMAT: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const LABEL_KEY_FORMAT: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const LABEL_VALUE_FORMAT: &str = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?";

const LABEL_MESSAGE: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric \
    characters or '-', and must start and end with an alphanumeric character";
const SUBDOMAIN_MESSAGE: &str = "a lowercase RFC 1123 subdomain must consist of lower case \
    alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character";
const LABEL_1035_MESSAGE: &str = "a DNS-1035 label must consist of lower case alphanumeric \
    characters or '-', start with an alphabetic character, and end with an alphanumeric character";
const LABEL_KEY_MESSAGE: &str = "must consist of alphanumeric characters, '-', '_' or '.', and \
    must start and end with an alphanumeric character";
const LABEL_VALUE_MESSAGE: &str = "a valid label must be an empty string or consist of \
    alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";

/// Longest DNS-1123 label, label key name part and label value.
pub const LABEL_MAX: usize = 63;
/// Longest DNS-1123 subdomain.
pub const SUBDOMAIN_MAX: usize = 253;
/// Longest base of a generated name (apiserver `storage/names`).
pub const GENERATED_BASE_MAX: usize = LABEL_MAX - SUFFIX_LENGTH;

const SUFFIX_LENGTH: usize = 5;
/// Without vowels and digits that look like vowels, so that no bad words come out.
const SUFFIX_ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// Checks a DNS-1123 label, e.g. a namespace name.
pub fn check_label(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if value.len() > LABEL_MAX {
        errors.push(too_long(LABEL_MAX, "characters"));
    }
    if !is_label(value) {
        if is_subdomain(value) {
            errors.push("must not contain dots".to_owned());
        } else {
            errors.push(mismatch(LABEL_MESSAGE, LABEL_FORMAT, &["my-name", "123-abc"]));
        }
    }
    errors
}

/// Checks a DNS-1123 subdomain, the form of most object names.
pub fn check_subdomain(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if value.len() > SUBDOMAIN_MAX {
        errors.push(too_long(SUBDOMAIN_MAX, "characters"));
    }
    if !is_subdomain(value) {
        errors.push(mismatch(SUBDOMAIN_MESSAGE, SUBDOMAIN_FORMAT, &["example.com"]));
    }
    errors
}

/// Checks a DNS-1035 label, e.g. a service name or a CRD's plural.
pub fn check_label_1035(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if value.len() > LABEL_MAX {
        errors.push(too_long(LABEL_MAX, "characters"));
    }
    if !is_label(value) || !value.starts_with(|c: char| c.is_ascii_lowercase()) {
        let format = "[a-z]([-a-z0-9]*[a-z0-9])?";
        errors.push(mismatch(LABEL_1035_MESSAGE, format, &["my-name", "abc-123"]));
    }
    errors
}

/// Checks a name that becomes a path segment (RBAC objects).
pub fn check_path_segment(value: &str) -> Vec<String> {
    if value == "." || value == ".." {
        return vec![format!("may not be '{value}'")];
    }
    ['/', '%']
        .iter()
        .filter(|c| value.contains(**c))
        .map(|c| format!("may not contain '{c}'"))
        .collect()
}

/// Checks a label key (also annotation keys, finalizers and condition types):
/// `[subdomain/]name`.
pub fn check_label_key(value: &str) -> Vec<String> {
    let examples = ["MyName", "my.name", "123-abc"];
    let mut errors = Vec::new();
    let (prefix, name) = match value.split_once('/') {
        None => (None, value),
        Some((prefix, name)) => (Some(prefix), name),
    };
    if name.contains('/') {
        let wrong = mismatch(LABEL_KEY_MESSAGE, LABEL_KEY_FORMAT, &examples);
        return vec![format!(
            "a valid label key {wrong} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        )];
    }
    match prefix {
        None => {}
        Some("") => errors.push("prefix part must be non-empty".to_owned()),
        Some(prefix) => {
            errors.extend(check_subdomain(prefix).iter().map(|e| format!("prefix part {e}")));
        }
    }
    if name.is_empty() {
        errors.push("name part must be non-empty".to_owned());
    } else if name.len() > LABEL_MAX {
        errors.push(format!("name part {}", too_long(LABEL_MAX, "bytes")));
    }
    if !is_label_text(name) {
        let wrong = mismatch(LABEL_KEY_MESSAGE, LABEL_KEY_FORMAT, &examples);
        errors.push(format!("name part {wrong}"));
    }
    errors
}

/// Checks a label value.
pub fn check_label_value(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if value.len() > LABEL_MAX {
        errors.push(too_long(LABEL_MAX, "bytes"));
    }
    if !value.is_empty() && !is_label_text(value) {
        let examples = ["MyValue", "my_value", "12345"];
        errors.push(mismatch(LABEL_VALUE_MESSAGE, LABEL_VALUE_FORMAT, &examples));
    }
    errors
}

/// A label value for any text: itself if it is valid, else a hash.
/// (CAPI v1.14: util/labels/format)
pub fn label_value(text: &str) -> String {
    if check_label_value(text).is_empty() {
        return text.to_owned();
    }
    let hash = text
        .bytes()
        .fold(0x811c_9dc5, |hash: u32, byte| hash.wrapping_mul(0x0100_0193) ^ u32::from(byte));
    format!("hash_{}_z", URL_SAFE_NO_PAD.encode(hash.to_be_bytes()))
}

/// Makes a name from `generateName`: the base, cut so that the result fits a DNS label, and five
/// characters drawn from `random`.
pub fn generate(base: &str, random: u64) -> String {
    let mut end = base.len().min(GENERATED_BASE_MAX);
    while !base.is_char_boundary(end) {
        end -= 1;
    }
    let mut name = String::with_capacity(end + SUFFIX_LENGTH);
    name.push_str(&base[..end]);
    let mut rest = random;
    let letters = SUFFIX_ALPHABET.len() as u64;
    for _ in 0..SUFFIX_LENGTH {
        name.push(char::from(SUFFIX_ALPHABET[(rest % letters) as usize]));
        rest /= letters;
    }
    name
}

fn is_label(value: &str) -> bool {
    let bytes = value.as_bytes();
    let alphanumeric = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    bytes.first().is_some_and(alphanumeric)
        && bytes.last().is_some_and(alphanumeric)
        && bytes.iter().all(|b| alphanumeric(b) || *b == b'-')
}

fn is_subdomain(value: &str) -> bool {
    value.split('.').all(is_label)
}

fn is_label_text(value: &str) -> bool {
    let bytes = value.as_bytes();
    bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

/// Kubernetes 1.36 counts `characters` of DNS names and `bytes` of label keys and values.
fn too_long(max: usize, unit: &str) -> String {
    format!("must be no more than {max} {unit}")
}

fn mismatch(message: &str, format: &str, examples: &[&str]) -> String {
    let mut text = format!("{message} (e.g. ");
    for (index, example) in examples.iter().enumerate() {
        if index > 0 {
            text.push_str(" or ");
        }
        text.push_str(&format!("'{example}', "));
    }
    text.push_str(&format!("regex used for validation is '{format}')"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subdomain_message_is_upstreams() {
        assert_eq!(
            check_subdomain("-a"),
            vec![
                "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
            ]
        );
        assert!(check_subdomain("a.b-c.9").is_empty());
        assert!(!check_subdomain("a..b").is_empty());
        assert!(!check_subdomain("").is_empty());
    }

    #[test]
    fn label_with_dots_is_told_so() {
        assert_eq!(check_label("a.b"), vec!["must not contain dots"]);
        assert!(
            check_label("A_")[0]
                .contains("(e.g. 'my-name',  or '123-abc', regex used for validation is")
        );
    }

    #[test]
    fn label_keys_have_an_optional_prefix() {
        assert!(check_label_key("cluster.x-k8s.io/cluster-name").is_empty());
        assert!(check_label_key("a").is_empty());
        assert_eq!(check_label_key("/a"), vec!["prefix part must be non-empty"]);
        assert!(check_label_key("a/b/c")[0].starts_with("a valid label key must consist of"));
        assert!(check_label_key("x/")[0].starts_with("name part must be non-empty"));
    }

    #[test]
    fn label_values_may_be_empty() {
        assert!(check_label_value("").is_empty());
        assert_eq!(check_label_value(&"x".repeat(64)), vec!["must be no more than 63 bytes"]);
    }

    #[test]
    fn generated_names_fit_a_label() {
        let name = generate(&"x".repeat(80), 12345);
        assert_eq!(name.len(), 63);
        assert_eq!(generate("g-", 0), "g-bbbbb");
        assert_ne!(generate("g-", 1), generate("g-", 2));
    }
}
