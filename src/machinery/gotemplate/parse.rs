//! Tokens to syntax trees. (Go 1.26: text/template/parse/parse.go)

use std::collections::BTreeMap;

use super::functions;
use super::lex::{Keyword, Kind, Lexer, Token};
use super::literals;
use super::node::{Branch, Command, Node, Number, Operand, Pipe, Term};
use crate::machinery::status::quote;

/// Deepest nesting of control structures and parentheses; a bound of our own.
const DEPTH_MAX: usize = 100;

/// The templates of a text: its own and those that it defines, by name.
pub(super) type Trees = BTreeMap<String, Vec<Node>>;

/// Parses a text. The error is Go's. Without sprig only Go's own functions are known.
pub(super) fn parse(name: &str, text: &str, has_sprig: bool) -> Result<Trees, String> {
    let mut parser = Parser {
        name,
        has_sprig,
        lexer: Lexer::new(text),
        tokens: Vec::new(),
        last_line: 1,
        action_line: 0,
        variables: vec!["$".to_owned()],
        range_depth: 0,
        depth: 0,
        trees: Trees::new(),
    };
    let root = parser.top()?;
    parser.add(name.to_owned(), root)?;
    Ok(parser.trees)
}

/// How a list of statements ended.
#[derive(PartialEq)]
enum Ending {
    End,
    Else,
}

/// A statement or the end of a list.
enum Item {
    Node(Node),
    Ending(Ending),
}

struct Parser<'a> {
    name: &'a str,
    has_sprig: bool,
    lexer: Lexer<'a>,
    /// Tokens that were taken back, the next one last.
    tokens: Vec<Token>,
    /// Line of the newest token that was read.
    last_line: usize,
    /// Where the current action began, 0 outside.
    action_line: usize,
    variables: Vec<String>,
    range_depth: usize,
    depth: usize,
    trees: Trees,
}

impl Parser<'_> {
    fn error<T>(&self, text: impl std::fmt::Display) -> Result<T, String> {
        Err(format!("template: {}:{}: {text}", self.name, self.last_line))
    }

    fn unexpected<T>(&self, token: &Token, context: &str) -> Result<T, String> {
        if token.kind != Kind::Error {
            return self.error(format!("unexpected {token} in {context}"));
        }
        let mut extra = String::new();
        if self.action_line != 0 && self.action_line != token.line {
            extra = format!(" in action started at {}:{}", self.name, self.action_line);
            if token.text.ends_with(" action") {
                extra = extra[" in action".len()..].to_owned();
            }
        }
        self.error(format!("{token}{extra}"))
    }

    fn next(&mut self) -> Token {
        if let Some(token) = self.tokens.pop() {
            return token;
        }
        let token = self.lexer.next_token();
        self.last_line = token.line;
        token
    }

    fn back(&mut self, token: Token) {
        self.tokens.push(token);
    }

    fn peek(&mut self) -> Token {
        let token = self.next();
        self.back(token.clone());
        token
    }

    fn next_non_space(&mut self) -> Token {
        loop {
            let token = self.next();
            if token.kind != Kind::Space {
                return token;
            }
        }
    }

    fn peek_non_space(&mut self) -> Token {
        let token = self.next_non_space();
        self.back(token.clone());
        token
    }

    fn expect(&mut self, kind: Kind, context: &str) -> Result<Token, String> {
        let token = self.next_non_space();
        if token.kind == kind { Ok(token) } else { self.unexpected(&token, context) }
    }

    fn deeper(&mut self) -> Result<(), String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return self.error("the template is nested too deeply");
        }
        Ok(())
    }

    /// Adds a template; an empty one never replaces another.
    fn add(&mut self, name: String, nodes: Vec<Node>) -> Result<(), String> {
        let is_new = self.trees.get(&name).is_none_or(|held| is_empty(held));
        if is_new {
            self.trees.insert(name, nodes);
        } else if !is_empty(&nodes) {
            let name = quote(&name);
            return self.error(format!("template: multiple definition of template {name}"));
        }
        Ok(())
    }

    fn top(&mut self) -> Result<Vec<Node>, String> {
        let mut nodes = Vec::new();
        loop {
            let token = self.peek();
            match token.kind {
                Kind::End => return Ok(nodes),
                Kind::LeftDelim => {
                    let delim = self.next();
                    let word = self.next_non_space();
                    if word.kind == Kind::Keyword(Keyword::Define) {
                        self.definition()?;
                        continue;
                    }
                    self.back(word);
                    self.back(delim);
                }
                _ => {}
            }
            match self.text_or_action()? {
                Item::Node(node) => nodes.push(node),
                Item::Ending(Ending::End) => return self.error("unexpected {{end}}"),
                Item::Ending(Ending::Else) => return self.error("unexpected {{else}}"),
            }
        }
    }

    fn definition(&mut self) -> Result<(), String> {
        let context = "define clause";
        let token = self.next_non_space();
        let name = self.template_name(&token, context)?;
        self.expect(Kind::RightDelim, context)?;
        let nodes = self.scoped(|parser| {
            let (nodes, ending) = parser.list()?;
            if ending != Ending::End {
                return parser.error(format!("unexpected {{{{else}}}} in {context}"));
            }
            Ok(nodes)
        })?;
        self.add(name, nodes)
    }

    /// Parses the body of another template: variables and loops outside do not count.
    fn scoped(
        &mut self,
        body: impl FnOnce(&mut Self) -> Result<Vec<Node>, String>,
    ) -> Result<Vec<Node>, String> {
        let variables = std::mem::replace(&mut self.variables, vec!["$".to_owned()]);
        let range_depth = std::mem::take(&mut self.range_depth);
        self.deeper()?;
        let nodes = body(self)?;
        self.depth -= 1;
        self.variables = variables;
        self.range_depth = range_depth;
        Ok(nodes)
    }

    fn list(&mut self) -> Result<(Vec<Node>, Ending), String> {
        let mut nodes = Vec::new();
        while self.peek_non_space().kind != Kind::End {
            match self.text_or_action()? {
                Item::Node(node) => nodes.push(node),
                Item::Ending(ending) => return Ok((nodes, ending)),
            }
        }
        self.error("unexpected EOF")
    }

    fn text_or_action(&mut self) -> Result<Item, String> {
        let token = self.next_non_space();
        match token.kind {
            Kind::Text => Ok(Item::Node(Node::Text { at: token.at, text: token.text })),
            Kind::LeftDelim => {
                self.action_line = token.line;
                let item = self.action();
                self.action_line = 0;
                item
            }
            _ => self.unexpected(&token, "input"),
        }
    }

    fn action(&mut self) -> Result<Item, String> {
        let token = self.next_non_space();
        let node = match token.kind {
            Kind::Keyword(Keyword::Block) => self.block()?,
            Kind::Keyword(Keyword::Break) => {
                self.leave_loop("break")?;
                Node::Break { at: token.at }
            }
            Kind::Keyword(Keyword::Continue) => {
                self.leave_loop("continue")?;
                Node::Continue { at: token.at }
            }
            Kind::Keyword(Keyword::Else) => {
                let next = self.peek_non_space();
                let is_chained =
                    [Keyword::If, Keyword::With].map(Kind::Keyword).contains(&next.kind);
                if !is_chained {
                    self.expect(Kind::RightDelim, "else")?;
                }
                return Ok(Item::Ending(Ending::Else));
            }
            Kind::Keyword(Keyword::End) => {
                self.expect(Kind::RightDelim, "end")?;
                return Ok(Item::Ending(Ending::End));
            }
            Kind::Keyword(Keyword::If) => Node::If(self.control("if")?),
            Kind::Keyword(Keyword::Range) => Node::Range(self.control("range")?),
            Kind::Keyword(Keyword::With) => Node::With(self.control("with")?),
            Kind::Keyword(Keyword::Template) => self.template()?,
            _ => {
                self.back(token);
                let at = self.peek().at;
                Node::Action { at, pipe: self.pipeline("command", Kind::RightDelim)? }
            }
        };
        Ok(Item::Node(node))
    }

    fn leave_loop(&mut self, word: &str) -> Result<(), String> {
        let token = self.next_non_space();
        if token.kind != Kind::RightDelim {
            return self.unexpected(&token, &format!("{{{{{word}}}}}"));
        }
        if self.range_depth == 0 {
            return self.error(format!("{{{{{word}}}}} outside {{{{range}}}}"));
        }
        Ok(())
    }

    fn control(&mut self, context: &str) -> Result<Box<Branch>, String> {
        self.deeper()?;
        let mark = self.variables.len();
        let pipe = self.pipeline(context, Kind::RightDelim)?;
        if context == "range" {
            self.range_depth += 1;
        }
        let (list, ending) = self.list()?;
        if context == "range" {
            self.range_depth -= 1;
        }
        let mut otherwise = None;
        if ending == Ending::Else {
            // `{{else if}}` holds an `if` of its own, for which one `{{end}}` serves both.
            let chained = matches!(
                (context, self.peek().kind),
                ("if", Kind::Keyword(Keyword::If)) | ("with", Kind::Keyword(Keyword::With))
            );
            if chained {
                self.next();
                let branch = self.control(context)?;
                let node = if context == "if" { Node::If(branch) } else { Node::With(branch) };
                otherwise = Some(vec![node]);
            } else {
                let (nodes, ending) = self.list()?;
                if ending != Ending::End {
                    return self.error("expected end; found {{else}}");
                }
                otherwise = Some(nodes);
            }
        }
        self.variables.truncate(mark);
        self.depth -= 1;
        Ok(Box::new(Branch { at: pipe.at, pipe, list, otherwise }))
    }

    fn block(&mut self) -> Result<Node, String> {
        let context = "block clause";
        let token = self.next_non_space();
        let name = self.template_name(&token, context)?;
        let pipe = self.pipeline(context, Kind::RightDelim)?;
        let nodes = self.scoped(|parser| {
            let (nodes, ending) = parser.list()?;
            if ending != Ending::End {
                return parser.error(format!("unexpected {{{{else}}}} in {context}"));
            }
            Ok(nodes)
        })?;
        self.add(name.clone(), nodes)?;
        Ok(Node::Template { at: token.at, name, pipe: Some(pipe) })
    }

    fn template(&mut self) -> Result<Node, String> {
        let context = "template clause";
        let token = self.next_non_space();
        let name = self.template_name(&token, context)?;
        let next = self.next_non_space();
        let mut pipe = None;
        if next.kind != Kind::RightDelim {
            self.back(next);
            pipe = Some(self.pipeline(context, Kind::RightDelim)?);
        }
        Ok(Node::Template { at: token.at, name, pipe })
    }

    fn template_name(&mut self, token: &Token, context: &str) -> Result<String, String> {
        match token.kind {
            Kind::String | Kind::RawString => self.unquote(token),
            _ => self.unexpected(token, context),
        }
    }

    fn unquote(&self, token: &Token) -> Result<String, String> {
        literals::unquote(&token.text).map_or_else(|| self.error("invalid syntax"), Ok)
    }

    fn pipeline(&mut self, context: &str, end: Kind) -> Result<Pipe, String> {
        self.deeper()?;
        let mut pipe = Pipe { at: self.peek_non_space().at, ..Pipe::default() };
        self.declarations(&mut pipe, context)?;
        loop {
            let token = self.next_non_space();
            match token.kind {
                kind if kind == end => {
                    self.check_pipeline(&pipe, context)?;
                    self.depth -= 1;
                    return Ok(pipe);
                }
                Kind::Bool
                | Kind::CharConstant
                | Kind::Dot
                | Kind::Field
                | Kind::Identifier
                | Kind::Number
                | Kind::Nil
                | Kind::RawString
                | Kind::String
                | Kind::Variable
                | Kind::LeftParen => {
                    self.back(token);
                    let command = self.command()?;
                    pipe.commands.push(command);
                }
                _ => return self.unexpected(&token, context),
            }
        }
    }

    fn declarations(&mut self, pipe: &mut Pipe, context: &str) -> Result<(), String> {
        loop {
            let variable = self.peek_non_space();
            if variable.kind != Kind::Variable {
                return Ok(());
            }
            self.next_non_space();
            let after = self.next();
            let next =
                if after.kind == Kind::Space { self.peek_non_space() } else { after.clone() };
            let is_comma = next.kind == Kind::Char && next.text == ",";
            if !is_comma && !matches!(next.kind, Kind::Assign | Kind::Declare) {
                self.back(after);
                self.back(variable);
                return Ok(());
            }
            if after.kind == Kind::Space {
                self.next_non_space();
            }
            pipe.variables.push(variable.text.clone());
            self.variables.push(variable.text);
            if !is_comma {
                pipe.assigns = next.kind == Kind::Assign;
                return Ok(());
            }
            if context != "range" || pipe.variables.len() >= 2 {
                return self.error(format!("too many declarations in {context}"));
            }
            let token = self.peek_non_space();
            if !matches!(token.kind, Kind::Variable | Kind::RightDelim | Kind::RightParen) {
                return self.error("range can only initialize variables");
            }
        }
    }

    fn check_pipeline(&self, pipe: &Pipe, context: &str) -> Result<(), String> {
        if pipe.commands.is_empty() {
            return self.error(format!("missing value for {context}"));
        }
        for (index, command) in pipe.commands.iter().enumerate().skip(1) {
            let first = command.args.first().map(|operand| &operand.term);
            if let Some(Term::Bool(_) | Term::Dot | Term::Nil | Term::Number(_) | Term::Text(..)) =
                first
            {
                let stage = index + 1;
                return self.error(format!("non executable command in pipeline stage {stage}"));
            }
        }
        Ok(())
    }

    fn command(&mut self) -> Result<Command, String> {
        let mut command = Command { at: self.peek_non_space().at, args: Vec::new() };
        loop {
            self.peek_non_space();
            command.args.extend(self.operand()?);
            let token = self.next();
            match token.kind {
                Kind::Space => {}
                Kind::RightDelim | Kind::RightParen => {
                    self.back(token);
                    break;
                }
                Kind::Pipe => break,
                _ => return self.unexpected(&token, "operand"),
            }
        }
        if command.args.is_empty() {
            return self.error("empty command");
        }
        Ok(command)
    }

    fn operand(&mut self) -> Result<Option<Operand>, String> {
        let Some(operand) = self.term()? else { return Ok(None) };
        if self.peek().kind != Kind::Field {
            return Ok(Some(operand));
        }
        let at = self.peek().at;
        let mut fields = Vec::new();
        while self.peek().kind == Kind::Field {
            fields.push(self.next().text[1..].to_owned());
        }
        let joined = |mut names: Vec<String>, fields: Vec<String>| {
            names.extend(fields);
            names
        };
        let term = match operand.term {
            Term::Field(names) => Term::Field(joined(names, fields)),
            Term::Variable(names) => Term::Variable(joined(names, fields)),
            Term::Bool(_) | Term::Text(..) | Term::Number(_) | Term::Nil | Term::Dot => {
                let term = quote(&operand.to_string());
                return self.error(format!("unexpected . after term {term}"));
            }
            _ => Term::Chain(Box::new(operand), fields),
        };
        Ok(Some(Operand { at, term }))
    }

    fn term(&mut self) -> Result<Option<Operand>, String> {
        let token = self.next_non_space();
        let term = match token.kind {
            Kind::Identifier => {
                if !functions::exists(&token.text, self.has_sprig) {
                    let name = quote(&token.text);
                    return self.error(format!("function {name} not defined"));
                }
                Term::Identifier(token.text)
            }
            Kind::Dot => Term::Dot,
            Kind::Nil => Term::Nil,
            Kind::Variable => {
                if !self.variables.contains(&token.text) {
                    return self.error(format!("undefined variable {}", quote(&token.text)));
                }
                Term::Variable(vec![token.text])
            }
            Kind::Field => Term::Field(vec![token.text[1..].to_owned()]),
            Kind::Bool => Term::Bool(token.text == "true"),
            Kind::CharConstant | Kind::Number => Term::Number(self.number(&token)?),
            Kind::LeftParen => {
                let pipe = self.pipeline("parenthesized pipeline", Kind::RightParen)?;
                Term::Pipe(Box::new(pipe))
            }
            Kind::String | Kind::RawString => {
                let text = self.unquote(&token)?;
                Term::Text(token.text, text)
            }
            _ => {
                self.back(token);
                return Ok(None);
            }
        };
        Ok(Some(Operand { at: token.at, term }))
    }

    fn number(&self, token: &Token) -> Result<Number, String> {
        if token.kind == Kind::CharConstant {
            let Some(c) = literals::unquote_char(&token.text) else {
                return self.error(format!("malformed character constant: {}", token.text));
            };
            let code = u32::from(c);
            return Ok(Number {
                text: token.text.clone(),
                integer: Some(i64::from(code)),
                float: Some(f64::from(code)),
            });
        }
        match literals::number(&token.text) {
            Ok(number) => Ok(number),
            Err(error) => self.error(error),
        }
    }
}

/// Whether a template is nothing but space.
fn is_empty(nodes: &[Node]) -> bool {
    nodes.iter().all(|node| matches!(node, Node::Text { text, .. } if text.trim().is_empty()))
}
