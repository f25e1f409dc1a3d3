//! Go's `text/template` with the functions that Cluster API gives to templates.
//! (Go 1.26: text/template; Masterminds/sprig v3.3)
//!
//! Data is JSON, numbers are doubles as Go's decoder makes them. Errors are Go's, with its places.
//! Everything is bounded: nesting, steps, output, and what a single function may make.

mod data;
mod exec;
mod functions;
mod lex;
mod literals;
mod node;
mod parse;
mod print;

#[cfg(test)]
mod tests;

use serde_json::Value;

/// A parsed template.
#[derive(Clone, Debug)]
pub struct Template {
    name: String,
    text: String,
    options: Options,
    trees: parse::Trees,
}

/// What a template may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whether sprig's functions are there beside Go's own.
    pub has_sprig: bool,
    /// Whether keys that a map does not have are errors (`missingkey=error`).
    pub requires_keys: bool,
}

impl Template {
    /// Parses a template with all functions; its name appears in errors.
    ///
    /// # Errors
    /// Go's text, like `template: tpl:1: function "foo" not defined`.
    pub fn parse(name: &str, text: &str) -> Result<Self, String> {
        Self::parse_with(name, text, Options { has_sprig: true, requires_keys: false })
    }

    /// As [`Template::parse`], with options.
    ///
    /// # Errors
    /// Go's text.
    pub fn parse_with(name: &str, text: &str, options: Options) -> Result<Self, String> {
        let trees = parse::parse(name, text, options.has_sprig)?;
        Ok(Self { name: name.to_owned(), text: text.to_owned(), options, trees })
    }

    /// What the template prints for `data`.
    ///
    /// # Errors
    /// Go's text, like `template: tpl:1:3: executing "tpl" at <.a.b>: can't evaluate field b in
    /// type string`.
    pub fn execute(&self, data: &Value) -> Result<String, String> {
        exec::execute(self, data)
    }
}
