//! The engine's costs, as JSON lines.
//!
//! `cargo bench --bench engine [-- PART...]`; without parts all of them, each in a process of its
//! own, so that figures of memory do not mix:
//!
//! * `requests`: requests and lists in process, watch fan-out in process; times are per operation:
//!   wall microseconds, and CPU microseconds of the whole process (client included);
//! * `https`: the same over TLS and HTTP/2, on one connection with one stream and with several; CPU
//!   microseconds are those of the server's threads alone, and beside each figure stands that of a
//!   trivial axum handler with the same TLS and the same answer;
//! * `watches`: a thousand watchers of one resource over TLS, beside a trivial stream;
//! * `objects`, `machines`, `idle-watches`: memory of what is stored and of who waits;
//! * `clusters`, `listeners`: memory of a thousand workload clusters, and of their ports alone.

mod clusters;
mod https;
mod measure;
mod memory;
mod requests;
mod transport;
mod trivial;
mod watches;

use std::process::Command;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const PARTS: [&str; 8] = [
    "requests",
    "https",
    "watches",
    "objects",
    "machines",
    "idle-watches",
    "clusters",
    "listeners",
];

fn main() {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    match arguments.as_slice() {
        [] => PARTS.iter().for_each(|part| run_apart(part)),
        [part] => run(part),
        parts => parts.iter().for_each(|part| run_apart(part)),
    }
}

fn run_apart(part: &str) {
    let program = std::env::current_exe().expect("a process knows its own path");
    let status = Command::new(program).arg(part).status().expect("the bench runs itself");
    assert!(status.success(), "part {part} failed");
}

fn run(part: &str) {
    capim::playground::raise_file_limit();
    match part {
        "requests" => measure::on_one_runtime(requests::run()),
        "https" => https::run(),
        "watches" => watches::run(),
        "objects" => measure::on_one_runtime(memory::objects()),
        "machines" => measure::on_one_runtime(memory::machines()),
        "idle-watches" => measure::on_one_runtime(memory::idle_watches()),
        "clusters" => measure::on_one_runtime(clusters::clusters()),
        "listeners" => measure::on_one_runtime(clusters::listeners()),
        unknown => panic!("there is no part {unknown}; there are {}", PARTS.join(", ")),
    }
}
