//! From text to tokens.

use super::source::{Issue, Source};

/// What a token is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Ident(String),
    /// An identifier in backticks, without them.
    Escaped(String),
    /// Digits as written, `0x` included.
    Int(String),
    Uint(String),
    Double(String),
    Text(String),
    Bytes(Vec<u8>),
    /// An operator, a bracket or one of `in`, `true`, `false`, `null`.
    Symbol(&'static str),
    /// A literal whose escapes are wrong.
    Broken(String),
    End,
}

/// A token and where it is.
#[derive(Clone, Debug)]
pub(super) struct Lexeme {
    pub(super) token: Token,
    pub(super) start: u32,
    pub(super) end: u32,
}

const SYMBOLS: [&str; 25] = [
    "==", "!=", "<=", ">=", "&&", "||", "<", ">", "[", "]", "{", "}", "(", ")", ".", ",", "-", "!",
    "?", ":", "+", "*", "/", "%", "",
];

/// All tokens, and what could not be read.
pub(super) fn tokens(source: &Source) -> (Vec<Lexeme>, Vec<Issue>) {
    let mut lexer = Lexer { text: &source.text, at: 0, issues: Vec::new() };
    let mut found = Vec::new();
    while let Some(lexeme) = lexer.next() {
        found.push(lexeme);
    }
    let end = source.text.len() as u32;
    found.push(Lexeme { token: Token::End, start: end, end });
    (found, lexer.issues)
}

struct Lexer<'a> {
    text: &'a [char],
    at: usize,
    issues: Vec<Issue>,
}

impl Lexer<'_> {
    fn peek(&self, ahead: usize) -> char {
        self.text.get(self.at + ahead).copied().unwrap_or('\0')
    }

    fn rest(&self) -> &[char] {
        &self.text[self.at..]
    }

    fn next(&mut self) -> Option<Lexeme> {
        loop {
            self.skip_blanks();
            if self.at >= self.text.len() {
                return None;
            }
            let start = self.at;
            if let Some(token) = self.token() {
                return Some(Lexeme { token, start: start as u32, end: self.at as u32 });
            }
            self.at = self.at.max(start + 1).min(self.text.len());
            let shown: String = self.text[start..self.at].iter().collect();
            let shown = shown.replace('\n', "\\n").replace('\r', "\\r").replace('\t', "\\t");
            let message = format!("Syntax error: token recognition error at: '{shown}'");
            self.issues.push(Issue::at(start as u32, message));
        }
    }

    fn skip_blanks(&mut self) {
        while self.at < self.text.len() {
            match self.peek(0) {
                ' ' | '\t' | '\r' | '\n' | '\u{c}' => self.at += 1,
                '/' if self.peek(1) == '/' => {
                    while self.at < self.text.len() && self.peek(0) != '\n' {
                        self.at += 1;
                    }
                }
                _ => return,
            }
        }
    }

    fn token(&mut self) -> Option<Token> {
        let first = self.peek(0);
        if first.is_ascii_digit() || (first == '.' && self.peek(1).is_ascii_digit()) {
            return Some(self.number());
        }
        if let Some(prefix) = self.literal_prefix() {
            return self.quoted(prefix);
        }
        if first.is_ascii_alphabetic() || first == '_' {
            return Some(self.word());
        }
        if first == '`' {
            return self.escaped();
        }
        let symbol = SYMBOLS.iter().find(|symbol| {
            !symbol.is_empty() && self.rest().iter().copied().take(symbol.len()).eq(symbol.chars())
        })?;
        self.at += symbol.len();
        Some(Token::Symbol(symbol))
    }

    fn word(&mut self) -> Token {
        let start = self.at;
        while self.peek(0).is_ascii_alphanumeric() || self.peek(0) == '_' {
            self.at += 1;
        }
        let word: String = self.text[start..self.at].iter().collect();
        match ["in", "true", "false", "null"].into_iter().find(|keyword| *keyword == word) {
            Some(keyword) => Token::Symbol(keyword),
            None => Token::Ident(word),
        }
    }

    fn escaped(&mut self) -> Option<Token> {
        let allowed = |c: &char| c.is_ascii_alphanumeric() || "_.-/ ".contains(*c);
        let length = self.rest()[1..].iter().take_while(|c| allowed(c)).count();
        if length == 0 || self.peek(length + 1) != '`' {
            return None;
        }
        let name = self.rest()[1..=length].iter().collect();
        self.at += length + 2;
        Some(Token::Escaped(name))
    }

    fn digits(&mut self) {
        while self.peek(0).is_ascii_digit() {
            self.at += 1;
        }
    }

    fn number(&mut self) -> Token {
        let start = self.at;
        if self.peek(0) == '0' && self.peek(1) == 'x' && self.peek(2).is_ascii_hexdigit() {
            self.at += 2;
            while self.peek(0).is_ascii_hexdigit() {
                self.at += 1;
            }
            return self.integer(start);
        }
        self.digits();
        let mut double = false;
        if self.peek(0) == '.' && self.peek(1).is_ascii_digit() {
            double = true;
            self.at += 1;
            self.digits();
        }
        if matches!(self.peek(0), 'e' | 'E') {
            let sign = usize::from(matches!(self.peek(1), '+' | '-'));
            if self.peek(1 + sign).is_ascii_digit() {
                double = true;
                self.at += 1 + sign;
                self.digits();
            }
        }
        if double {
            return Token::Double(self.text[start..self.at].iter().collect());
        }
        self.integer(start)
    }

    fn integer(&mut self, start: usize) -> Token {
        let digits: String = self.text[start..self.at].iter().collect();
        if matches!(self.peek(0), 'u' | 'U') {
            self.at += 1;
            return Token::Uint(digits);
        }
        Token::Int(digits)
    }

    /// Length of `b`, `r`, `br` before a quote, if a literal starts here.
    fn literal_prefix(&self) -> Option<usize> {
        let quote = |ahead| matches!(self.peek(ahead), '"' | '\'');
        let raw = |ahead| matches!(self.peek(ahead), 'r' | 'R');
        let bytes = matches!(self.peek(0), 'b' | 'B');
        [
            (quote(0), 0),
            (raw(0) && quote(1), 1),
            (bytes && quote(1), 1),
            (bytes && raw(1) && quote(2), 2),
        ]
        .into_iter()
        .find_map(|(is, length)| is.then_some(length))
    }

    fn quoted(&mut self, prefix: usize) -> Option<Token> {
        let letters: String = self.rest()[..prefix].iter().collect::<String>().to_lowercase();
        let (bytes, raw) = (letters.contains('b'), letters.contains('r'));
        let start = self.at;
        self.at += prefix;
        let quote = self.peek(0);
        let long = self.peek(1) == quote && self.peek(2) == quote;
        let width = if long { 3 } else { 1 };
        self.at += width;
        let content = self.at;
        loop {
            if self.at >= self.text.len() || (!long && matches!(self.peek(0), '\n' | '\r')) {
                if long {
                    // It may still be an empty short literal.
                    self.at = start + prefix + 2;
                    return Some(literal(&[], bytes, raw));
                }
                return None;
            }
            if (0..width).all(|ahead| self.peek(ahead) == quote) {
                break;
            }
            let escape = !raw && self.peek(0) == '\\';
            // A backslash may be the last character.
            self.at = (self.at + if escape { 2 } else { 1 }).min(self.text.len());
        }
        let token = literal(&self.text[content..self.at], bytes, raw);
        self.at += width;
        Some(token)
    }
}

fn literal(content: &[char], bytes: bool, raw: bool) -> Token {
    // cel-go makes all line ends one.
    let content: String =
        content.iter().collect::<String>().replace("\r\n", "\n").replace('\r', "\n");
    if raw {
        return if bytes { Token::Bytes(content.into_bytes()) } else { Token::Text(content) };
    }
    let unescaped = unescape(&content, bytes);
    match unescaped {
        Err(message) => Token::Broken(message.to_owned()),
        Ok(found) if bytes => Token::Bytes(found),
        Ok(found) => match String::from_utf8(found) {
            Ok(text) => Token::Text(text),
            Err(_) => Token::Broken("unable to unescape string".to_owned()),
        },
    }
}

fn unescape(content: &str, bytes: bool) -> Result<Vec<u8>, &'static str> {
    const BROKEN: &str = "unable to unescape string";
    let mut out = Vec::with_capacity(content.len());
    let mut rest = content.chars();
    while let Some(character) = rest.next() {
        if character != '\\' {
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        let code = match rest.next().ok_or(BROKEN)? {
            'a' => 7,
            'b' => 8,
            'f' => 12,
            'n' => 10,
            'r' => 13,
            't' => 9,
            'v' => 11,
            c @ ('\\' | '\'' | '"' | '`' | '?') => c as u32,
            'x' | 'X' => {
                let code = digits(&mut rest, 2, 16).ok_or(BROKEN)?;
                if bytes {
                    out.push(code as u8);
                    continue;
                }
                code
            }
            'u' if !bytes => digits(&mut rest, 4, 16).ok_or(BROKEN)?,
            'U' if !bytes => digits(&mut rest, 8, 16).ok_or(BROKEN)?,
            c @ '0'..='3' => {
                let code = (c as u32 - '0' as u32) * 64 + digits(&mut rest, 2, 8).ok_or(BROKEN)?;
                if bytes {
                    out.push(code as u8);
                    continue;
                }
                code
            }
            _ => return Err(BROKEN),
        };
        let character = char::from_u32(code).ok_or("invalid unicode code point")?;
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }
    Ok(out)
}

fn digits(rest: &mut std::str::Chars<'_>, count: usize, radix: u32) -> Option<u32> {
    (0..count).try_fold(0u32, |value, _| {
        value.checked_mul(radix)?.checked_add(rest.next()?.to_digit(radix)?)
    })
}
