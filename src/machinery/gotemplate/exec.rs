//! Runs templates. (Go 1.26: text/template/exec.go)

use serde_json::Value;

use super::Template;
use super::data::{Data, Elements};
use super::functions::{self, Function, Type};
use super::node::{Branch, Command, Node, Number, Operand, Pipe, Term};
use super::parse::Trees;
use super::print::{self, Output};
use crate::machinery::status::quote;

/// Bytes that a template may print.
const OUTPUT_MAX: usize = 4 << 20;
/// Nodes that an execution may visit.
const STEPS_MAX: usize = 1_000_000;
/// Templates within templates. Go allows 100,000; here each takes part of the stack.
const DEPTH_MAX: usize = 100;
/// Iterations over a number.
const RANGE_MAX: i64 = 1_000_000;

/// Runs a template.
pub(super) fn execute(template: &Template, data: &Value) -> Result<String, String> {
    let Template { name, text, options, trees } = template;
    functions::begin_work();
    let dot = Data::from_json(data);
    let mut state = State {
        trees,
        parse_name: name,
        name: name.clone(),
        text,
        requires_keys: options.requires_keys,
        has_sprig: options.has_sprig,
        out: Output::new(OUTPUT_MAX),
        variables: vec![("$".to_owned(), dot.clone())],
        depth: 0,
        steps: 0,
    };
    let root = trees.get(name).map(Vec::as_slice).unwrap_or_default();
    state.walk_all(&dot, root)?;
    state.out.finish().map_err(|error| format!("template: {name}: {error}"))
}

/// What a statement means for the loop around it.
#[derive(Clone, Copy, PartialEq)]
enum Flow {
    Next,
    Break,
    Continue,
}

/// The node where an error belongs.
enum Place<'n> {
    Operand(&'n Operand),
    Command(&'n Command),
    Node(&'n Node),
}

impl Place<'_> {
    /// Its byte.
    fn at(&self) -> usize {
        match self {
            Self::Operand(operand) => operand.at,
            Self::Command(command) => command.at,
            Self::Node(node) => node.at(),
        }
    }
}

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Operand(operand) => operand.fmt(f),
            Self::Command(command) => command.fmt(f),
            Self::Node(node) => node.fmt(f),
        }
    }
}

struct State<'a> {
    trees: &'a Trees,
    /// Name of the text.
    parse_name: &'a str,
    /// Name of the template that runs.
    name: String,
    text: &'a str,
    requires_keys: bool,
    has_sprig: bool,
    out: Output,
    variables: Vec<(String, Data)>,
    depth: usize,
    steps: usize,
}

type Evaluated = Result<Data, String>;

impl State<'_> {
    fn fail<T>(&self, place: &Place<'_>, error: impl std::fmt::Display) -> Result<T, String> {
        let before = self.text.get(..place.at()).unwrap_or(self.text);
        let line = 1 + before.matches('\n').count();
        let column = before.rfind('\n').map_or(before.len(), |at| before.len() - at - 1);
        let (text, name) = (self.parse_name, quote(&self.name));
        Err(format!("template: {text}:{line}:{column}: executing {name} at <{place}>: {error}"))
    }

    fn step(&mut self) -> Result<(), String> {
        self.steps += 1;
        if self.steps > STEPS_MAX {
            return Err(format!("template: {}: the template takes too long", self.parse_name));
        }
        Ok(())
    }

    fn walk_all(&mut self, dot: &Data, nodes: &[Node]) -> Result<Flow, String> {
        for node in nodes {
            let flow = self.walk(dot, node)?;
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    fn walk(&mut self, dot: &Data, node: &Node) -> Result<Flow, String> {
        self.step()?;
        match node {
            Node::Text { text, .. } => self.out.push(text),
            Node::Action { pipe, .. } => {
                // Variables live on until the list ends.
                let value = self.pipe(dot, pipe)?;
                if pipe.variables.is_empty() {
                    self.print(&value);
                }
            }
            Node::If(branch) => return self.walk_condition(dot, branch, false),
            Node::With(branch) => return self.walk_condition(dot, branch, true),
            Node::Range(branch) => return self.walk_range(dot, node, branch),
            Node::Template { name, pipe, .. } => {
                self.walk_template(dot, node, name, pipe.as_ref())?
            }
            Node::Break { .. } => return Ok(Flow::Break),
            Node::Continue { .. } => return Ok(Flow::Continue),
        }
        Ok(Flow::Next)
    }

    fn print(&mut self, value: &Data) {
        if value.is_nil() {
            self.out.push("<no value>");
        } else {
            print::value(&mut self.out, value);
        }
    }

    fn walk_condition(
        &mut self,
        dot: &Data,
        branch: &Branch,
        sets_dot: bool,
    ) -> Result<Flow, String> {
        let mark = self.variables.len();
        let value = self.pipe(dot, &branch.pipe)?;
        let flow = if value.is_true() {
            self.walk_all(if sets_dot { &value } else { dot }, &branch.list)
        } else {
            self.walk_all(dot, branch.otherwise.as_deref().unwrap_or_default())
        };
        self.variables.truncate(mark);
        flow
    }

    fn walk_range(&mut self, dot: &Data, node: &Node, branch: &Branch) -> Result<Flow, String> {
        let mark = self.variables.len();
        let value = self.pipe(dot, &branch.pipe)?;
        let mut entries: Box<dyn Iterator<Item = (Data, Data)>> = match &value {
            Data::List(_, list) => Box::new((0..).map(Data::Int).zip(list.iter().cloned())),
            Data::Map(_, map) => {
                // The map may be changed on the way.
                let map = map.borrow();
                functions::charge(map.len())?;
                let all = map.iter().map(|(key, value)| (Data::Text(key.clone()), value.clone()));
                Box::new(all.collect::<Vec<_>>().into_iter())
            }
            Data::Int(count) | Data::Int64(count) => {
                Box::new((0..(*count).min(RANGE_MAX)).map(|at| (Data::Int(at), Data::Int(at))))
            }
            value if value.is_nil() => Box::new(std::iter::empty()),
            other => {
                let mut shown = Output::new(OUTPUT_MAX);
                print::value(&mut shown, other);
                let shown = shown.finish()?;
                return self.fail(&Place::Node(node), format!("range can't iterate over {shown}"));
            }
        };
        let flow = match entries.next() {
            None => self.walk_all(dot, branch.otherwise.as_deref().unwrap_or_default())?,
            Some(first) => {
                self.iterate(std::iter::once(first).chain(entries), branch)?;
                Flow::Next
            }
        };
        self.variables.truncate(mark);
        Ok(flow)
    }

    fn iterate(
        &mut self,
        entries: impl Iterator<Item = (Data, Data)>,
        branch: &Branch,
    ) -> Result<(), String> {
        let mark = self.variables.len();
        let pipe = &branch.pipe;
        for (key, element) in entries {
            self.step()?;
            let values: &[&Data] = match pipe.variables.len() {
                0 => &[],
                1 => &[&element],
                _ => &[&key, &element],
            };
            for (at, value) in values.iter().enumerate() {
                if pipe.assigns {
                    self.assign(&pipe.variables[at], value);
                } else {
                    let place = mark - values.len() + at;
                    self.variables[place].1 = (*value).clone();
                }
            }
            let flow = self.walk_all(&element, &branch.list)?;
            self.variables.truncate(mark);
            if flow == Flow::Break {
                break;
            }
        }
        Ok(())
    }

    fn walk_template(
        &mut self,
        dot: &Data,
        node: &Node,
        name: &str,
        pipe: Option<&Pipe>,
    ) -> Result<(), String> {
        let Some(nodes) = self.trees.get(name) else {
            let error = format!("template {} not defined", quote(name));
            return self.fail(&Place::Node(node), error);
        };
        if self.depth == DEPTH_MAX {
            let error = format!("exceeded maximum template depth ({DEPTH_MAX})");
            return self.fail(&Place::Node(node), error);
        }
        let dot = match pipe {
            Some(pipe) => self.pipe(dot, pipe)?,
            None => Data::Absent,
        };
        let outer = std::mem::replace(&mut self.variables, vec![("$".to_owned(), dot.clone())]);
        let outer_name = std::mem::replace(&mut self.name, name.to_owned());
        self.depth += 1;
        self.walk_all(&dot, nodes)?;
        self.depth -= 1;
        self.name = outer_name;
        self.variables = outer;
        Ok(())
    }

    fn assign(&mut self, name: &str, value: &Data) {
        let held = self.variables.iter_mut().rev().find(|(held, _)| held == name);
        if let Some((_, held)) = held {
            *held = value.clone();
        }
    }

    fn pipe(&mut self, dot: &Data, pipe: &Pipe) -> Evaluated {
        let mut value = None;
        for command in &pipe.commands {
            let result = self.command(dot, command, value)?;
            // Past a pipeline nil is no value at all.
            value = Some(if result.is_nil() { Data::Absent } else { result });
        }
        let value = value.unwrap_or(Data::Absent);
        for variable in &pipe.variables {
            if pipe.assigns {
                self.assign(variable, &value);
            } else {
                self.variables.push((variable.clone(), value.clone()));
            }
        }
        Ok(value)
    }

    fn command(&mut self, dot: &Data, command: &Command, last: Option<Data>) -> Evaluated {
        self.step()?;
        let Some((first, args)) = command.args.split_first() else { return Ok(Data::Absent) };
        if let Term::Identifier(name) = &first.term {
            return self.call(dot, name, &Place::Command(command), first, args, last);
        }
        if !args.is_empty() || last.is_some() {
            self.refuse_arguments(dot, first)?;
        }
        match &first.term {
            Term::Nil => self.fail(&Place::Operand(first), "nil is not a command"),
            Term::Number(number) => self.constant(first, number),
            _ => self.operand(dot, first),
        }
    }

    /// Values take no arguments.
    fn refuse_arguments(&mut self, dot: &Data, first: &Operand) -> Result<(), String> {
        let place = Place::Operand(first);
        let field = match &first.term {
            Term::Field(names) => names.last(),
            Term::Variable(names) if names.len() > 1 => names.last(),
            Term::Chain(_, names) => names.last(),
            _ => None,
        };
        match field {
            Some(name) => {
                // What is before the field may be at fault first.
                self.operand(dot, first)?;
                self.fail(&place, format!("{name} is not a method but has arguments"))
            }
            None => self.fail(&place, format!("can't give argument to non-function {first}")),
        }
    }

    fn operand(&mut self, dot: &Data, operand: &Operand) -> Evaluated {
        self.step()?;
        match &operand.term {
            Term::Dot => Ok(dot.clone()),
            Term::Nil => Ok(Data::Nil),
            Term::Bool(value) => Ok(Data::Bool(*value)),
            Term::Number(number) => self.constant(operand, number),
            Term::Text(_, text) => Ok(Data::text(text)),
            Term::Field(names) => self.fields(dot.clone(), names, operand),
            Term::Variable(names) => {
                let (name, fields) = match names.split_first() {
                    Some((name, fields)) => (name.as_str(), fields),
                    None => ("", &[][..]),
                };
                let held = self.variables.iter().rev().find(|(held, _)| held == name);
                match held {
                    Some((_, value)) => self.fields(value.clone(), fields, operand),
                    None => {
                        let error = format!("undefined variable: {name}");
                        self.fail(&Place::Operand(operand), error)
                    }
                }
            }
            Term::Identifier(name) => {
                self.call(dot, name, &Place::Operand(operand), operand, &[], None)
            }
            Term::Pipe(pipe) => self.pipe(dot, pipe),
            Term::Chain(inner, names) => {
                let value = self.operand(dot, inner)?;
                self.fields(value, names, operand)
            }
        }
    }

    fn constant(&mut self, operand: &Operand, number: &Number) -> Evaluated {
        let text = &number.text;
        let is_hexadecimal = text.starts_with("0x") || text.starts_with("0X");
        let is_fraction =
            text.contains(['.', 'e', 'E', 'p', 'P']) && !is_hexadecimal && !text.starts_with('\'');
        match (number.integer, number.float) {
            (_, Some(float)) if is_fraction => Ok(Data::Float(float)),
            (Some(integer), _) => Ok(Data::Int(integer)),
            _ => self.fail(&Place::Operand(operand), format!("{text} overflows int")),
        }
    }

    fn fields(&mut self, value: Data, names: &[String], operand: &Operand) -> Evaluated {
        let mut value = value;
        for (depth, name) in names.iter().enumerate() {
            // What comes out of a map has the map's type for Go until a pipeline ends.
            let held = if depth > 0 { "interface {}" } else { value.type_name() };
            value = self.field(value, held, name, operand)?;
        }
        Ok(value)
    }

    fn field(&mut self, value: Data, held: &str, name: &str, operand: &Operand) -> Evaluated {
        let fail = |error: String| self.fail(&Place::Operand(operand), error);
        match &value {
            Data::Absent if self.requires_keys => {
                fail(format!("nil data; no entry for key {}", quote(name)))
            }
            Data::Absent => Ok(Data::Absent),
            Data::Nil => fail(format!("nil pointer evaluating interface {{}}.{name}")),
            Data::Map(_, map) => match map.borrow().get(name) {
                Some(found) => Ok(found.clone()),
                None if self.requires_keys => {
                    fail(format!("map has no entry for key {}", quote(name)))
                }
                None => Ok(Data::Absent),
            },
            Data::Version(version) => match functions::version_member(version, name) {
                Some(member) => Ok(member),
                None => fail(format!("can't evaluate field {name} in type *semver.Version")),
            },
            _ => fail(format!("can't evaluate field {name} in type {held}")),
        }
    }

    fn call(
        &mut self,
        dot: &Data,
        name: &str,
        place: &Place<'_>,
        function_at: &Operand,
        args: &[Operand],
        last: Option<Data>,
    ) -> Evaluated {
        let Some(function) = functions::find(name, self.has_sprig) else {
            let error = format!("{} is not a defined function", quote(name));
            return self.fail(&Place::Operand(function_at), error);
        };
        let count = args.len() + usize::from(last.is_some());
        let wanted = function.params.len();
        let is_wrong = if function.rest.is_some() { count < wanted } else { count != wanted };
        if is_wrong {
            let (least, got) = match function.rest {
                Some(_) => ("at least ", args.len()),
                None => ("", count),
            };
            let error = format!("wrong number of args for {name}: want {least}{wanted} got {got}");
            return self.fail(&Place::Operand(function_at), error);
        }
        if matches!(name, "and" | "or") {
            return self.logic(dot, name == "or", args, last);
        }
        let mut given = Vec::with_capacity(count);
        for (at, arg) in args.iter().enumerate() {
            given.push(self.argument(dot, param(function, at), arg)?);
        }
        if let Some(last) = last {
            let type_ = param(function, given.len());
            let place = args.last().map_or_else(|| Place::Operand(function_at), Place::Operand);
            given.push(self.checked(last, type_, &place)?);
        }
        functions::call(function, &given)
            .or_else(|error| self.fail(place, format!("error calling {name}: {error}")))
    }

    /// `and` and `or` stop at the argument that decides.
    fn logic(
        &mut self,
        dot: &Data,
        is_or: bool,
        args: &[Operand],
        last: Option<Data>,
    ) -> Evaluated {
        let mut value = Data::Nil;
        for arg in args {
            value = self.argument(dot, Type::Any, arg)?;
            if value.is_true() == is_or {
                return Ok(value);
            }
        }
        Ok(last.unwrap_or(value))
    }

    fn argument(&mut self, dot: &Data, type_: Type, arg: &Operand) -> Evaluated {
        let place = Place::Operand(arg);
        let expected = |what: &str| format!("expected {what}; found {arg}");
        match (&arg.term, type_) {
            (Term::Nil, Type::Any | Type::Dict) => Ok(nil_of(type_)),
            (Term::Nil, _) => self.fail(&place, format!("cannot assign nil to {}", type_.name())),
            (Term::Number(number), Type::Int) => match number.integer {
                Some(integer) => Ok(Data::Int(integer)),
                None => self.fail(&place, expected("integer")),
            },
            (Term::Number(number), Type::Float) => match number.float {
                Some(float) => Ok(Data::Float(float)),
                None => self.fail(&place, expected("float")),
            },
            (Term::Number(_) | Term::Bool(_), Type::Text) => self.fail(&place, expected("string")),
            (Term::Bool(_) | Term::Text(..), Type::Int) => self.fail(&place, expected("integer")),
            (Term::Bool(_) | Term::Text(..), Type::Float) => self.fail(&place, expected("float")),
            (Term::Number(_) | Term::Text(..), Type::Bool) => self.fail(&place, expected("bool")),
            (Term::Number(_) | Term::Bool(_) | Term::Text(..), Type::Dict) => {
                let error = format!("can't handle {arg} for arg of type {}", type_.name());
                self.fail(&place, error)
            }
            _ => {
                let value = self.operand(dot, arg)?;
                self.checked(value, type_, &place)
            }
        }
    }

    /// A value as an argument of a type.
    fn checked(&mut self, value: Data, type_: Type, place: &Place<'_>) -> Evaluated {
        if type_.takes(&value) {
            return Ok(if value.is_nil() { Data::Nil } else { value });
        }
        match &value {
            Data::Absent if type_ == Type::Dict => Ok(nil_of(type_)),
            Data::Absent => self.fail(place, format!("invalid value; expected {}", type_.name())),
            other => {
                let got = other.type_name();
                let wanted = type_.name();
                self.fail(place, format!("wrong type for value; expected {wanted}; got {got}"))
            }
        }
    }
}

/// Type of a function's parameter.
fn param(function: &Function, at: usize) -> Type {
    function.params.get(at).copied().or(function.rest).unwrap_or(Type::Any)
}

/// nil as an argument; of a dictionary, one that is empty.
fn nil_of(type_: Type) -> Data {
    match type_ {
        Type::Dict => Data::Map(Elements::Any, std::rc::Rc::default()),
        _ => Data::Nil,
    }
}
