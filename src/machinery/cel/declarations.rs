//! The functions of Kubernetes 1.36's CEL environment with their overloads (kubernetes 1.36:
//! apiserver/pkg/cel/environment/base.go, apiserver/pkg/cel/library; cel-go: common/stdlib, ext).

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use super::types::{StructType, Type};

/// One signature of a function.
#[derive(Debug)]
pub(super) struct Overload {
    pub(super) id: &'static str,
    pub(super) member: bool,
    /// The receiver of a member function comes first.
    pub(super) args: Vec<Type>,
    pub(super) result: Type,
    /// Number of type parameters.
    pub(super) parameters: u32,
}

/// All overloads of a function, or `None` if there is no such function.
pub(super) fn function(name: &str) -> Option<(&'static str, &'static [Overload])> {
    FUNCTIONS.get_key_value(name).map(|(name, overloads)| (*name, overloads.as_slice()))
}

/// A type that can be written as an identifier, e.g. `int`.
pub(super) fn type_name(name: &str) -> Option<Type> {
    Some(match name {
        "bool" => Type::Bool,
        "bytes" => Type::Bytes,
        "double" => Type::Double,
        "duration" | "google.protobuf.Duration" => Type::Duration,
        "int" => Type::Int,
        "list" => Type::list(Type::Dyn),
        "map" => Type::map(Type::Dyn, Type::Dyn),
        "null_type" => Type::Null,
        "optional_type" => Type::optional(Type::Dyn),
        "string" => Type::String,
        "timestamp" | "google.protobuf.Timestamp" => Type::Timestamp,
        "type" => Type::Type(None),
        "uint" => Type::Uint,
        _ => return library_type(name),
    })
}

fn library_type(name: &str) -> Option<Type> {
    if let Some(opaque) = ["net.IP", "net.CIDR"].into_iter().find(|opaque| *opaque == name) {
        return Some(Type::Opaque(opaque, Vec::new()));
    }
    LIBRARY_TYPES.get(name).cloned()
}

const STRUCTS: [&str; 9] = [
    "kubernetes.Quantity",
    "kubernetes.URL",
    "kubernetes.Semver",
    "kubernetes.NamedFormat",
    "kubernetes.authorization.Authorizer",
    "kubernetes.authorization.PathCheck",
    "kubernetes.authorization.GroupCheck",
    "kubernetes.authorization.ResourceCheck",
    "kubernetes.authorization.Decision",
];

static LIBRARY_TYPES: LazyLock<HashMap<&'static str, Type>> = LazyLock::new(|| {
    let object = |name: &'static str| StructType { name: name.into(), fields: Default::default() };
    STRUCTS.iter().map(|name| (*name, Type::Struct(Arc::new(object(name))))).collect()
});

static FUNCTIONS: LazyLock<HashMap<&'static str, Vec<Overload>>> = LazyLock::new(|| {
    let mut functions: HashMap<&'static str, Vec<Overload>> = HashMap::new();
    for line in DECLARATIONS.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let mut words = line.split_whitespace();
        let (Some(id), Some(name), Some(style)) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        let mut parameters = 0;
        let mut types: Vec<Type> = words.map(|word| parse(word, &mut parameters)).collect();
        let Some(result) = types.pop() else { continue };
        let overload = Overload { id, member: style == "m", args: types, result, parameters };
        functions.entry(name).or_default().push(overload);
    }
    functions
});

/// Reads `list(map(A,int))`; single capital letters are type parameters.
fn parse(text: &'static str, parameters: &mut u32) -> Type {
    let Some((name, inner)) = text.split_once('(') else {
        return match text.as_bytes() {
            [letter @ b'A'..=b'Z'] => {
                let number = u32::from(letter - b'A');
                *parameters = (*parameters).max(number + 1);
                Type::Param(number)
            }
            _ if text == "dyn" => Type::Dyn,
            _ => short_name(text),
        };
    };
    let inner = inner.strip_suffix(')').unwrap_or(inner);
    match name {
        "list" => Type::list(parse(inner, parameters)),
        "optional" => Type::optional(parse(inner, parameters)),
        "type" => Type::Type(Some(Arc::new(parse(inner, parameters)))),
        _ => {
            let (key, value) = inner.split_once(',').unwrap_or((inner, "dyn"));
            Type::map(parse(key, parameters), parse(value, parameters))
        }
    }
}

fn short_name(text: &str) -> Type {
    let full = match text {
        "IP" => "net.IP",
        "CIDR" => "net.CIDR",
        "Quantity" => "kubernetes.Quantity",
        "URL" => "kubernetes.URL",
        "Semver" => "kubernetes.Semver",
        "Format" => "kubernetes.NamedFormat",
        "Authorizer" => "kubernetes.authorization.Authorizer",
        "PathCheck" => "kubernetes.authorization.PathCheck",
        "GroupCheck" => "kubernetes.authorization.GroupCheck",
        "ResourceCheck" => "kubernetes.authorization.ResourceCheck",
        "Decision" => "kubernetes.authorization.Decision",
        other => other,
    };
    type_name(full).unwrap_or(Type::Error)
}

/// Overload, function, `g`lobal or `m`ember, types of arguments, type of the result.
const DECLARATIONS: &str = include_str!("declarations.txt");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_declaration_names_known_types() {
        for (name, overloads) in FUNCTIONS.iter() {
            for overload in overloads {
                let types = overload.args.iter().chain([&overload.result]);
                for kind in types {
                    let shown = kind.to_string();
                    assert!(!shown.contains("!error!"), "{name}: {} has {shown}", overload.id);
                }
            }
        }
        assert!(FUNCTIONS.len() > 100);
    }
}
