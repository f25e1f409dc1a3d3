//! Expressions as parsed: the shapes of cel-go's syntax tree, with macros expanded.

use super::value::Val;

/// Number of an expression; types and overloads are kept beside the tree under it.
pub(super) type Id = u32;

/// One expression.
#[derive(Clone, Debug)]
pub(super) struct Expr {
    pub(super) id: Id,
    /// Offset of the token that errors point at, in code points.
    pub(super) at: u32,
    pub(super) kind: Kind,
}

/// What an expression is.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Literal(Val<'static>),
    Ident(String),
    Select {
        operand: Box<Expr>,
        field: String,
        test_only: bool,
    },
    Call {
        function: String,
        target: Option<Box<Expr>>,
        args: Vec<Expr>,
    },
    List {
        elements: Vec<Element>,
    },
    Map {
        entries: Vec<Entry>,
    },
    /// A message; the environment has no types of messages. Values only.
    Struct {
        name: String,
        fields: Vec<Expr>,
    },
    Comprehension(Box<Comprehension>),
}

/// An item of a list literal.
#[derive(Clone, Debug)]
pub(super) struct Element {
    pub(super) value: Expr,
    /// Written `?value`.
    pub(super) optional: bool,
}

/// An entry of a map literal.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: Expr,
    pub(super) value: Expr,
    pub(super) optional: bool,
}

/// A fold over a list or a map, which is what macros become.
#[derive(Clone, Debug)]
pub(super) struct Comprehension {
    pub(super) range: Expr,
    pub(super) variable: String,
    pub(super) variable2: Option<String>,
    pub(super) accumulator: String,
    pub(super) init: Expr,
    pub(super) condition: Expr,
    pub(super) step: Expr,
    pub(super) result: Expr,
}

/// The accumulator's name; it cannot be written in source.
pub(super) const ACCUMULATOR: &str = "@result";

/// Names of operators as functions.
pub(super) mod operator {
    pub(in super::super) const AND: &str = "_&&_";
    pub(in super::super) const OR: &str = "_||_";
    pub(in super::super) const NOT: &str = "!_";
    pub(in super::super) const NEGATE: &str = "-_";
    pub(in super::super) const CONDITIONAL: &str = "_?_:_";
    pub(in super::super) const INDEX: &str = "_[_]";
    pub(in super::super) const OPTIONAL_INDEX: &str = "_[?_]";
    pub(in super::super) const OPTIONAL_SELECT: &str = "_?._";
    pub(in super::super) const EQUALS: &str = "_==_";
    pub(in super::super) const NOT_EQUALS: &str = "_!=_";
    pub(in super::super) const IN: &str = "@in";
    pub(in super::super) const ADD: &str = "_+_";
    pub(in super::super) const NOT_STRICTLY_FALSE: &str = "@not_strictly_false";
}

impl Expr {
    /// Direct parts of the expression, in order of evaluation.
    pub(super) fn children(&self) -> Vec<&Expr> {
        match &self.kind {
            Kind::Literal(_) | Kind::Ident(_) => Vec::new(),
            Kind::Select { operand, .. } => vec![operand],
            Kind::Call { target, args, .. } => target.as_deref().into_iter().chain(args).collect(),
            Kind::List { elements } => elements.iter().map(|element| &element.value).collect(),
            Kind::Map { entries } => {
                entries.iter().flat_map(|entry| [&entry.key, &entry.value]).collect()
            }
            Kind::Struct { fields, .. } => fields.iter().collect(),
            Kind::Comprehension(fold) => {
                vec![&fold.range, &fold.init, &fold.condition, &fold.step, &fold.result]
            }
        }
    }
}
