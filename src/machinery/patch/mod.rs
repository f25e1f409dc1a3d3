//! The patch formats that change an object without field ownership: JSON patch, JSON merge patch
//! and strategic merge patch. Server-side apply is in [`super::managed_fields`].

pub mod json;
pub mod merge;
pub mod strategic;

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod strategic_model_tests;
