//! What a bench that runs a playground in its own process uses.

use capim::clock::Clock;

/// What the process has used so far.
pub struct Usage {
    /// Seconds of the clock.
    pub elapsed: f64,
    /// Seconds of CPU.
    pub cpu: f64,
    /// Memory now.
    pub resident_mib: f64,
    /// Most memory so far.
    pub peak_mib: f64,
}

impl Usage {
    /// Reads the kernel's counts.
    pub fn now(clock: &Clock) -> Self {
        let status = std::fs::read_to_string("/proc/self/status").expect("Linux has /proc");
        let mib = |field: &str| {
            let line = status.lines().find(|line| line.starts_with(field)).expect("known field");
            let kib: f64 = line
                .split_whitespace()
                .nth(1)
                .and_then(|number| number.parse().ok())
                .expect("a number");
            rounded(kib / 1024.0)
        };
        let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux has /proc");
        let fields: Vec<&str> =
            stat.rsplit(')').next().expect("stat has fields").split_whitespace().collect();
        let ticks: f64 =
            fields[11].parse::<f64>().expect("utime") + fields[12].parse::<f64>().expect("stime");
        Self {
            elapsed: clock.elapsed().as_secs_f64(),
            // The kernel counts in hundredths of a second.
            cpu: ticks / 100.0,
            resident_mib: mib("VmRSS:"),
            peak_mib: mib("VmHWM:"),
        }
    }
}

/// Two digits after the point.
pub fn rounded(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}
