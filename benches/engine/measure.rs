//! What a process uses, as the kernel counts it.

use std::fs;

use serde_json::Value;

/// Names of the threads of the two runtimes of a bench that tells server and client apart.
pub const SERVER: &str = "bench-server";
pub const CLIENT: &str = "bench-client";

/// Runs a bench that has everything in one runtime.
pub fn on_one_runtime(work: impl Future<Output = ()>) {
    tokio::runtime::Runtime::new().expect("a tokio runtime starts").block_on(work);
}

/// A runtime whose threads bear a name.
pub fn runtime(name: &str, threads: usize) -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name(name)
        .enable_all()
        .build()
        .expect("a tokio runtime starts")
}

/// CPU seconds of this process so far; the kernel counts in hundredths.
pub fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").expect("Linux has /proc");
    let fields: Vec<&str> =
        stat.rsplit(')').next().expect("stat has fields").split_whitespace().collect();
    let ticks = |index: usize| fields[index].parse::<f64>().expect("a number of ticks");
    (ticks(11) + ticks(12)) / 100.0
}

/// CPU seconds of the threads that bear a name, in nanoseconds' precision.
pub fn cpu_seconds_of(name: &str) -> f64 {
    let threads = fs::read_dir("/proc/self/task").expect("Linux has /proc");
    let nanoseconds = threads.flatten().filter_map(|thread| {
        let comm = fs::read_to_string(thread.path().join("comm")).ok()?;
        let is_meant = comm.trim() == name;
        let schedstat = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        let on_cpu = schedstat.split_whitespace().next()?.parse::<f64>().ok()?;
        is_meant.then_some(on_cpu)
    });
    nanoseconds.sum::<f64>() / 1e9
}

/// Bytes of memory that the process has resident.
pub fn resident_bytes() -> f64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux has /proc");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a known field");
    let kib = line.split_whitespace().nth(1).and_then(|number| number.parse::<f64>().ok());
    kib.expect("a number") * 1024.0
}

/// Open descriptors of the process.
pub fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").expect("Linux has /proc").count()
}

/// Seconds over a number of operations, as microseconds with one digit.
pub fn micros(seconds: f64, operations: usize) -> f64 {
    (seconds * 1e7 / operations as f64).round() / 10.0
}

/// Two digits.
pub fn rounded(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

pub fn print(line: &Value) {
    println!("{line}");
}
