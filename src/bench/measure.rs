//! What the operating system knows about this process, and the sample data.

use serde_json::{Value, json};

/// User and system time of this process so far, in microseconds (proc(5), fields 14 and 15
/// of `/proc/self/stat`, in ticks of 10 ms).
pub fn cpu_us() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks = |n: usize| fields.get(n).and_then(|t| t.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) * 10_000.0
}

/// Resident memory of this process, in megabytes.
pub fn resident_mb() -> f64 {
    memory_mb("VmRSS:")
}

/// The most memory this process ever held, in megabytes.
pub fn peak_mb() -> f64 {
    memory_mb("VmHWM:")
}

fn memory_mb(name: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(name));
    let kb = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
    kb.unwrap_or(0.0) / 1024.0
}

/// The value that `share` of a hundred sorted values do not exceed; 0 where there are none.
pub fn percentile(sorted: &[f64], share: usize) -> f64 {
    let place = (sorted.len() * share / 100).min(sorted.len().saturating_sub(1));
    sorted.get(place).copied().unwrap_or(0.0)
}

/// Customers the benchmark writes to: of ten six by e-mail, three by text, one by call.
pub const CUSTOMERS: usize = 1_000;

pub fn customer(n: usize) -> Value {
    let channel = match n % 10 {
        0..=5 => "email",
        6..=8 => "sms",
        _ => "voice",
    };
    json!({
        "id": format!("C-{n}"), "name": format!("Customer {n}"), "locale": "en-GB",
        "time_zone": "Europe/London",
        "contact_points": [
            {"channel": "email", "address": format!("c{n}@example.com"), "verified": true},
            {"channel": "sms", "address": format!("+4479111{:05}", 20_000 + n), "verified": true},
            {"channel": "voice", "address": format!("+4479111{:05}", 20_000 + n), "verified": true}
        ],
        "preferences": {"channel_order": [channel]}
    })
}

/// An event that makes one message. The case is also its name in the sinks.
pub fn event(run: &str, n: usize, state: &str) -> Value {
    json!({
        "id": format!("{run}-{n}"), "source": "bench", "case": format!("{run}-{n}"),
        "case_type": "ticket", "customer": format!("C-{}", n % CUSTOMERS), "state": state,
        "facts": {"product": "Stock Manager", "seriousness": "high", "service_level": "gold"}
    })
}
