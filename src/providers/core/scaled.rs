//! Numbers that may be given as percentages. (apimachinery: util/intstr)

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// Where a share that is no whole number goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rounding {
    /// To the next higher number.
    Up,
    /// To the next lower number.
    Down,
}

/// A number as it is, or a percentage of `total`.
///
/// # Errors
/// A text that is no percentage, in Go's words.
pub(super) fn scaled(value: &IntOrString, total: i32, rounding: Rounding) -> Result<i32, String> {
    let text = match value {
        IntOrString::Int(number) => return Ok(*number),
        IntOrString::String(text) => text,
    };
    let Some(number) = text.strip_suffix('%') else {
        return Err(
            "invalid value for IntOrString: invalid type: string is not a percentage".to_owned()
        );
    };
    let percent: i64 = number.parse().map_err(|_| {
        format!(
            "invalid value for IntOrString: invalid value {text:?}: strconv.Atoi: parsing \
             {number:?}: invalid syntax"
        )
    })?;
    let product = percent.saturating_mul(i64::from(total));
    let share = match rounding {
        Rounding::Up => product.saturating_add(99).div_euclid(100),
        Rounding::Down => product.div_euclid(100),
    };
    Ok(i32::try_from(share).unwrap_or(i32::MAX))
}

/// A number or percentage as upstream prints it.
pub(super) fn show(value: &IntOrString) -> String {
    match value {
        IntOrString::Int(number) => number.to_string(),
        IntOrString::String(text) => text.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_round_as_asked() {
        let half = IntOrString::String("50%".into());
        assert_eq!(scaled(&half, 3, Rounding::Up), Ok(2));
        assert_eq!(scaled(&half, 3, Rounding::Down), Ok(1));
        assert_eq!(scaled(&IntOrString::Int(4), 3, Rounding::Up), Ok(4));
        assert!(scaled(&IntOrString::String("4".into()), 3, Rounding::Up).is_err());
        assert!(scaled(&IntOrString::String("x%".into()), 3, Rounding::Up).is_err());
        let huge = IntOrString::String(format!("{}%", i64::MAX));
        assert_eq!(scaled(&huge, i32::MAX, Rounding::Up), Ok(i32::MAX));
    }
}
