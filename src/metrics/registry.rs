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
    /// Asked before all is rendered: for numbers that nobody keeps.
    sources: Arc<Mutex<Vec<Source>>>,
}

type Source = Arc<dyn Fn(&Registry) + Send + Sync>;

struct Family {
    help: &'static str,
    type_: &'static str,
    /// Rendered labels -> value.
    series: BTreeMap<String, Arc<AtomicU64>>,
    /// Rendered labels without braces -> distribution.
    histograms: BTreeMap<String, Histogram>,
}

impl Family {
    fn new(help: &'static str, type_: &'static str) -> Self {
        Self { help, type_, series: BTreeMap::new(), histograms: BTreeMap::new() }
    }
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

/// How often values fell below each of some bounds. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Histogram(Arc<Distribution>);

struct Distribution {
    bounds: &'static [f64],
    /// Values up to each bound and above the one before; the last is for those above all.
    buckets: Vec<AtomicU64>,
    /// Bits of the sum of all values.
    sum: AtomicU64,
}

impl Histogram {
    fn new(bounds: &'static [f64]) -> Self {
        let buckets = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self(Arc::new(Distribution { bounds, buckets, sum: AtomicU64::new(0) }))
    }

    /// Counts a value.
    pub fn observe(&self, value: f64) {
        let Distribution { bounds, buckets, sum } = &*self.0;
        let bucket = bounds.partition_point(|bound| *bound < value);
        buckets[bucket].fetch_add(1, Ordering::Relaxed);
        // The closure always answers, so it cannot fail.
        let _ = sum.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |bits| {
            Some((f64::from_bits(bits) + value).to_bits())
        });
    }

    fn render(&self, text: &mut String, name: &str, labels: &str) {
        let Distribution { bounds, buckets, sum } = &*self.0;
        let separator = if labels.is_empty() { "" } else { "," };
        let mut count = 0;
        let bounds = bounds.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
        for (bucket, bound) in buckets.iter().zip(bounds) {
            count += bucket.load(Ordering::Relaxed);
            let _ = writeln!(text, "{name}_bucket{{{labels}{separator}le=\"{bound}\"}} {count}");
        }
        let braced = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
        let _ =
            writeln!(text, "{name}_sum{braced} {}", f64::from_bits(sum.load(Ordering::Relaxed)));
        let _ = writeln!(text, "{name}_count{braced} {count}");
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

    /// The histogram of this name and these labels; made on first use, with these bounds.
    pub fn histogram(
        &self,
        (name, help): (&'static str, &'static str),
        labels: &[(&str, &str)],
        bounds: &'static [f64],
    ) -> Histogram {
        let mut families = self.families.lock();
        let family = families.entry(name).or_insert_with(|| Family::new(help, "histogram"));
        let labels = render_labels(labels);
        let labels = labels.trim_start_matches('{').trim_end_matches('}').to_owned();
        family.histograms.entry(labels).or_insert_with(|| Histogram::new(bounds)).clone()
    }

    /// Has `source` bring its numbers up to date before all are rendered. It must not keep this
    /// registry alive.
    pub fn before_render(&self, source: impl Fn(&Self) + Send + Sync + 'static) {
        self.sources.lock().push(Arc::new(source));
    }

    /// Everything in the Prometheus text format 0.0.4.
    pub fn render(&self) -> String {
        let sources = self.sources.lock().clone();
        for source in sources {
            source(self);
        }
        let mut text = String::new();
        for (name, family) in self.families.lock().iter() {
            // Writing into a String cannot fail.
            let _ = writeln!(text, "# HELP {name} {}", family.help);
            let _ = writeln!(text, "# TYPE {name} {}", family.type_);
            for (labels, value) in &family.series {
                let _ = writeln!(text, "{name}{labels} {}", value.load(Ordering::Relaxed));
            }
            for (labels, histogram) in &family.histograms {
                histogram.render(&mut text, name, labels);
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
        let family = families.entry(name).or_insert_with(|| Family::new(help, type_));
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

    #[test]
    fn histograms_count_up_to_each_bound_and_sources_are_asked_first() {
        let registry = Registry::default();
        let taken = registry.histogram(("t_seconds", "T."), &[("c", "x")], &[0.5, 1.0]);
        for value in [0.25, 0.5, 0.75, 2.0] {
            taken.observe(value);
        }
        registry.before_render(|registry| registry.gauge("a", "A.", &[]).set(3));
        let expected = "# HELP a A.\n# TYPE a gauge\na 3\n# HELP t_seconds T.\n\
            # TYPE t_seconds histogram\nt_seconds_bucket{c=\"x\",le=\"0.5\"} 2\n\
            t_seconds_bucket{c=\"x\",le=\"1\"} 3\nt_seconds_bucket{c=\"x\",le=\"+Inf\"} 4\n\
            t_seconds_sum{c=\"x\"} 3.5\nt_seconds_count{c=\"x\"} 4\n";
        assert_eq!(registry.render(), expected);
    }
}
