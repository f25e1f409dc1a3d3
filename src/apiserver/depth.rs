//! JSON texts that are nested too deep.

/// Depth below which nothing is kept: no kind is nested that deep.
const KEPT: usize = 100;
/// What Go's decoder takes. (encoding/json: maxNestingDepth)
const DEPTH_MAX: usize = 10_000;

/// The text with everything deeper than any object goes taken out; `None` if it is deeper than
/// kube-apiserver would read, either.
pub(super) fn cut(text: &[u8]) -> Option<Vec<u8>> {
    let mut kept = Vec::with_capacity(text.len().min(1 << 16));
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for &byte in text {
        let deep = depth > KEPT;
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
        } else {
            match byte {
                b'"' => in_string = true,
                b'[' | b'{' => depth += 1,
                b']' | b'}' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        if depth > DEPTH_MAX {
            return None;
        }
        if !deep && depth <= KEPT {
            kept.push(byte);
        } else if deep != (depth > KEPT) && depth > KEPT {
            // The container that is left out.
            kept.extend_from_slice(b"null");
        }
    }
    Some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(depth: usize) -> Vec<u8> {
        format!("{{\"a\":\"}}\",\"b\":{}{}}}", "[".repeat(depth), "]".repeat(depth)).into_bytes()
    }

    #[test]
    fn what_is_left_can_be_parsed() {
        let left = cut(&nested(5_000)).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&left).unwrap();
        assert_eq!(value["a"], "}");
        assert!(value["b"].is_array());
        assert!(left.len() < 400, "{}", left.len());
    }

    #[test]
    fn shallow_texts_stay_as_they_are_and_abysses_are_refused() {
        assert_eq!(cut(&nested(10)).unwrap(), nested(10));
        assert_eq!(cut(&nested(10_000)), None);
    }
}
