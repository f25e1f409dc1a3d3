//! What providers agree on, so that they need not know each other: labels, owner references,
//! conditions, names of secrets, collections of machines, versions, template cloning.

pub mod conditions;
pub mod etcd;
pub mod labels;
pub mod machines;
pub mod names;
pub mod object;
pub mod owners;
pub mod paused;
pub mod secrets;
pub mod selector;
pub mod template;
pub mod version;
pub mod versions;
