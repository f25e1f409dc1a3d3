//! Estimates of calls, without the cost of their arguments.

use super::range::Range;
use super::{Argument, Coster, Estimate};
use crate::machinery::cel::cost::{LIST_CREATE, REGEX, TRAVERSAL, selector};
use crate::machinery::cel::types::Type;

/// Most characters of a format's regular expression (`MaxNameFormatRegexSize`).
const FORMAT_REGEX_MAX: f64 = 128.0;
/// Most characters of a format (`MaxFormatSize`).
const FORMAT_MAX: u64 = 64;

fn cost(cost: Range) -> Option<Estimate> {
    Some(Estimate { cost, size: None })
}

fn sized(cost: Range, size: Range) -> Option<Estimate> {
    Some(Estimate { cost, size: Some(size) })
}

/// Functions whose cel-go library estimates them: lists and sets.
pub(super) fn library(
    overload: &str,
    receiver: Option<&Argument<'_>>,
    args: &[Argument<'_>],
    coster: &Coster<'_>,
) -> Option<Estimate> {
    let allocating = |factor: f64, size: Range| {
        sized(size.scaled(factor).plus(Range::fixed(1 + LIST_CREATE)), size)
    };
    let sets = |factor: f64| {
        let [one, two] = args else { return None };
        let product = one.estimated(coster).times(two.estimated(coster));
        cost(product.scaled(factor).plus(Range::fixed(1)))
    };
    let sorting = |argument: &Argument<'_>| {
        let size = argument.estimated(coster);
        let textual = overload.starts_with("list_string_") || overload.starts_with("list_bytes_");
        allocating(if textual { 2.0 + TRAVERSAL } else { 2.0 }, size.times(size))
    };
    match (overload, receiver, args) {
        ("list_slice", Some(list), [start, end]) => {
            let start = start.integer().unwrap_or(0);
            let end = end.integer().unwrap_or(list.estimated(coster).max);
            allocating(1.0, Range::fixed(end.wrapping_sub(start)))
        }
        ("lists_range", None, [count]) => {
            allocating(1.0, Range::fixed(count.integer().unwrap_or(u64::MAX)))
        }
        ("list_reverse", Some(list), []) => allocating(1.0, list.estimated(coster)),
        ("list_flatten" | "list_flatten_int", Some(list), args) => {
            let depth = args.first().map_or(Some(1), Argument::integer).unwrap_or(u64::MAX);
            allocating(depth as f64, list.estimated(coster))
        }
        ("list_distinct", Some(list), []) => {
            let size = list.estimated(coster);
            allocating(2.0, size.times(size))
        }
        ("list_sets_contains_list" | "list_sets_intersects_list", _, _) => sets(1.0),
        ("list_sets_equivalent_list", _, _) => sets(2.0),
        (sort, Some(_), [keys]) if sort.ends_with("_sortByAssociatedKeys") => sorting(keys),
        (sort, Some(list), []) if sort.ends_with("_sort") => sorting(list),
        _ => None,
    }
}

/// Functions of Kubernetes that cost one, whatever they are given.
const CONSTANT: [&str; 38] = [
    "serviceAccount",
    "path",
    "group",
    "resource",
    "subresource",
    "namespace",
    "name",
    "allowed",
    "reason",
    "error",
    "errored",
    "masked",
    "prefixLength",
    "family",
    "isUnspecified",
    "isLoopback",
    "isLinkLocalMulticast",
    "isLinkLocalUnicast",
    "isGlobalUnicast",
    "format.named",
    "sign",
    "asInteger",
    "isInteger",
    "asApproximateFloat",
    "isGreaterThan",
    "isLessThan",
    "compareTo",
    "add",
    "sub",
    "major",
    "minor",
    "patch",
    "getScheme",
    "getHostname",
    "getHost",
    "getPort",
    "getEscapedPath",
    "getQuery",
];

/// Functions that Kubernetes estimates.
pub(super) fn kubernetes(
    function: &str,
    overload: &str,
    receiver: Option<&Argument<'_>>,
    args: &[Argument<'_>],
    coster: &Coster<'_>,
) -> Option<Estimate> {
    let first = args.first().map(|arg| arg.estimated(coster));
    let target = receiver.map(|receiver| receiver.estimated(coster));
    match function {
        "check" => cost(Range::fixed(350_000)),
        _ if CONSTANT.contains(&function) => cost(Range::fixed(1)),
        "fieldSelector" | "labelSelector" => {
            let size = first?;
            cost(Range { min: selector(size.min), max: selector(size.max) })
        }
        "isSorted" | "sum" | "max" | "min" | "indexOf" | "lastIndexOf" => {
            let Some(element) = receiver?.element() else {
                return cost(target?.scaled(TRAVERSAL));
            };
            let textual = matches!(element.kind, Type::String | Type::Bytes);
            let extra =
                if textual { element.estimated(coster).scaled(TRAVERSAL) } else { Range::fixed(0) };
            cost(target?.times(Range::fixed(1).plus(extra)))
        }
        "url" => sized(first?.scaled(TRAVERSAL), first?),
        "lowerAscii" | "upperAscii" | "substring" | "trim" => {
            sized(target?.scaled(TRAVERSAL), target?)
        }
        "replace" => replace(target?, first?, args.get(1)?.estimated(coster)),
        "split" => {
            let size = target?;
            let max = args.get(1).and_then(Argument::integer).unwrap_or(size.max);
            sized(size.scaled(2.0 * TRAVERSAL), Range { min: 0, max })
        }
        "join" => join(receiver?, first, coster),
        "find" | "findAll" => {
            let text = target?.plus(Range::fixed(1)).scaled(TRAVERSAL);
            let size = Range { min: 0, max: target?.max };
            sized(text.times(first?.scaled(REGEX)), size)
        }
        "ip" if overload == "cidr_ip" => cost(Range::fixed(1)),
        "cidr" | "isIP" | "isCIDR" | "ip" | "quantity" | "isQuantity" | "semver" | "isSemver" => {
            cost(first?.scaled(TRAVERSAL))
        }
        "ip.isCanonical" => cost(first?.scaled(2.0 * TRAVERSAL)),
        "containsIP" | "containsCIDR" => cost(contains(function, overload, first?)),
        "validate" => cost(first?.scaled(TRAVERSAL).scaled(FORMAT_REGEX_MAX * REGEX)),
        "_==_" => equality(args),
        _ => None,
    }
}

fn contains(function: &str, overload: &str, other: Range) -> Range {
    let address = Range { min: 4, max: 16 };
    let mut sum = address.plus(address).scaled(TRAVERSAL);
    if function == "containsCIDR" {
        sum = sum.plus(address.scaled(TRAVERSAL)).plus(Range::fixed(1));
    }
    if overload.ends_with("_string") {
        sum = sum.plus(other.scaled(TRAVERSAL));
    }
    sum
}

/// Equality of values of Kubernetes' types.
fn equality(args: &[Argument<'_>]) -> Option<Estimate> {
    let [one, two] = args else { return None };
    if one.kind != two.kind {
        return None;
    }
    match &one.kind {
        Type::Opaque("net.IP" | "net.CIDR", _) => cost(Range::fixed(1)),
        Type::Struct(object) => match &*object.name {
            "kubernetes.NamedFormat" => cost(Range { min: 1, max: FORMAT_MAX }.scaled(TRAVERSAL)),
            "kubernetes.URL" => {
                let max = two.size.map_or(1, |size| size.max);
                cost(Range { min: 1, max }.scaled(TRAVERSAL))
            }
            name if name.starts_with("kubernetes.") => cost(Range::fixed(1)),
            _ => None,
        },
        _ => None,
    }
}

fn replace(size: Range, old: Range, new: Range) -> Option<Estimate> {
    let times = |size: u64, old: u64| (size as f64 / old as f64).ceil() as u64;
    let (max_count, max_kept) = match (old.min, new.max <= old.min) {
        (0, _) => (size.max.saturating_add(1), size.max),
        (_, true) => (0, size.max),
        (old, false) => (times(size.max, old), 0),
    };
    let (min_count, min_kept) = match (old.max, old.max <= new.min) {
        (0, _) => (size.min.saturating_add(1), size.min),
        (_, true) => (0, size.min),
        (old, false) => (times(size.min, old), 0),
    };
    let count = Range { min: min_count, max: max_count };
    let result = count.times(new).plus(Range { min: min_kept, max: max_kept });
    sized(size.scaled(2.0 * TRAVERSAL), result)
}

fn join(list: &Argument<'_>, separator: Option<Range>, coster: &Coster<'_>) -> Option<Estimate> {
    let count = list.estimated(coster);
    let mut size = match list.element() {
        Some(element) => count.times(element.estimated(coster)),
        None => Range::fixed(0),
    };
    if let Some(separator) = separator {
        let between = Range { min: count.min.saturating_sub(1), max: count.max.saturating_sub(1) };
        size = size.plus(separator.times(between));
    }
    sized(size.scaled(TRAVERSAL), size)
}

/// Functions of the language itself whose cost depends on sizes.
pub(super) fn standard(
    overload: &str,
    receiver: Option<&Argument<'_>>,
    args: &[Argument<'_>],
) -> Option<Estimate> {
    let first = args.first().map(Argument::size_or_unknown);
    let target = receiver.map(Argument::size_or_unknown);
    match overload {
        "string_format" => cost(target?.scaled(TRAVERSAL)),
        "string_to_bytes" => {
            let size = first?;
            let made = Range { min: size.min, max: size.max.saturating_mul(4) };
            sized(size.scaled(TRAVERSAL), made)
        }
        "bytes_to_string" => {
            let size = first?;
            sized(size.scaled(TRAVERSAL), Range { min: size.min / 4, max: size.max })
        }
        "strings_quote" => {
            let size = first?;
            let max = size.max.saturating_mul(2).saturating_add(2);
            sized(size.scaled(TRAVERSAL), Range { min: size.min.saturating_add(2), max })
        }
        "starts_with_string" | "ends_with_string" => cost(first?.scaled(TRAVERSAL)),
        "in_list" => cost(args.get(1)?.size_or_unknown()),
        "matches_string" => {
            let text = target?.plus(Range::fixed(1)).scaled(TRAVERSAL);
            cost(text.times(first?.scaled(REGEX)))
        }
        "contains_string" => cost(target?.scaled(TRAVERSAL).times(first?.scaled(TRAVERSAL))),
        "less_string"
        | "greater_string"
        | "less_equals_string"
        | "greater_equals_string"
        | "less_bytes"
        | "greater_bytes"
        | "less_equals_bytes"
        | "greater_equals_bytes"
        | "equals"
        | "not_equals" => {
            let max = first?.max.min(args.get(1)?.size_or_unknown().max);
            cost(Range { min: u64::from(max > 0), max }.scaled(TRAVERSAL))
        }
        _ => None,
    }
}
