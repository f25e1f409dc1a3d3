//! Counters and gauges by name and labels.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// All numbers of a process. Cheap to clone; all clones are one.
#[derive(Clone, Default)]
pub struct Registry {
    /// Locked to make a number or to render all, never to count.
    families: Arc<Mutex<BTreeMap<&'static str, Family>>>,
}

struct Family {
    help: &'static str,
    type_: &'static str,
    /// Rendered labels -> value.
    series: BTreeMap<String, Arc<AtomicU64>>,
}

/// A number that only grows. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub struct Counter(Arc<AtomicU64>);

impl Counter {
    /// Adds one.
    pub fn inc(&self) {
        self.add(1);
    }

    /// Adds `count`.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// The present value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that goes up and down. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub struct Gauge(Arc<AtomicU64>);

impl Gauge {
    /// Sets the value.
    pub fn set(&self, value: usize) {
        self.0.store(value as u64, Ordering::Relaxed);
    }

    /// The present value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Registry {
    /// The counter of this name and these labels; made on first use.
    pub fn counter(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &[(&str, &str)],
    ) -> Counter {
        Counter(self.value(name, help, "counter", labels))
    }

    /// The gauge of this name and these labels; made on first use.
    pub fn gauge(&self, name: &'static str, help: &'static str, labels: &[(&str, &str)]) -> Gauge {
        Gauge(self.value(name, help, "gauge", labels))
    }

    /// Everything in the Prometheus text format 0.0.4.
    pub fn render(&self) -> String {
        let mut text = String::new();
        for (name, family) in self.families.lock().iter() {
            // Writing into a String cannot fail.
            let _ = writeln!(text, "# HELP {name} {}", family.help);
            let _ = writeln!(text, "# TYPE {name} {}", family.type_);
            for (labels, value) in &family.series {
                let _ = writeln!(text, "{name}{labels} {}", value.load(Ordering::Relaxed));
            }
        }
        text
    }

    fn value(
        &self,
        name: &'static str,
        help: &'static str,
        type_: &'static str,
        labels: &[(&str, &str)],
    ) -> Arc<AtomicU64> {
        let mut families = self.families.lock();
        let family =
            families.entry(name).or_insert_with(|| Family { help, type_, series: BTreeMap::new() });
        debug_assert_eq!(family.type_, type_, "{name} is made in two ways");
        family.series.entry(render_labels(labels)).or_default().clone()
    }
}

fn render_labels(labels: &[(&str, &str)]) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let pairs: Vec<String> = labels
        .iter()
        .map(|(name, value)| {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            format!("{name}=\"{value}\"")
        })
        .collect();
    format!("{{{}}}", pairs.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_render_as_prometheus_text() {
        let registry = Registry::default();
        registry.counter("b_total", "B.", &[("kind", "a\"b")]).add(2);
        registry.counter("b_total", "B.", &[("kind", "a\"b")]).inc();
        registry.gauge("a", "A.", &[]).set(7);
        let expected = "# HELP a A.\n# TYPE a gauge\na 7\n\
            # HELP b_total B.\n# TYPE b_total counter\nb_total{kind=\"a\\\"b\"} 3\n";
        assert_eq!(registry.render(), expected);
    }
}
