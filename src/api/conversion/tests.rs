//! Round trips over random objects, and what upstream's tests make of single fields.
//!
//! Objects are drawn from the schemas. What Go cannot tell apart is made equal first, as in the
//! fuzz functions of upstream's tests. (CAPI v1.14: */webhooks/conversion/conversion_test.go)

mod drawing;
mod fixtures;
mod round_trips;
