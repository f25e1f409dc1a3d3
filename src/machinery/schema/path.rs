//! A path into an object, linked on the stack so that it costs nothing until it is shown.

use std::fmt;

/// One step of a path and all before it.
#[derive(Clone, Copy)]
pub(super) enum Path<'a> {
    /// The object itself.
    Root,
    /// A property.
    Field(&'a Path<'a>, &'a str),
    /// A value of a map.
    Key(&'a Path<'a>, &'a str),
    /// An item of a list.
    Item(&'a Path<'a>, usize),
}

impl<'a> Path<'a> {
    pub(super) fn field(&'a self, name: &'a str) -> Path<'a> {
        Path::Field(self, name)
    }

    pub(super) fn key(&'a self, name: &'a str) -> Path<'a> {
        Path::Key(self, name)
    }

    pub(super) fn item(&'a self, index: usize) -> Path<'a> {
        Path::Item(self, index)
    }

    /// The path as Go's decoder shows it: properties only.
    pub(super) fn of_fields(&self) -> String {
        match self {
            Path::Root => String::new(),
            Path::Key(parent, _) | Path::Item(parent, _) => parent.of_fields(),
            Path::Field(parent, name) => {
                let mut path = parent.of_fields();
                if !path.is_empty() {
                    path.push('.');
                }
                path + name
            }
        }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root => Ok(()),
            Path::Field(Path::Root, name) | Path::Key(Path::Root, name) => f.write_str(name),
            Path::Field(parent, name) | Path::Key(parent, name) => write!(f, "{parent}.{name}"),
            Path::Item(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}
