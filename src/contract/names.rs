//! Names and label values that are generated. (apimachinery: util/rand; apiserver: storage/names;
//! CAPI v1.14: internal/topology/names, util/labels/format)
//!
//! Randomness comes in as a number drawn from the run's seed, so that names repeat with the seed.

use serde_json::json;

use crate::machinery::name_template;
pub use crate::machinery::names::label_value;

/// Characters of generated suffixes: no vowels and nothing that is easily confused.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
const NAME_MAX: usize = 63;
const SUFFIX_LEN: usize = 5;

/// Five characters drawn from `random`.
pub fn suffix(random: u64) -> String {
    let mut left = random;
    (0..SUFFIX_LEN)
        .map(|_| {
            let at = (left % ALPHABET.len() as u64) as usize;
            left /= ALPHABET.len() as u64;
            char::from(ALPHABET[at])
        })
        .collect()
}

/// `base` (cut to 58 bytes) followed by a random suffix.
pub fn generate(base: &str, random: u64) -> String {
    format!("{}{}", cut(base, NAME_MAX - SUFFIX_LEN), suffix(random))
}

/// A name that a naming template gives, such as `{{ .machineSet.name }}-{{ .random }}`: a Go
/// template with Go's own functions. `values` maps paths without the leading dot to text; `random`
/// is known beyond them. A name over 63 bytes is cut and gets a random suffix.
///
/// # Errors
/// What is wrong with the template, in upstream's words.
pub fn from_template(
    template: &str,
    values: &[(&str, &str)],
    random: u64,
) -> Result<String, String> {
    let mut data = json!({"random": suffix(random)});
    for (path, value) in values {
        match path.split_once('.') {
            Some((object, field)) => data[object][field] = json!(value),
            None => data[path] = json!(value),
        }
    }
    name_template::render(template, &data, &suffix(random))
}

/// A stable hash of bytes, the first half of a `machine-template-hash`.
pub fn template_hash(bytes: &[u8]) -> u32 {
    fnv1a_32(bytes)
}

fn fnv1a_32(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// The longest prefix of at most `max` bytes that ends between characters.
fn cut(text: &str, max: usize) -> &str {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_names_fit_and_repeat() {
        let name = generate(&"x".repeat(80), 42);
        assert_eq!(name.len(), 63);
        assert_eq!(name, generate(&"x".repeat(80), 42));
        assert!(suffix(u64::MAX).bytes().all(|byte| ALPHABET.contains(&byte)));
    }

    #[test]
    fn templates_name_machines() {
        let values = [("machineSet.name", "md-abc"), ("cluster.name", "c")];
        let name = from_template("{{ .machineSet.name }}-{{ .random }}", &values, 7).unwrap();
        assert_eq!(name, format!("md-abc-{}", suffix(7)));
        assert!(from_template("{{ .nope }}", &values, 7).is_err());
        assert!(from_template("{{ trim .cluster.name }}", &values, 7).is_err());
        let template = "{{ printf \"%.2s\" .machineSet.name }}{{ if .random }}-x{{ end }}";
        assert_eq!(from_template(template, &values, 7).as_deref(), Ok("md-x"));
    }

    #[test]
    fn invalid_label_values_are_hashed() {
        assert_eq!(label_value("bar-md"), "bar-md");
        let hashed = label_value(&"a".repeat(64));
        assert!(hashed.starts_with("hash_") && hashed.ends_with("_z"), "{hashed}");
        assert_eq!(label_value(&hashed), hashed);
    }
}
