//! Static types, how they are shown, and how they unify (cel-go: checker/types.go).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The static type of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    /// What has been reported already; agrees with everything.
    Error,
    /// Known at run time only.
    Dyn,
    /// `null_type`.
    Null,
    /// `bool`.
    Bool,
    /// `int`, 64 bits.
    Int,
    /// `uint`, 64 bits.
    Uint,
    /// `double`.
    Double,
    /// `string`.
    String,
    /// `bytes`.
    Bytes,
    /// `duration`.
    Duration,
    /// `timestamp`.
    Timestamp,
    /// `list(T)`.
    List(Arc<Type>),
    /// `map(K, V)`.
    Map(Arc<(Type, Type)>),
    /// An object with declared fields; identified by its name.
    Struct(Arc<StructType>),
    /// `optional_type(T)`, `net.IP` and `net.CIDR`.
    Opaque(&'static str, Vec<Type>),
    /// The type of a type.
    Type(Option<Arc<Type>>),
    /// A type parameter, by number.
    Param(u32),
}

/// An object type.
#[derive(Debug)]
pub struct StructType {
    /// Name, unique in an environment.
    pub name: Arc<str>,
    /// Fields by (escaped) name.
    pub fields: BTreeMap<Box<str>, Type>,
}

impl PartialEq for StructType {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}
impl Eq for StructType {}

const OPTIONAL: &str = "optional_type";

impl Type {
    /// `list(items)`.
    pub fn list(items: Type) -> Self {
        Self::List(Arc::new(items))
    }

    /// `map(keys, values)`.
    pub fn map(keys: Type, values: Type) -> Self {
        Self::Map(Arc::new((keys, values)))
    }

    /// `optional_type(value)`.
    pub fn optional(value: Type) -> Self {
        Self::Opaque(OPTIONAL, vec![value])
    }

    /// An object type with fields.
    pub fn object<'f>(name: &str, fields: impl IntoIterator<Item = (&'f str, Type)>) -> Self {
        let fields = fields.into_iter().map(|(field, kind)| (field.into(), kind)).collect();
        Self::Struct(Arc::new(StructType { name: name.into(), fields }))
    }

    /// The value type, if this is an optional.
    pub(super) fn optional_value(&self) -> Option<&Type> {
        match self {
            Self::Opaque(OPTIONAL, parameters) => parameters.first(),
            _ => None,
        }
    }

    pub(super) fn is_dyn_or_error(&self) -> bool {
        matches!(self, Self::Dyn | Self::Error)
    }

    /// Values of the type may be null (cel-go: isLegacyNullable).
    fn is_nullable(&self) -> bool {
        matches!(
            self,
            Self::Null | Self::Opaque(..) | Self::Struct(_) | Self::Duration | Self::Timestamp
        )
    }

    fn parameters(&self) -> Vec<&Type> {
        match self {
            Self::List(items) => vec![items],
            Self::Map(pair) => vec![&pair.0, &pair.1],
            Self::Opaque(_, parameters) => parameters.iter().collect(),
            Self::Type(Some(parameter)) => vec![parameter],
            _ => Vec::new(),
        }
    }
}

impl fmt::Display for Type {
    /// As errors show it (cel-go: checker/format.go).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error => f.write_str("!error!"),
            Self::Dyn => f.write_str("dyn"),
            Self::Null => f.write_str("null"),
            Self::Bool => f.write_str("bool"),
            Self::Int => f.write_str("int"),
            Self::Uint => f.write_str("uint"),
            Self::Double => f.write_str("double"),
            Self::String => f.write_str("string"),
            Self::Bytes => f.write_str("bytes"),
            Self::Duration => f.write_str("duration"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::List(items) => write!(f, "list({items})"),
            Self::Map(pair) => write!(f, "map({}, {})", pair.0, pair.1),
            Self::Struct(object) => f.write_str(&object.name),
            Self::Opaque(name, parameters) if parameters.is_empty() => f.write_str(name),
            Self::Opaque(name, parameters) => {
                let shown: Vec<String> = parameters.iter().map(ToString::to_string).collect();
                write!(f, "{name}({})", shown.join(", "))
            }
            Self::Type(None) => f.write_str("type"),
            Self::Type(Some(parameter)) => write!(f, "type({parameter})"),
            Self::Param(number) => write!(f, "_var{number}"),
        }
    }
}

/// What is known of type parameters.
#[derive(Clone, Debug, Default)]
pub(super) struct Mapping {
    known: Vec<Option<Type>>,
}

impl Mapping {
    /// A new parameter that nothing is known of.
    pub(super) fn fresh(&mut self) -> Type {
        self.fresh_many(1);
        Type::Param(self.known.len() as u32 - 1)
    }

    /// Adds parameters; the number of the first.
    pub(super) fn fresh_many(&mut self, count: u32) -> u32 {
        let first = self.known.len();
        self.known.resize(first + count as usize, None);
        first as u32
    }

    fn find(&self, parameter: &Type) -> Option<&Type> {
        match parameter {
            Type::Param(number) => self.known.get(*number as usize)?.as_ref(),
            _ => None,
        }
    }

    fn add(&mut self, parameter: &Type, known: Type) {
        if let Type::Param(number) = parameter
            && let Some(slot) = self.known.get_mut(*number as usize)
        {
            *slot = Some(known);
        }
    }

    /// Whether every right type can be given where its left one is wanted; remembers what that
    /// says of parameters.
    pub(super) fn assign_all(&mut self, wanted: &[Type], given: &[Type]) -> bool {
        let before = self.known.clone();
        let agrees = wanted.len() == given.len()
            && wanted.iter().zip(given).all(|(wanted, given)| self.agree(wanted, given));
        if !agrees {
            self.known = before;
        }
        agrees
    }

    /// Whether the types agree; remembers what that says of parameters.
    pub(super) fn assign(&mut self, first: &Type, second: &Type) -> bool {
        let before = self.known.clone();
        let agrees = self.agree(first, second);
        if !agrees {
            self.known = before;
        }
        agrees
    }

    fn agree(&mut self, first: &Type, second: &Type) -> bool {
        if matches!(second, Type::Param(_)) {
            let (valid, known) = self.substitutes(first, second);
            if valid || known {
                return valid;
            }
        }
        if matches!(first, Type::Param(_)) {
            return self.substitutes(second, first).0;
        }
        if first.is_dyn_or_error() || second.is_dyn_or_error() {
            return true;
        }
        if *first == Type::Null || *second == Type::Null {
            return first.is_nullable() && second.is_nullable();
        }
        match (first, second) {
            (Type::List(first), Type::List(second)) => self.agree(first, second),
            (Type::Map(first), Type::Map(second)) => {
                self.agree(&first.0, &second.0) && self.agree(&first.1, &second.1)
            }
            (Type::Opaque(first, ours), Type::Opaque(second, theirs)) => {
                first == second
                    && ours.len() == theirs.len()
                    && ours.iter().zip(theirs).all(|(first, second)| self.agree(first, second))
            }
            (Type::Type(_), Type::Type(_)) => true,
            (first, second) => first == second,
        }
    }

    /// Whether `kind` can stand for the parameter, and whether the parameter was known before.
    fn substitutes(&mut self, kind: &Type, parameter: &Type) -> (bool, bool) {
        if kind == parameter {
            return (true, true);
        }
        if let Some(known) = self.find(parameter).cloned() {
            if *kind == known {
                return (true, true);
            }
            if !self.agree(kind, &known) {
                return (false, true);
            }
            let general = most_general(kind, &known);
            if self.is_free_of(parameter, &general) {
                self.add(parameter, general);
            }
            return (true, true);
        }
        if self.is_free_of(parameter, kind) {
            self.add(parameter, kind.clone());
            return (true, false);
        }
        (false, false)
    }

    /// Whether the parameter does not occur in the type.
    fn is_free_of(&self, parameter: &Type, within: &Type) -> bool {
        if parameter == within {
            return false;
        }
        if let Type::Param(_) = within {
            return self.find(within).is_none_or(|known| self.is_free_of(parameter, known));
        }
        within.parameters().into_iter().all(|inner| self.is_free_of(parameter, inner))
    }

    /// The type with parameters replaced by what is known; unknown ones by `dyn` if `close`.
    pub(super) fn substitute(&self, kind: &Type, close: bool) -> Type {
        if let Some(known) = self.find(kind) {
            return self.substitute(known, close);
        }
        match kind {
            Type::Param(_) if close => Type::Dyn,
            Type::List(items) => Type::list(self.substitute(items, close)),
            Type::Map(pair) => {
                Type::map(self.substitute(&pair.0, close), self.substitute(&pair.1, close))
            }
            Type::Opaque(name, parameters) => {
                let parameters = parameters.iter().map(|one| self.substitute(one, close));
                Type::Opaque(name, parameters.collect())
            }
            Type::Type(Some(parameter)) => {
                Type::Type(Some(Arc::new(self.substitute(parameter, close))))
            }
            other => other.clone(),
        }
    }
}

/// The type with parameters counted from `base`.
pub(super) fn instantiate(kind: &Type, base: u32) -> Type {
    match kind {
        Type::Param(number) => Type::Param(base + number),
        Type::List(items) => Type::list(instantiate(items, base)),
        Type::Map(pair) => Type::map(instantiate(&pair.0, base), instantiate(&pair.1, base)),
        Type::Opaque(name, parameters) => {
            Type::Opaque(name, parameters.iter().map(|one| instantiate(one, base)).collect())
        }
        Type::Type(Some(parameter)) => Type::Type(Some(Arc::new(instantiate(parameter, base)))),
        other => other.clone(),
    }
}

/// The more general of two types that agree.
pub(super) fn most_general(first: &Type, second: &Type) -> Type {
    if is_equal_or_less_specific(first, second) { first.clone() } else { second.clone() }
}

fn is_equal_or_less_specific(first: &Type, second: &Type) -> bool {
    if matches!(first, Type::Dyn | Type::Param(_)) {
        return true;
    }
    if matches!(second, Type::Dyn | Type::Param(_)) {
        return false;
    }
    match (first, second) {
        (Type::List(first), Type::List(second)) => is_equal_or_less_specific(first, second),
        (Type::Map(first), Type::Map(second)) => {
            is_equal_or_less_specific(&first.0, &second.0)
                && is_equal_or_less_specific(&first.1, &second.1)
        }
        (Type::Opaque(first, ours), Type::Opaque(second, theirs)) => {
            first == second
                && ours.len() == theirs.len()
                && ours.iter().zip(theirs).all(|(a, b)| is_equal_or_less_specific(a, b))
        }
        (Type::Type(_), Type::Type(_)) => true,
        (first, second) => first == second,
    }
}
