//! What random tests share: seeded draws, cases that name their seed, and mutation of inputs.
//!
//! `CAPIM_SEED` is the seed of the first case (a failure names the seed of its case, which repeats
//! it as the first one); `CAPIM_FUZZ` multiplies the number of cases. Cases run in a thread with the
//! stack of a server's worker, so that unbounded recursion fails; one that takes longer than
//! `CASE_SECONDS_MAX` fails, too.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use serde_json::{Map, Value, json};

/// Longest time of one case: far more than any bounded input needs on a busy machine.
const CASE_SECONDS_MAX: u64 = 60;

/// The stack of the threads that handle requests.
const STACK: usize = 2 << 20;

/// Seeded randomness (SplitMix64).
#[derive(Clone, Debug)]
pub(crate) struct Draw(u64);

impl Draw {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below a bound, which is not zero.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.number() % bound as u64).expect("below a usize")
    }

    /// Whether one of so many equally likely cases holds.
    pub(crate) fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }

    pub(crate) fn flip(&mut self) -> bool {
        self.one_in(2)
    }

    pub(crate) fn of<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.below(choices.len())]
    }

    pub(crate) fn byte(&mut self) -> u8 {
        (self.number() & 0xff) as u8
    }

    /// Some of the items, in their order.
    pub(crate) fn some<T: Clone>(&mut self, items: &[T]) -> Vec<T> {
        items.iter().filter(|_| self.flip()).cloned().collect()
    }

    /// The same items in another order.
    pub(crate) fn shuffled<T>(&mut self, mut items: Vec<T>) -> Vec<T> {
        for index in (1..items.len()).rev() {
            items.swap(index, self.below(index + 1));
        }
        items
    }

    /// Any JSON, nested at most so deep.
    pub(crate) fn json(&mut self, depth: usize) -> Value {
        let kinds = if depth == 0 { 8 } else { 11 };
        match self.below(kinds) {
            0 => Value::Null,
            1 => json!(self.flip()),
            2 => json!(self.number()),
            3 => json!(-(self.below(100) as i64)),
            4 => json!(self.below(4)),
            5 => json!(self.below(100) as f64 / 8.0),
            6 => json!(self.of(&["", "a", "b", "é", "1", "~", "a/b", "\u{0}", "x.y"])),
            7 => json!(self.of(&["c", "metadata", "2026-01-01T00:00:00Z", "10Mi"])),
            8 => (0..self.below(4)).map(|_| self.json(depth - 1)).collect(),
            _ => {
                let fields = (0..self.below(4)).map(|_| {
                    let key = self.of(&["a", "b", "c", "name", "é", "a/b", "~", ""]).to_owned();
                    (key, self.json(depth - 1))
                });
                Value::Object(fields.collect::<Map<_, _>>())
            }
        }
    }

    /// A hostile neighbour of one of the texts: tokens put in, repeated or taken out, pieces of
    /// other texts, deep nesting, changed bytes, a missing end.
    pub(crate) fn mutant(&mut self, corpus: &[&str], tokens: &[&str]) -> Vec<u8> {
        let mut bytes = self.of(corpus).as_bytes().to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            let end = (at + self.below(12)).min(bytes.len());
            match self.below(9) {
                0 => drop(bytes.splice(at..at, self.of(tokens).bytes())),
                1 => drop(bytes.splice(at..end, self.of(tokens).bytes())),
                2 => drop(bytes.drain(at..end)),
                3 => {
                    let again = bytes[at..end].repeat(1 + self.below(3));
                    drop(bytes.splice(at..at, again));
                }
                4 => {
                    let other = self.of(corpus).as_bytes();
                    let start = self.below(other.len() + 1);
                    drop(bytes.splice(at..end, other[start..].iter().copied()));
                }
                5 if at < bytes.len() => bytes[at] = self.byte(),
                6 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                7 if self.one_in(8) => {
                    let many = self.of(tokens).repeat(1 + self.below(600));
                    drop(bytes.splice(at..at, many.bytes()));
                }
                8 if self.one_in(4) => bytes.truncate(at),
                _ => drop(bytes.splice(at..at, [self.byte()])),
            }
        }
        bytes
    }

    /// The same as text.
    pub(crate) fn mutant_text(&mut self, corpus: &[&str], tokens: &[&str]) -> String {
        String::from_utf8_lossy(&self.mutant(corpus, tokens)).into_owned()
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// How many cases there are where `CAPIM_FUZZ` says nothing else than `count`.
pub(crate) fn multiplied(count: u64) -> u64 {
    count * number("CAPIM_FUZZ", 1).max(1)
}

/// The seed of the first case.
pub(crate) fn first_seed() -> u64 {
    number("CAPIM_SEED", 1)
}

/// Names the case if the test fails in it.
struct Case<'a> {
    name: &'a str,
    seed: u64,
}

impl Drop for Case<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}: CAPIM_SEED={} begins with the case that fails", self.name, self.seed);
        }
    }
}

/// Runs a test for `count` seeds (times `CAPIM_FUZZ`), and adds up what it returns: how many cases
/// did what is not the usual refusal. The caller asserts that there were such cases.
pub(crate) fn cases(
    name: &'static str,
    count: u64,
    mut test: impl FnMut(&mut Draw) -> bool + Send + 'static,
) -> u64 {
    let (first, count) = (first_seed(), multiplied(count));
    let (started, cases) = channel();
    let run = move || {
        let mut telling = 0;
        for seed in (first..).take(usize::try_from(count).expect("a count")) {
            if started.send(seed).is_err() {
                break;
            }
            let case = Case { name, seed };
            telling += u64::from(test(&mut Draw::new(case.seed)));
        }
        telling
    };
    let worker = std::thread::Builder::new().name(name.to_owned()).stack_size(STACK);
    let worker = worker.spawn(run).expect("a thread");
    let mut current = first;
    loop {
        match cases.recv_timeout(Duration::from_secs(CASE_SECONDS_MAX)) {
            Ok(seed) => current = seed,
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                panic!("{name}: CAPIM_SEED={current} takes more than {CASE_SECONDS_MAX} s")
            }
        }
    }
    let telling = worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    println!("{name}: {count} cases from CAPIM_SEED={first}, {telling} of them telling");
    telling
}

#[test]
fn a_case_is_drawn_from_its_seed_alone() {
    let drawn = |seed| Draw::new(seed).json(4);
    assert_eq!(drawn(7), drawn(7));
    assert_eq!(cases("even numbers", 100, |draw| draw.number().is_multiple_of(2)), {
        let even = |seed: &u64| Draw::new(*seed).number().is_multiple_of(2);
        (first_seed()..first_seed() + multiplied(100)).filter(even).count() as u64
    });
}
