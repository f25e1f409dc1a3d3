//! Tokens of a template. (Go 1.26: text/template/parse/lex.go)

use crate::machinery::status::quote;

const LEFT: &str = "{{";
const RIGHT: &str = "}}";
/// Length of a trim marker with its space.
const TRIM: usize = 2;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Error,
    Bool,
    Char,
    CharConstant,
    Assign,
    Declare,
    End,
    Field,
    Identifier,
    LeftDelim,
    LeftParen,
    Number,
    Pipe,
    RawString,
    RightDelim,
    RightParen,
    Space,
    String,
    Text,
    Variable,
    Dot,
    Nil,
    Keyword(Keyword),
}

/// Words with a meaning of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keyword {
    Block,
    Break,
    Continue,
    Define,
    Else,
    End,
    If,
    Range,
    Template,
    With,
}

/// A token.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    /// Byte where it begins.
    pub(super) at: usize,
    /// Its text, or the error's.
    pub(super) text: String,
    /// Line where it begins, from 1.
    pub(super) line: usize,
}

impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.kind {
            Kind::End => f.write_str("EOF"),
            Kind::Error => f.write_str(&self.text),
            Kind::Keyword(_) | Kind::Dot | Kind::Nil => write!(f, "<{}>", self.text),
            _ if self.text.len() > 10 => {
                let start: String = self.text.chars().take(10).collect();
                write!(f, "{}...", quote(&start))
            }
            _ => f.write_str(&quote(&self.text)),
        }
    }
}

/// Splits a template into tokens; after an error or the end it repeats the last token.
pub(super) struct Lexer<'a> {
    input: &'a str,
    at: usize,
    start: usize,
    line: usize,
    start_line: usize,
    parens: usize,
    state: State,
    last: Option<Token>,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Text,
    LeftDelim,
    Inside,
    Done,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(input: &'a str) -> Self {
        Self {
            input,
            at: 0,
            start: 0,
            line: 1,
            start_line: 1,
            parens: 0,
            state: State::Text,
            last: None,
        }
    }

    /// The next token.
    pub(super) fn next_token(&mut self) -> Token {
        loop {
            let token = match self.state {
                State::Text => self.text(),
                State::LeftDelim => self.left_delim(),
                State::Inside => Some(self.inside()),
                State::Done => {
                    let end = Token {
                        kind: Kind::End,
                        at: self.at,
                        text: "EOF".to_owned(),
                        line: self.start_line,
                    };
                    return self.last.clone().unwrap_or(end);
                }
            };
            if let Some(token) = token {
                if matches!(token.kind, Kind::Error | Kind::End) {
                    self.state = State::Done;
                    self.last = Some(token.clone());
                }
                return token;
            }
        }
    }

    fn rest(&self) -> &'a str {
        &self.input[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        if c == '\n' {
            self.line += 1;
        }
        Some(c)
    }

    fn emit(&mut self, kind: Kind) -> Token {
        let text = self.input[self.start..self.at].to_owned();
        let token = Token { kind, at: self.start, text, line: self.start_line };
        self.start = self.at;
        self.start_line = self.line;
        token
    }

    fn error(&self, text: String) -> Token {
        Token { kind: Kind::Error, at: self.start, text, line: self.start_line }
    }

    /// Goes on without a token, counting lines.
    fn skip_to(&mut self, at: usize) {
        self.line += self.input[self.at..at].matches('\n').count();
        self.at = at;
    }

    fn ignore(&mut self) {
        self.start = self.at;
        self.start_line = self.line;
    }

    fn text(&mut self) -> Option<Token> {
        let Some(found) = self.rest().find(LEFT) else {
            self.skip_to(self.input.len());
            if self.at > self.start {
                return Some(self.emit(Kind::Text));
            }
            return Some(Token {
                kind: Kind::End,
                at: self.at,
                text: "EOF".to_owned(),
                line: self.start_line,
            });
        };
        self.state = State::LeftDelim;
        let delim = self.at + found;
        let mut end = delim;
        if has_left_trim(&self.input[delim + LEFT.len()..]) {
            end = self.at + self.input[self.at..delim].trim_end_matches(is_space).len();
        }
        self.skip_to(end);
        let token = (self.at > self.start).then(|| self.emit(Kind::Text));
        self.skip_to(delim);
        self.ignore();
        token
    }

    fn left_delim(&mut self) -> Option<Token> {
        let after = &self.input[self.at + LEFT.len()..];
        let marker = if has_left_trim(after) { TRIM } else { 0 };
        if after[marker..].starts_with("/*") {
            self.skip_to(self.at + LEFT.len() + marker);
            self.ignore();
            return self.comment();
        }
        self.skip_to(self.at + LEFT.len());
        let token = self.emit(Kind::LeftDelim);
        self.skip_to(self.at + marker);
        self.ignore();
        self.parens = 0;
        self.state = State::Inside;
        Some(token)
    }

    fn comment(&mut self) -> Option<Token> {
        let Some(end) = self.rest()[2..].find("*/") else {
            return Some(self.error("unclosed comment".to_owned()));
        };
        self.skip_to(self.at + 2 + end + 2);
        let Some(trims) = self.at_right_delim() else {
            return Some(self.error("comment ends before closing delimiter".to_owned()));
        };
        self.leave_action(trims);
        self.ignore();
        None
    }

    /// Whether a right delimiter follows, and if so, whether it trims.
    fn at_right_delim(&self) -> Option<bool> {
        let rest = self.rest();
        let mut bytes = rest.bytes();
        let marker =
            bytes.next().is_some_and(|b| is_space(char::from(b))) && bytes.next() == Some(b'-');
        if marker && rest[TRIM..].starts_with(RIGHT) {
            return Some(true);
        }
        rest.starts_with(RIGHT).then_some(false)
    }

    /// Steps over the right delimiter and what it trims.
    fn leave_action(&mut self, trims: bool) {
        self.skip_to(self.at + RIGHT.len() + if trims { TRIM } else { 0 });
        self.state = State::Text;
        if trims {
            let rest = self.rest();
            self.skip_to(self.at + rest.len() - rest.trim_start_matches(is_space).len());
        }
    }

    fn inside(&mut self) -> Token {
        if let Some(trims) = self.at_right_delim() {
            if self.parens > 0 {
                return self.error("unclosed left paren".to_owned());
            }
            if trims {
                self.skip_to(self.at + TRIM);
                self.ignore();
            }
            self.skip_to(self.at + RIGHT.len());
            let token = self.emit(Kind::RightDelim);
            self.state = State::Text;
            if trims {
                let rest = self.rest();
                self.skip_to(self.at + rest.len() - rest.trim_start_matches(is_space).len());
                self.ignore();
            }
            return token;
        }
        let Some(c) = self.bump() else { return self.error("unclosed action".to_owned()) };
        match c {
            c if is_space(c) => self.space(),
            '=' => self.emit(Kind::Assign),
            ':' if self.bump() == Some('=') => self.emit(Kind::Declare),
            ':' => self.error("expected :=".to_owned()),
            '|' => self.emit(Kind::Pipe),
            '"' => self.quoted('"', Kind::String, "unterminated quoted string"),
            '\'' => self.quoted('\'', Kind::CharConstant, "unterminated character constant"),
            '`' => self.raw(),
            '$' => self.variable(),
            '.' if !self.peek().is_some_and(|c| c.is_ascii_digit()) => self.field(),
            '.' | '+' | '-' | '0'..='9' => {
                self.at = self.start;
                self.number()
            }
            c if is_alphanumeric(c) => self.identifier(),
            '(' => {
                self.parens += 1;
                self.emit(Kind::LeftParen)
            }
            ')' if self.parens == 0 => self.error("unexpected right paren".to_owned()),
            ')' => {
                self.parens -= 1;
                self.emit(Kind::RightParen)
            }
            c if c.is_ascii_graphic() => self.emit(Kind::Char),
            c => self.error(format!("unrecognized character in action: {}", unicode(Some(c)))),
        }
    }

    fn space(&mut self) -> Token {
        // The last space may belong to the marker of a trimming delimiter.
        loop {
            match self.peek() {
                Some(c) if is_space(c) && self.at_right_delim() != Some(true) => {
                    self.bump();
                }
                _ => break,
            }
        }
        self.emit(Kind::Space)
    }

    fn identifier(&mut self) -> Token {
        while self.peek().is_some_and(is_alphanumeric) {
            self.bump();
        }
        if !self.at_terminator() {
            return self.error(format!("bad character {}", unicode(self.peek())));
        }
        let kind = match &self.input[self.start..self.at] {
            "block" => Kind::Keyword(Keyword::Block),
            "break" => Kind::Keyword(Keyword::Break),
            "continue" => Kind::Keyword(Keyword::Continue),
            "define" => Kind::Keyword(Keyword::Define),
            "else" => Kind::Keyword(Keyword::Else),
            "end" => Kind::Keyword(Keyword::End),
            "if" => Kind::Keyword(Keyword::If),
            "range" => Kind::Keyword(Keyword::Range),
            "template" => Kind::Keyword(Keyword::Template),
            "with" => Kind::Keyword(Keyword::With),
            "nil" => Kind::Nil,
            "true" | "false" => Kind::Bool,
            _ => Kind::Identifier,
        };
        self.emit(kind)
    }

    fn field(&mut self) -> Token {
        if self.at_terminator() { self.emit(Kind::Dot) } else { self.named(Kind::Field) }
    }

    fn variable(&mut self) -> Token {
        if self.at_terminator() { self.emit(Kind::Variable) } else { self.named(Kind::Variable) }
    }

    fn named(&mut self, kind: Kind) -> Token {
        while self.peek().is_some_and(is_alphanumeric) {
            self.bump();
        }
        if !self.at_terminator() {
            return self.error(format!("bad character {}", unicode(self.peek())));
        }
        self.emit(kind)
    }

    fn at_terminator(&self) -> bool {
        match self.peek() {
            None | Some('.' | ',' | '|' | ':' | ')' | '(') => true,
            Some(c) => is_space(c) || self.rest().starts_with(RIGHT),
        }
    }

    fn quoted(&mut self, end: char, kind: Kind, unterminated: &str) -> Token {
        loop {
            match self.bump() {
                Some('\\') if !matches!(self.peek(), None | Some('\n')) => {
                    self.bump();
                }
                Some(c) if c == end => return self.emit(kind),
                None | Some('\n' | '\\') => return self.error(unterminated.to_owned()),
                Some(_) => {}
            }
        }
    }

    fn raw(&mut self) -> Token {
        loop {
            match self.bump() {
                None => return self.error("unterminated raw quoted string".to_owned()),
                Some('`') => return self.emit(Kind::RawString),
                Some(_) => {}
            }
        }
    }

    fn number(&mut self) -> Token {
        self.accept("+-");
        let mut digits = "0123456789_";
        if self.accept("0") {
            if self.accept("xX") {
                digits = "0123456789abcdefABCDEF_";
            } else if self.accept("oO") {
                digits = "01234567_";
            } else if self.accept("bB") {
                digits = "01_";
            }
        }
        self.accept_all(digits);
        if self.accept(".") {
            self.accept_all(digits);
        }
        let exponent = if digits.len() == 11 { "eE" } else { "pP" };
        if digits.len() != 9 && digits.len() != 3 && self.accept(exponent) {
            self.accept("+-");
            self.accept_all("0123456789_");
        }
        self.accept("i");
        if self.peek().is_some_and(is_alphanumeric) {
            self.bump();
            let number = quote(&self.input[self.start..self.at]);
            return self.error(format!("bad number syntax: {number}"));
        }
        self.emit(Kind::Number)
    }

    fn accept(&mut self, valid: &str) -> bool {
        let accepted = self.peek().is_some_and(|c| valid.contains(c));
        if accepted {
            self.bump();
        }
        accepted
    }

    fn accept_all(&mut self, valid: &str) {
        while self.accept(valid) {}
    }
}

fn has_left_trim(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next() == Some('-') && chars.next().is_some_and(is_space)
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn is_alphanumeric(c: char) -> bool {
    c == '_' || c.is_alphabetic() || c.is_numeric()
}

/// A character as Go's `%#U` shows it.
fn unicode(c: Option<char>) -> String {
    match c {
        None => "U+FFFFFFFFFFFFFFFF".to_owned(),
        Some(c) if c.is_control() => format!("U+{:04X}", u32::from(c)),
        Some(c) => format!("U+{:04X} '{c}'", u32::from(c)),
    }
}
