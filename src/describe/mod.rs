//! What a cluster consists of and why something in it is not as it should be, from its objects
//! alone: the tree of `clusterctl describe cluster`, and the chain from an object to the cause.
//!
//! Pure: objects as JSON in, rows and steps out; the time is given. Text of objects is passed on as
//! it is; whoever shows it makes it printable. Reading the objects is the caller's business, so
//! that a command can fetch them and a dashboard take them from its caches.

mod discovery;
mod object;
mod paragraph;
mod rows;
mod sources;
pub mod timeline;
mod tree;
pub mod why;

pub use object::{Condition, conditions, headline, is_negative};
pub use rows::{Cell, HEADERS, HEADERS_V1BETA1, MESSAGE_WIDTH, Row, Span, Tone, rows};
pub use sources::{Reference, Sources};
pub use tree::{Family, Options, Tree};
