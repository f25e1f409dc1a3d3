//! Names of generated objects. (CAPI v1.14: internal/topology/names/names.go)
//!
//! Random parts come from the run's seed, the Cluster and what the name is for, so that they repeat
//! from run to run; a Cluster of another generation, or one that replaces a template, gets others.

use crate::api::core::Cluster;
use crate::clock::Seed;
use crate::contract::names;

/// Makes names for the objects of one Cluster.
pub(super) struct Names<'a> {
    pub(super) seed: Seed,
    pub(super) cluster: &'a Cluster,
}

impl Names<'_> {
    /// `prefix` and a random suffix. `purpose` tells names of one prefix apart.
    pub(super) fn generate(&self, prefix: &str, purpose: &[&str]) -> String {
        names::generate(prefix, self.random(prefix, purpose))
    }

    /// A name from a naming template; `values` are known beside `cluster.name` and `random`.
    ///
    /// # Errors
    /// What is wrong with the template.
    pub(super) fn render(
        &self,
        template: &str,
        values: &[(&str, &str)],
        purpose: &[&str],
    ) -> Result<String, String> {
        let cluster = self.cluster.metadata.name.as_deref().unwrap_or_default();
        let mut known = vec![("cluster.name", cluster)];
        known.extend(values);
        names::from_template(template, &known, self.random(template, purpose))
    }

    fn random(&self, base: &str, purpose: &[&str]) -> u64 {
        let metadata = &self.cluster.metadata;
        let generation = metadata.generation.unwrap_or_default().to_string();
        let text = |part: &Option<String>| part.clone().unwrap_or_default();
        let (namespace, name) = (text(&metadata.namespace), text(&metadata.name));
        let mut parts = vec!["topology", &namespace, &name, &generation, base];
        parts.extend(purpose);
        self.seed.number(&parts)
    }
}
