//! Property: a watch is a list and the events since, whatever writers, watchers and compaction do.
//!
//! The checks are etcd's (tests/robustness/validate/watch.go): ordered, unique, atomic, reliable,
//! resumable, bookmarkable; and the previous state decides between ADDED and MODIFIED. Revisions
//! are a total order, so the truth is what the writers were told.

use std::collections::BTreeMap;

use futures::FutureExt;
use parking_lot::Mutex;

use super::*;
use crate::clock::Seed;

const WRITERS: usize = 8;
const WATCHERS: usize = 8;
const WRITES: usize = 150;
const NAMES: usize = 5;

/// What the writers know: the object's label after each revision; `None` for a deletion.
type Truth = BTreeMap<u64, (String, Option<String>)>;

/// A source of numbers that depend on the seed and on how often it was asked.
struct Draw {
    seed: Seed,
    who: String,
    count: u64,
}

impl Draw {
    fn new(seed: Seed, who: String) -> Self {
        Self { seed, who, count: 0 }
    }

    fn below(&mut self, bound: usize) -> usize {
        self.count += 1;
        let number = self.seed.number(&[&self.who, &self.count.to_string()]);
        usize::try_from(number % bound as u64).unwrap()
    }
}

/// How often things happened that a run must have seen to mean anything.
#[derive(Debug, Default)]
struct Tally {
    events: usize,
    bookmarks: usize,
    expired: usize,
    resumed: usize,
    lists: usize,
    conflicts: usize,
}

async fn write(harness: &Harness, truth: &Mutex<Truth>, tally: &Mutex<Tally>, mut draw: Draw) {
    for _ in 0..WRITES {
        let name = format!("m{}", draw.below(NAMES));
        let path = format!("{MAPS}/{name}");
        let label = draw.below(2).to_string();
        let body = json!({"metadata": {"name": name, "labels": {"l": label}},
            "data": {"n": draw.below(1_000_000).to_string()}});
        let answer = match draw.below(10) {
            0 | 1 => harness.post(MAPS, body).await,
            2 => {
                // The answer of a deletion does not tell its revision; the log does.
                let before = harness.server.store().revision();
                let answer = harness.delete(&path, Value::Null).await;
                if answer.code == 200 {
                    assert_eq!(harness.server.store().revision(), before + 1);
                    truth.lock().insert(before + 1, (name, None));
                }
                tokio::task::yield_now().await;
                continue;
            }
            3 => {
                let mut stale = harness.get(&path).await.body;
                tokio::task::yield_now().await;
                stale["metadata"]["labels"] = json!({"l": label});
                stale["data"] = body["data"].clone();
                harness.put(&path, stale).await
            }
            _ => {
                let patch = json!({"metadata": {"labels": {"l": label}}, "data": body["data"]});
                harness.merge(&path, patch).await
            }
        };
        match answer.code.as_u16() {
            200 | 201 => {
                let label = answer.body["metadata"]["labels"]["l"].as_str().map(str::to_owned);
                let before = truth.lock().insert(version(&answer.body), (name, label.clone()));
                // A write that changes nothing repeats its object's revision.
                assert!(before.is_none_or(|(_, known)| known == label));
            }
            409 => tally.lock().conflicts += 1,
            404 | 400 => {}
            code => panic!("{code}: {}", answer.body),
        }
        for _ in 0..draw.below(8) {
            tokio::task::yield_now().await;
        }
        if draw.below(20) == 0 {
            // Virtual: time for bookmarks.
            harness.server.clock().sleep(Duration::from_millis(700)).await;
        }
    }
}

/// One client: lists, watches, resumes where it was, lists again when it has to.
struct Follower {
    selects: Option<&'static str>,
    objects: BTreeMap<String, (u64, String)>,
    /// Events up to here were seen, or must never be.
    position: u64,
    draw: Draw,
}

impl Follower {
    fn selector(&self) -> String {
        self.selects.map(|label| format!("&labelSelector=l%3D{label}")).unwrap_or_default()
    }

    async fn list(&mut self, harness: &Harness, tally: &Mutex<Tally>) {
        tally.lock().lists += 1;
        self.objects.clear();
        let limit = 1 + self.draw.below(4);
        let mut query = format!("limit={limit}");
        loop {
            let answer = harness.get(&format!("{MAPS}?{query}{}", self.selector())).await;
            if answer.code == 410 {
                self.objects.clear();
                query = format!("limit={limit}");
                continue;
            }
            let page = answer.ok();
            for item in page["items"].as_array().unwrap() {
                self.put(item);
            }
            self.position = version(&page);
            tokio::task::yield_now().await;
            match page["metadata"]["continue"].as_str() {
                Some(token) => query = format!("limit={limit}&continue={token}"),
                None => return,
            }
        }
    }

    fn put(&mut self, object: &Value) -> Option<(u64, String)> {
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        let label = object["metadata"]["labels"]["l"].as_str().unwrap().to_owned();
        self.objects.insert(name, (version(object), label))
    }

    async fn follow(&mut self, harness: &Harness, tally: &Mutex<Tally>, done: &Mutex<usize>) {
        self.list(harness, tally).await;
        loop {
            let path = format!(
                "{MAPS}?watch=1&allowWatchBookmarks=1&resourceVersion={}&timeoutSeconds=100{}",
                self.position,
                self.selector()
            );
            // In process, so that bookmarks come often.
            let request = Request::get(path).extension(InProcess);
            let response = harness.raw(request, Body::empty()).await;
            let stream = response.into_body().into_data_stream();
            let mut watch = Watch { stream, buffer: Vec::new() };
            let patience = 1 + self.draw.below(60);
            for _ in 0..patience {
                let is_done = *done.lock() == WRITERS;
                let event = match watch.next().now_or_never() {
                    Some(event) => event,
                    None if is_done && self.position == harness.server.store().revision() => return,
                    // Nothing to be seen now; time passes for bookmarks once nobody runs.
                    None => watch.next().await,
                };
                let Some(event) = event else { break };
                if !self.see(&event, tally) {
                    self.list(harness, tally).await;
                    break;
                }
                for _ in 0..self.draw.below(3) {
                    tokio::task::yield_now().await;
                }
            }
            tally.lock().resumed += 1;
            // Now and then a client is away for so long that its place is forgotten.
            let away = if self.draw.below(4) == 0 { 600 } else { 5 };
            for _ in 0..self.draw.below(away) {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Takes an event; false if the watch has to begin anew.
    fn see(&mut self, event: &Value, tally: &Mutex<Tally>) -> bool {
        let (kind, object) = (event["type"].as_str().unwrap(), &event["object"]);
        if kind == "ERROR" {
            assert_eq!(object["code"], 410, "{object}");
            tally.lock().expired += 1;
            return false;
        }
        let revision = version(object);
        if kind == "BOOKMARK" {
            assert!(revision >= self.position, "bookmarkable: {revision} after {}", self.position);
            tally.lock().bookmarks += 1;
        } else {
            assert!(
                revision > self.position,
                "ordered and unique: {revision} after {}",
                self.position
            );
            tally.lock().events += 1;
            let name = object["metadata"]["name"].as_str().unwrap();
            let before = match kind {
                "DELETED" => self.objects.remove(name),
                _ => self.put(object),
            };
            assert_eq!(before.is_some(), kind != "ADDED", "{kind} {name} at {revision}");
        }
        self.position = revision;
        true
    }

    /// Whether the copy is what the truth says about the follower's last revision.
    fn check(&self, truth: &Truth) {
        let mut wanted = BTreeMap::new();
        for (revision, (name, label)) in truth.range(..=self.position) {
            match label {
                Some(label) if self.selects.is_none_or(|wanted| wanted == label) => {
                    wanted.insert(name.clone(), (*revision, label.clone()));
                }
                Some(_) | None => {
                    wanted.remove(name);
                }
            }
        }
        assert_eq!(self.objects, wanted, "reliable, at {}", self.position);
    }
}

async fn run(seed: Seed) -> Tally {
    // Room for some forty events: who is away for a moment is too late.
    let harness = Harness::with_history(130_000).await;
    let (truth, tally) = (Mutex::new(Truth::new()), Mutex::new(Tally::default()));
    let done = Mutex::new(0);
    let writers = (0..WRITERS).map(|number| {
        let draw = Draw::new(seed, format!("writer-{number}"));
        write(&harness, &truth, &tally, draw).map(|()| *done.lock() += 1)
    });
    let mut followers: Vec<Follower> = (0..WATCHERS)
        .map(|number| Follower {
            selects: [None, Some("0"), Some("1")][number % 3],
            objects: BTreeMap::new(),
            position: 0,
            draw: Draw::new(seed, format!("watcher-{number}")),
        })
        .collect();
    let watchers = followers.iter_mut().map(|follower| follower.follow(&harness, &tally, &done));
    let all = futures::future::join(
        futures::future::join_all(writers),
        futures::future::join_all(watchers),
    );
    all.await;
    for follower in &followers {
        assert_eq!(follower.position, harness.server.store().revision());
        follower.check(&truth.lock());
    }
    tally.into_inner()
}

#[tokio::test(start_paused = true)]
async fn a_watch_is_a_list_and_the_events_since() {
    let first =
        std::env::var("CAPIM_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1_u64);
    let mut total = Tally::default();
    for seed in first..first + 8 {
        // Shown when the test fails: CAPIM_SEED repeats the run.
        println!("CAPIM_SEED={seed}");
        let tally = run(Seed(seed)).await;
        total.events += tally.events;
        total.bookmarks += tally.bookmarks;
        total.expired += tally.expired;
        total.resumed += tally.resumed;
        total.lists += tally.lists;
        total.conflicts += tally.conflicts;
    }
    println!("{total:?}");
    assert!(total.events > 5_000, "{total:?}");
    assert!(total.bookmarks > 10 && total.expired > 10 && total.resumed > 100, "{total:?}");
    assert!(total.conflicts > 10, "{total:?}");
}
