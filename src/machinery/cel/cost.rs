//! What an evaluation costs, in cel-go's units, and how much it may cost (kubernetes 1.36:
//! apiserver/pkg/cel/library/cost.go, apiserver/pkg/apis/cel/config.go; cel-go:
//! interpreter/runtimecost.go, ext/lists.go, ext/sets.go).

use super::error::EvalError;
use super::library::Object;
use super::value::Val;

/// Most that one evaluation may cost.
pub const CALL_LIMIT: u64 = 1_000_000;
/// What all rules of an object, or a policy, may cost together.
pub const RUNTIME_BUDGET: u64 = 10_000_000;
/// What all match conditions of a webhook or a policy may cost together.
pub const MATCH_CONDITIONS_BUDGET: u64 = 2_500_000;

/// Creating a list.
pub(super) const LIST_CREATE: u64 = 10;
/// Creating a map.
pub(super) const MAP_CREATE: u64 = 30;
const STRUCT_CREATE: u64 = 40;
/// Going through a character of a string.
pub(super) const TRAVERSAL: f64 = 0.1;
/// A character of a regular expression.
pub(super) const REGEX: f64 = 0.25;

/// What evaluations may still cost.
#[derive(Debug)]
pub struct CostBudget {
    remaining: Option<u64>,
}

impl CostBudget {
    /// A budget.
    pub fn new(limit: u64) -> Self {
        Self { remaining: Some(limit) }
    }

    /// What is left; `None` once it has been exceeded.
    pub fn remaining(&self) -> Option<u64> {
        self.remaining
    }

    /// Lets nothing more be spent.
    pub fn exhaust(&mut self) {
        self.remaining = None;
    }

    pub(super) fn spend(&mut self, cost: u64) -> Result<(), EvalError> {
        self.remaining = self.remaining.and_then(|remaining| remaining.checked_sub(cost));
        self.remaining.map(|_| ()).ok_or_else(EvalError::budget)
    }
}

/// What one evaluation has cost.
#[derive(Debug)]
pub(super) struct Meter {
    limit: u64,
    own: u64,
    /// Of evaluations inside it, which have limits of their own.
    foreign: u64,
}

impl Meter {
    pub(super) fn new(limit: u64) -> Self {
        Self { limit, own: 0, foreign: 0 }
    }

    pub(super) fn charge(&mut self, cost: u64) -> Result<(), EvalError> {
        self.own = self.own.saturating_add(cost);
        if self.own > self.limit { Err(EvalError::call_limit()) } else { Ok(()) }
    }

    pub(super) fn add_foreign(&mut self, cost: u64) {
        self.foreign = self.foreign.saturating_add(cost);
    }

    pub(super) fn total(&self) -> u64 {
        self.own.saturating_add(self.foreign)
    }
}

/// How the cost of a call follows from its arguments and result.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum CostRule {
    Fixed(u64),
    /// Size of an argument times a factor.
    Size(usize, f64),
    /// Size of the result times a factor.
    ResultSize(f64),
    /// All of an argument, its items included.
    Traversal,
    /// Both arguments.
    Sum,
    /// The shorter of the arguments.
    Shorter,
    /// As `Shorter`, but one for values of library types.
    Equal,
    /// The product of the arguments.
    Product,
    /// A string, and a regular expression in the second argument.
    Regex,
    /// A string, and the regular expression of a format.
    Format,
    Selector,
    /// Addresses in a network; the other one may have to be parsed.
    Contains {
        network: bool,
        parsed: bool,
    },
    /// A new list as long as the result.
    ListOutput,
    Flatten,
    /// Every item of a list with every other one.
    SelfCompare(usize),
    /// Every item of a list with every one of another list.
    CrossCompare(f64),
}

impl CostRule {
    pub(super) fn of(function: &str, overload: &str) -> Self {
        if let Some(rule) = Self::of_tracked(overload) {
            return rule;
        }
        match function {
            "check" => Self::Fixed(350_000),
            "fieldSelector" | "labelSelector" => Self::Selector,
            "isSorted" | "sum" | "max" | "min" | "indexOf" | "lastIndexOf" => Self::Traversal,
            "url" | "lowerAscii" | "upperAscii" | "substring" | "trim" | "cidr" | "isIP"
            | "isCIDR" | "quantity" | "isQuantity" | "semver" | "isSemver" => {
                Self::Size(0, TRAVERSAL)
            }
            "ip" if overload != "cidr_ip" => Self::Size(0, TRAVERSAL),
            "replace" | "split" | "ip.isCanonical" => Self::Size(0, 2.0 * TRAVERSAL),
            "join" => Self::ResultSize(2.0 * TRAVERSAL),
            "find" | "findAll" => Self::Regex,
            "containsIP" | "containsCIDR" => Self::Contains {
                network: function == "containsCIDR",
                parsed: overload.ends_with("_string"),
            },
            "validate" => Self::Format,
            _ => Self::of_overload(overload),
        }
    }

    /// Functions whose library counts their cost.
    fn of_tracked(overload: &str) -> Option<Self> {
        Some(match overload {
            "list_slice" | "lists_range" | "list_reverse" => Self::ListOutput,
            "list_flatten" | "list_flatten_int" => Self::Flatten,
            "list_distinct" => Self::SelfCompare(0),
            "list_sets_contains_list" | "list_sets_intersects_list" => Self::CrossCompare(1.0),
            "list_sets_equivalent_list" => Self::CrossCompare(2.0),
            _ if overload.ends_with("_sortByAssociatedKeys") => Self::SelfCompare(1),
            _ if overload.starts_with("list_") && overload.ends_with("_sort") => {
                Self::SelfCompare(0)
            }
            _ => return None,
        })
    }

    fn of_overload(overload: &str) -> Self {
        match overload {
            "starts_with_string" | "ends_with_string" => Self::Size(1, TRAVERSAL),
            "string_to_bytes" | "bytes_to_string" | "strings_quote" | "string_format" => {
                Self::Size(0, TRAVERSAL)
            }
            "in_list" => Self::Size(1, 1.0),
            "less_string"
            | "greater_string"
            | "less_equals_string"
            | "greater_equals_string"
            | "less_bytes"
            | "greater_bytes"
            | "less_equals_bytes"
            | "greater_equals_bytes" => Self::Shorter,
            "add_string" | "add_bytes" => Self::Sum,
            "matches_string" => Self::Regex,
            "contains_string" => Self::Product,
            _ => Self::Fixed(1),
        }
    }

    /// What can be said before the call.
    pub(super) fn before(self, args: &[Val<'_>]) -> u64 {
        let size = |index: usize| args.get(index).map_or(1, Val::size);
        match self {
            Self::Fixed(cost) => cost,
            Self::Size(index, factor) => scaled(size(index), factor),
            Self::Traversal => args.first().map_or(0, traversal),
            Self::Sum => scaled(size(0).saturating_add(size(1)), TRAVERSAL),
            Self::Shorter => scaled(size(0).min(size(1)), TRAVERSAL),
            Self::Equal => match args.first() {
                Some(Val::Object(_)) => 1,
                _ => scaled(size(0).min(size(1)), TRAVERSAL),
            },
            Self::Product => scaled(size(0), TRAVERSAL).saturating_mul(scaled(size(1), TRAVERSAL)),
            Self::Regex => scaled(size(0) + 1, TRAVERSAL).saturating_mul(scaled(size(1), REGEX)),
            Self::Format => match args.first() {
                Some(Val::Object(object)) => match &**object {
                    Object::Format(format) => scaled(size(1) + 1, TRAVERSAL)
                        .saturating_mul(scaled(format.regex_size(), REGEX)),
                    _ => 1,
                },
                _ => 1,
            },
            Self::Selector => selector(size(1)),
            Self::Contains { network, parsed } => {
                let masked = if network { scaled(size(0), TRAVERSAL) + 1 } else { 0 };
                let parsing = if parsed { scaled(size(1), TRAVERSAL) } else { 0 };
                scaled(size(0) * 2, TRAVERSAL) + masked + parsing
            }
            Self::Flatten => {
                let depth = match args.get(1) {
                    Some(Val::Int(depth)) => *depth as f64,
                    _ => 1.0,
                };
                allocation(depth, size(0))
            }
            Self::SelfCompare(index) => {
                let factor = match args.get(index) {
                    Some(Val::List(list)) => match list.get(0) {
                        Some(Ok(Val::String(_) | Val::Bytes(_))) => 2.0 + TRAVERSAL,
                        _ => 2.0,
                    },
                    _ => 2.0,
                };
                allocation(factor, size(index).saturating_mul(size(index)))
            }
            Self::CrossCompare(factor) => {
                let product = size(0).saturating_mul(size(1)) as f64;
                1_u64.saturating_add((product * factor) as u64)
            }
            Self::ResultSize(_) | Self::ListOutput => 0,
        }
    }

    /// What follows from the result.
    pub(super) fn after(self, result: &Val<'_>) -> u64 {
        match self {
            Self::ResultSize(factor) => scaled(result.size(), factor),
            Self::ListOutput => allocation(1.0, result.size()),
            _ => 0,
        }
    }
}

fn scaled(size: u64, factor: f64) -> u64 {
    (size as f64 * factor).ceil() as u64
}

fn allocation(factor: f64, size: u64) -> u64 {
    ((size as f64 * factor) as u64).saturating_add(1 + LIST_CREATE)
}

/// A selector is parsed into requirements.
pub(super) fn selector(length: u64) -> u64 {
    let requirements = scaled(length, 0.5);
    let made = scaled(requirements, (LIST_CREATE + STRUCT_CREATE) as f64);
    LIST_CREATE.saturating_add(scaled(length, TRAVERSAL)).saturating_add(made)
}

fn traversal(value: &Val<'_>) -> u64 {
    match value {
        Val::String(text) => (text.len() as f64 * TRAVERSAL) as u64,
        Val::Bytes(bytes) => (bytes.len() as f64 * TRAVERSAL) as u64,
        Val::List(list) => list.iter().map(|item| item.map_or(1, |item| traversal(&item))).sum(),
        Val::Map(map) => map
            .keys()
            .into_iter()
            .map(|key| {
                let value = map.get(&key).and_then(Result::ok);
                traversal(&key.into()) + value.map_or(1, |value| traversal(&value))
            })
            .sum(),
        _ => 1,
    }
}
