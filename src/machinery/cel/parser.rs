//! From tokens to an expression, with cel-go's grammar, places of errors and limits.
//!
//! The parser stops at the first syntax error; cel-go's recovers and may report more.

use super::ast::{Element, Entry, Expr, Id, Kind, operator};
use super::escaping::is_reserved;
use super::lexer::{self, Lexeme, Token};
use super::macros;
use super::source::{Issue, Source};
use super::value::Val;

/// Longest expression, in code points (cel-go's default).
const SIZE_MAX: usize = 100_000;
/// Deepest nesting (cel-go's default). What is in brackets counts twice, because the stack of a
/// thread has to hold it; cel-go takes twice as many.
const DEPTH_MAX: u32 = 250;
const BRACKETS: u32 = 2;

/// Operators between two operands: how they are written, their functions, and how strongly they
/// bind.
const OPERATORS: [(&str, &str, usize); 14] = [
    ("||", operator::OR, 0),
    ("&&", operator::AND, 1),
    ("==", operator::EQUALS, FIRST_RELATION),
    ("!=", operator::NOT_EQUALS, FIRST_RELATION),
    ("<", "_<_", FIRST_RELATION),
    ("<=", "_<=_", FIRST_RELATION),
    (">", "_>_", FIRST_RELATION),
    (">=", "_>=_", FIRST_RELATION),
    ("in", operator::IN, FIRST_RELATION),
    ("+", operator::ADD, 3),
    ("-", "_-_", 3),
    ("*", "_*_", 4),
    ("/", "_/_", 4),
    ("%", "_%_", 4),
];
/// `||` and `&&` bind less.
const FIRST_RELATION: usize = 2;

const OPERANDS: &str = "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, \
                        NUM_UINT, STRING, BYTES, IDENTIFIER}";

/// Parses an expression; expands macros.
pub(super) fn parse(source: &Source) -> Result<Expr, Vec<Issue>> {
    if source.text.len() > SIZE_MAX {
        return Err(vec![Issue::nowhere(format!(
            "expression code point size exceeds limit: size: {}, limit {SIZE_MAX}",
            source.text.len()
        ))]);
    }
    let (tokens, issues) = lexer::tokens(source);
    let mut parser = Parser { source, tokens, at: 0, depth: 0, next_id: 0, issues };
    match parser.start() {
        Ok(expression) if parser.issues.is_empty() => Ok(expression),
        Ok(_) => Err(parser.issues),
        Err(issue) => {
            parser.issues.push(issue);
            Err(parser.issues)
        }
    }
}

/// The state of a parse; also makes expressions for macros.
pub(super) struct Parser<'s> {
    source: &'s Source,
    tokens: Vec<Lexeme>,
    at: usize,
    depth: u32,
    next_id: Id,
    issues: Vec<Issue>,
}

type Parsed<T = Expr> = Result<T, Issue>;

impl Parser<'_> {
    /// A new expression.
    pub(super) fn make(&mut self, at: u32, kind: Kind) -> Expr {
        self.next_id += 1;
        Expr { id: self.next_id, at, kind }
    }

    /// A new call of a global function.
    pub(super) fn call(&mut self, at: u32, function: &str, args: Vec<Expr>) -> Expr {
        self.make(at, Kind::Call { function: function.to_owned(), target: None, args })
    }

    /// The same expression with numbers of its own.
    pub(super) fn copy(&mut self, expression: &Expr) -> Expr {
        let mut copied = expression.clone();
        self.renumber(&mut copied);
        copied
    }

    fn renumber(&mut self, expression: &mut Expr) {
        self.next_id += 1;
        expression.id = self.next_id;
        match &mut expression.kind {
            Kind::Literal(_) | Kind::Ident(_) => {}
            Kind::Select { operand, .. } => self.renumber(operand),
            Kind::Call { target, args, .. } => {
                target.iter_mut().for_each(|target| self.renumber(target));
                args.iter_mut().for_each(|arg| self.renumber(arg));
            }
            Kind::List { elements } => {
                elements.iter_mut().for_each(|element| self.renumber(&mut element.value));
            }
            Kind::Map { entries } => {
                for entry in entries {
                    self.renumber(&mut entry.key);
                    self.renumber(&mut entry.value);
                }
            }
            Kind::Struct { fields, .. } => {
                fields.iter_mut().for_each(|field| self.renumber(field));
            }
            Kind::Comprehension(fold) => {
                self.renumber(&mut fold.range);
                self.renumber(&mut fold.init);
                self.renumber(&mut fold.condition);
                self.renumber(&mut fold.step);
                self.renumber(&mut fold.result);
            }
        }
    }

    fn peek(&self) -> &Token {
        &self.tokens[self.at].token
    }

    fn place(&self) -> u32 {
        self.tokens[self.at].start
    }

    fn advance(&mut self) -> u32 {
        let place = self.place();
        // The end is never passed.
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        place
    }

    fn is(&self, symbol: &str) -> bool {
        matches!(self.peek(), Token::Symbol(found) if *found == symbol)
    }

    fn accept(&mut self, symbol: &str) -> Option<u32> {
        self.is(symbol).then(|| self.advance())
    }

    fn shown(&self, index: usize) -> String {
        let lexeme = &self.tokens[index];
        match lexeme.token {
            Token::End => "<EOF>".to_owned(),
            _ => self.source.text[lexeme.start as usize..lexeme.end as usize].iter().collect(),
        }
    }

    fn expect(&mut self, symbol: &str) -> Parsed<u32> {
        if let Some(place) = self.accept(symbol) {
            return Ok(place);
        }
        let found = self.shown(self.at);
        let next = self.tokens.get(self.at + 1).map(|lexeme| &lexeme.token);
        let message = match next {
            Some(Token::Symbol(next)) if *next == symbol => {
                format!("Syntax error: extraneous input '{found}' expecting '{symbol}'")
            }
            None => format!("Syntax error: missing '{symbol}' at '{found}'"),
            Some(_) => format!("Syntax error: mismatched input '{found}' expecting '{symbol}'"),
        };
        Err(Issue::at(self.place(), message))
    }

    fn start(&mut self) -> Parsed {
        let expression = self.expression()?;
        if *self.peek() == Token::End {
            return Ok(expression);
        }
        let last = self.at + 2 == self.tokens.len();
        let kind = if last { "extraneous" } else { "mismatched" };
        let found = self.shown(self.at);
        let message = format!("Syntax error: {kind} input '{found}' expecting <EOF>");
        Err(Issue::at(self.place(), message))
    }

    fn deeper(&mut self, steps: u32) -> Parsed<()> {
        self.depth += steps;
        if self.depth > DEPTH_MAX {
            let message = format!("expression recursion limit exceeded: {DEPTH_MAX}");
            return Err(Issue::nowhere(message));
        }
        Ok(())
    }

    fn expression(&mut self) -> Parsed {
        let depth = self.depth;
        self.deeper(BRACKETS)?;
        let condition = self.binary(0)?;
        let result = match self.accept("?") {
            None => condition,
            Some(place) => {
                let yes = self.binary(0)?;
                self.expect(":")?;
                let no = self.expression()?;
                self.call(place, operator::CONDITIONAL, vec![condition, yes, no])
            }
        };
        self.depth = depth;
        Ok(result)
    }

    /// Operands joined by operators that bind at least as strongly as `least`. One function for all
    /// of them keeps the stack small.
    fn binary(&mut self, least: usize) -> Parsed {
        let depth = self.depth;
        let mut left = self.unary()?;
        while let Some((function, strength)) = self.operator().filter(|(_, found)| *found >= least)
        {
            if strength < FIRST_RELATION {
                left = self.logic(left, function, strength)?;
                continue;
            }
            self.deeper(1)?;
            let place = self.advance();
            let right = self.binary(strength + 1)?;
            left = self.call(place, function, vec![left, right]);
        }
        self.depth = depth;
        Ok(left)
    }

    /// The operator that is next, and how strongly it binds.
    fn operator(&self) -> Option<(&'static str, usize)> {
        let Token::Symbol(symbol) = self.peek() else { return None };
        let (_, function, strength) = OPERATORS.iter().find(|(known, ..)| known == symbol)?;
        Some((function, *strength))
    }

    /// Terms of `||` or `&&`; they make a balanced tree, so that many do not nest deeply.
    fn logic(&mut self, first: Expr, function: &'static str, strength: usize) -> Parsed {
        let mut terms = vec![first];
        let mut places = Vec::new();
        while self.operator() == Some((function, strength)) {
            places.push(self.advance());
            terms.push(self.binary(strength + 1)?);
        }
        Ok(self.balance(function, &places, &mut terms.into_iter()))
    }

    fn balance(
        &mut self,
        function: &str,
        places: &[u32],
        terms: &mut std::vec::IntoIter<Expr>,
    ) -> Expr {
        if places.is_empty() {
            return terms.next().expect("there is one term more than operators");
        }
        let middle = places.len() / 2;
        let left = self.balance(function, &places[..middle], terms);
        let right = self.balance(function, &places[middle + 1..], terms);
        self.call(places[middle], function, vec![left, right])
    }

    fn unary(&mut self) -> Parsed {
        let Some((symbol, function)) = [("!", operator::NOT), ("-", operator::NEGATE)]
            .into_iter()
            .find(|(symbol, _)| self.is(symbol))
        else {
            return self.member(false);
        };
        let first = self.place();
        let mut count = 0;
        while self.accept(symbol).is_some() {
            count += 1;
        }
        // A minus right before a number belongs to the number.
        let number = matches!(self.peek(), Token::Int(_) | Token::Double(_));
        let signed = symbol == "-" && number;
        let operand = self.member(signed)?;
        if (count - usize::from(signed)).is_multiple_of(2) {
            return Ok(operand);
        }
        Ok(self.call(first, function, vec![operand]))
    }

    fn member(&mut self, negative: bool) -> Parsed {
        let depth = self.depth;
        let mut operand = self.primary(negative)?;
        loop {
            if let Some(place) = self.accept(".") {
                self.deeper(1)?;
                operand = self.select(operand, place)?;
            } else if let Some(place) = self.accept("[") {
                self.deeper(1)?;
                let function = match self.accept("?") {
                    Some(_) => operator::OPTIONAL_INDEX,
                    None => operator::INDEX,
                };
                let index = self.expression()?;
                self.expect("]")?;
                operand = self.call(place, function, vec![operand, index]);
            } else {
                break;
            }
        }
        self.depth = depth;
        Ok(operand)
    }

    fn select(&mut self, operand: Expr, place: u32) -> Parsed {
        let optional = self.accept("?").is_some();
        let name_at = self.place();
        let name = match self.peek().clone() {
            Token::Ident(name) => name,
            Token::Escaped(name) => {
                // kube-apiserver does not enable the syntax.
                self.issues.push(Issue::at(name_at, "unsupported syntax: '`'"));
                name
            }
            _ => {
                let found = self.shown(self.at);
                let message = format!("Syntax error: no viable alternative at input '.{found}'");
                return Err(Issue::at(name_at, message));
            }
        };
        self.advance();
        if optional {
            let field = self.make(name_at, Kind::Literal(Val::text(&name)));
            return Ok(self.call(place, operator::OPTIONAL_SELECT, vec![operand, field]));
        }
        let Some(open) = self.accept("(") else {
            let operand = Box::new(operand);
            return Ok(self.make(place, Kind::Select { operand, field: name, test_only: false }));
        };
        let args = self.arguments()?;
        macros::member(self, open, operand, &name, args)
    }

    fn arguments(&mut self) -> Parsed<Vec<Expr>> {
        let mut args = Vec::new();
        if self.accept(")").is_some() {
            return Ok(args);
        }
        loop {
            args.push(self.expression()?);
            if self.accept(",").is_none() {
                break;
            }
        }
        self.expect(")")?;
        Ok(args)
    }

    fn primary(&mut self, negative: bool) -> Parsed {
        let place = self.place();
        let token = self.peek().clone();
        match token {
            Token::Ident(_) => self.name(),
            Token::Symbol(".") => self.name(),
            Token::Symbol("(") => {
                self.advance();
                let inner = self.expression()?;
                self.expect(")")?;
                Ok(inner)
            }
            Token::Symbol("[") => self.list(),
            Token::Symbol("{") => self.map(),
            Token::Symbol(symbol @ ("true" | "false" | "null")) => {
                self.advance();
                let value = match symbol {
                    "null" => Val::Null,
                    _ => Val::Bool(symbol == "true"),
                };
                Ok(self.make(place, Kind::Literal(value)))
            }
            Token::Symbol(_) | Token::End | Token::Escaped(_) => Err(self.no_operand()),
            literal => {
                self.advance();
                let place = if negative { place.saturating_sub(1) } else { place };
                let value = self.literal(literal, negative, place)?;
                Ok(self.make(place, Kind::Literal(value)))
            }
        }
    }

    fn no_operand(&self) -> Issue {
        let found = self.shown(self.at);
        let next = self.tokens.get(self.at + 1).map(|lexeme| &lexeme.token);
        let starts = |token: &Token| match token {
            Token::Symbol(symbol) => {
                ["[", "{", "(", ".", "-", "!", "true", "false", "null"].contains(symbol)
            }
            Token::End | Token::Escaped(_) => false,
            _ => true,
        };
        let kind = if next.is_some_and(starts) { "extraneous" } else { "mismatched" };
        let message = format!("Syntax error: {kind} input '{found}' expecting {OPERANDS}");
        Issue::at(self.place(), message)
    }

    fn literal(&mut self, token: Token, negative: bool, place: u32) -> Parsed<Val<'static>> {
        let radix = |digits: &str| match digits.strip_prefix("0x") {
            Some(digits) => (digits.to_owned(), 16),
            None => (digits.to_owned(), 10),
        };
        let sign = if negative { "-" } else { "" };
        let value = match token {
            Token::Int(digits) => {
                let (digits, radix) = radix(&digits);
                i64::from_str_radix(&format!("{sign}{digits}"), radix)
                    .map(Val::Int)
                    .map_err(|_| "invalid int literal".to_owned())
            }
            Token::Uint(digits) => {
                let (digits, radix) = radix(&digits);
                u64::from_str_radix(&digits, radix)
                    .map(Val::Uint)
                    .map_err(|_| "invalid uint literal".to_owned())
            }
            Token::Double(digits) => match format!("{sign}{digits}").parse::<f64>() {
                Ok(value) if value.is_finite() => Ok(Val::Double(value)),
                _ => Err("invalid double literal".to_owned()),
            },
            Token::Text(text) => Ok(Val::text(&text)),
            Token::Bytes(bytes) => Ok(Val::Bytes(bytes.into())),
            Token::Broken(message) => Err(message),
            Token::Ident(_) | Token::Escaped(_) | Token::Symbol(_) | Token::End => {
                Err("not a literal".to_owned())
            }
        };
        value.map_err(|message| Issue::at(place, message))
    }

    fn name(&mut self) -> Parsed {
        let start = self.place();
        let leading = self.accept(".").is_some();
        let place = self.place();
        let Token::Ident(name) = self.peek().clone() else {
            let found = self.shown(self.at);
            let message = format!("Syntax error: mismatched input '{found}' expecting IDENTIFIER");
            return Err(Issue::at(place, message));
        };
        if let Some(expression) = self.message(leading)? {
            return Ok(expression);
        }
        self.advance();
        // Such names may be fields, but not variables.
        if is_reserved(&name) {
            return Err(Issue::at(start, format!("reserved identifier: {name}")));
        }
        let name = if leading { format!(".{name}") } else { name };
        match self.accept("(") {
            None => Ok(self.make(place, Kind::Ident(name))),
            Some(open) => {
                let args = self.arguments()?;
                macros::global(self, open, &name, args)
            }
        }
    }

    /// `a.b.C{field: value}`, if that is what follows.
    fn message(&mut self, leading: bool) -> Parsed<Option<Expr>> {
        let mut end = self.at;
        let mut name = if leading { ".".to_owned() } else { String::new() };
        while let Some(Token::Ident(part)) = self.tokens.get(end).map(|lexeme| &lexeme.token) {
            name.push_str(part);
            match self.tokens.get(end + 1).map(|lexeme| &lexeme.token) {
                Some(Token::Symbol(".")) => name.push('.'),
                Some(Token::Symbol("{")) => {
                    self.at = end + 1;
                    return self.fields(name).map(Some);
                }
                _ => return Ok(None),
            }
            end += 2;
        }
        Ok(None)
    }

    fn fields(&mut self, name: String) -> Parsed {
        let place = self.advance();
        let mut fields = Vec::new();
        while !self.is("}") {
            self.accept("?");
            if !matches!(self.peek(), Token::Ident(_)) {
                let found = self.shown(self.at);
                let message =
                    format!("Syntax error: mismatched input '{found}' expecting IDENTIFIER");
                return Err(Issue::at(self.place(), message));
            }
            self.advance();
            self.expect(":")?;
            fields.push(self.expression()?);
            if self.accept(",").is_none() {
                break;
            }
        }
        self.expect("}")?;
        Ok(self.make(place, Kind::Struct { name, fields }))
    }

    fn list(&mut self) -> Parsed {
        let place = self.advance();
        let mut elements = Vec::new();
        while !self.is("]") {
            let optional = self.accept("?").is_some();
            elements.push(Element { value: self.expression()?, optional });
            if self.accept(",").is_none() {
                break;
            }
        }
        self.expect("]")?;
        Ok(self.make(place, Kind::List { elements }))
    }

    fn map(&mut self) -> Parsed {
        let place = self.advance();
        let mut entries = Vec::new();
        while !self.is("}") {
            let optional = self.accept("?").is_some();
            let key = self.expression()?;
            self.expect(":")?;
            entries.push(Entry { key, value: self.expression()?, optional });
            if self.accept(",").is_none() {
                break;
            }
        }
        self.expect("}")?;
        Ok(self.make(place, Kind::Map { entries }))
    }
}
