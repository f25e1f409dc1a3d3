//! The engine: a Kubernetes API over a store, for the management API and every workload cluster.
//!
//! A request is parsed by [`request`], authorised by [`authorization`], and answered by [`read`],
//! [`watch`], [`write`] or, outside resources, by [`discovery`], [`openapi`] and [`health`]. A
//! server is a small store and a set of resources; what many servers have in common lies in a
//! shared [`Profile`].

pub mod authorization;
pub mod crds;
pub mod discovery;
pub mod garbage;
pub mod health;
pub mod openapi;
pub mod serve;

mod access;
mod admission;
mod answer;
mod authentication;
mod body;
mod body_budget;
mod bootstrap;
mod certificates;
mod clients;
mod compress;
mod continuation;
mod conversion;
mod counters;
mod depth;
mod derived;
mod documents;
mod duplicates;
mod filters;
mod frames;
mod kubelet;
pub mod kubelets;
mod metrics;
mod native_versions;
mod negotiate;
mod options;
mod portforward;
mod profile;
mod proxy;
mod random;
mod read;
mod request;
mod reviews;
mod route;
mod scale;
mod selection;
mod server;
mod strategy;
mod unstored;
mod upgrade;
mod versions;
mod view;
mod watch;
mod webhook;
mod write;

#[cfg(test)]
mod tests;

pub use access::{Access, AuthorizationMode};
pub use admission::{AdmissionPlugins, ServiceRange};
pub use authentication::{Identity, StaticToken, legacy_token};
pub use clients::{ClientErrors, ClientLatency, ClientRequests, ClientRequestsList, VerbCounts};
pub use counters::Counts;
pub use profile::{Profile, ResourceSet};
pub use request::{InProcess, RequestInfo};
pub use server::{ApiServer, OnCommit, Options};
pub use webhook::{HookCaller, ServiceUrl, ServiceUrls, ServiceUrlsError};
pub use write::Template;

pub(crate) use answer::{json_response, status_response};
pub(crate) use clients::PATH as API_CLIENTS_PATH;
#[cfg(test)]
pub(crate) use webhook::test_server;
pub(crate) use webhook::{HookAnswer, HookCallError, HookRequest};
