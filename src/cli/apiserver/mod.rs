//! `capim apiserver`: one API server in the place of kube-apiserver, with kube-apiserver's flags,
//! certificate files and exit codes. envtest and scripts that start kube-apiserver can start it
//! under that name.

mod access;
mod certificates;
mod flags;
mod run;
#[cfg(test)]
mod tests;

pub(super) use run::run;
