//! How many Machines may be remediated. (CAPI v1.14: machinehealthcheck_controller.go,
//! isAllowedRemediation)

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::super::scaled::{Rounding, scaled, show};
use crate::api::health_check::RemediationTrigger;

/// What a health check lets its owners do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Allowed {
    /// How many more Machines may become unhealthy; meaningless if remediation is restricted.
    pub left: i32,
    /// Why remediation is restricted, if it is.
    pub restriction: Option<String>,
}

/// Compares the Machines that are not known to be healthy with the limits. `unhealthy` are those
/// that are known to be unhealthy, for the message.
///
/// # Errors
/// A limit cannot be read.
pub(super) fn allowed(
    trigger: &RemediationTrigger,
    total: i32,
    healthy: i32,
    unhealthy: usize,
) -> Result<Allowed, String> {
    let missing = total - healthy;
    let range = &trigger.unhealthy_in_range;
    if range.is_empty() {
        let default = IntOrString::String("100%".to_owned());
        let limit = trigger.unhealthy_less_than_or_equal_to.as_ref().unwrap_or(&default);
        let max = scaled(limit, total, Rounding::Down)?;
        let restriction = (missing > max).then(|| {
            format!(
                "Remediation is not allowed, the number of not started or unhealthy machines \
                 exceeds maxUnhealthy (total: {total}, unhealthy: {unhealthy}, maxUnhealthy: {})",
                show(limit)
            )
        });
        return Ok(Allowed { left: max.saturating_sub(missing), restriction });
    }
    let (min, max) = parse_range(range)?;
    let is_outside = i64::from(missing) < min || i64::from(missing) > max;
    let restriction = is_outside.then(|| {
        format!(
            "Remediation is not allowed, the number of not started or unhealthy machines does not \
             fall within the range (total: {total}, unhealthy: {unhealthy}, unhealthyRange: \
             {range})"
        )
    });
    let left = i32::try_from(max - i64::from(missing)).unwrap_or(i32::MAX);
    Ok(Allowed { left, restriction })
}

/// The two numbers of `[2-5]`.
fn parse_range(range: &str) -> Result<(i64, i64), String> {
    let inner = range.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(range);
    let (min, max) = inner.split_once('-').unwrap_or((inner, ""));
    let number = |text: &str| {
        let parsed = text.parse::<u32>().map(i64::from);
        parsed.map_err(|_| format!("strconv.ParseUint: parsing {text:?}: invalid syntax"))
    };
    let (min, max) = (number(min)?, number(max)?);
    if max < min {
        return Err(format!(
            "max value {max} cannot be less than min value {min} for unhealthyRange"
        ));
    }
    Ok((min, max))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(limit: Option<&str>, range: &str, total: i32, healthy: i32) -> Result<i32, String> {
        let limit = limit.map(|text| match text.parse() {
            Ok(number) => IntOrString::Int(number),
            Err(_) => IntOrString::String(text.to_owned()),
        });
        let trigger = RemediationTrigger {
            unhealthy_less_than_or_equal_to: limit,
            unhealthy_in_range: range.to_owned(),
        };
        let allowed = allowed(&trigger, total, healthy, 1)?;
        allowed.restriction.map_or(Ok(allowed.left), Err)
    }

    #[test]
    fn limits_are_numbers_percentages_or_ranges() {
        assert_eq!(check(None, "", 3, 0), Ok(0));
        assert_eq!(check(None, "", 3, 2), Ok(2));
        assert_eq!(check(Some("1"), "", 3, 2), Ok(0));
        assert_eq!(
            check(Some("40%"), "", 3, 1),
            Err("Remediation is not allowed, the number of not started or unhealthy machines \
                 exceeds maxUnhealthy (total: 3, unhealthy: 1, maxUnhealthy: 40%)"
                .to_owned())
        );
        assert_eq!(check(Some("1"), "[1-3]", 5, 3), Ok(1));
        assert_eq!(
            check(None, "[2-3]", 5, 4),
            Err(
                "Remediation is not allowed, the number of not started or unhealthy machines does \
                 not fall within the range (total: 5, unhealthy: 1, unhealthyRange: [2-3])"
                    .to_owned()
            )
        );
        assert!(check(None, "[3-2]", 5, 4).unwrap_err().starts_with("max value 2"));
        for bad in ["[99999999999-1]", "[]", "[1]", "x"] {
            assert!(check(None, bad, 5, 4).is_err(), "{bad}");
        }
    }
}
