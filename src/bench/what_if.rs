//! How long a what-if takes, and how much memory: a made-up help desk of so many events under
//! the shipped journeys and under a change to them, with the page of plots.

use std::collections::BTreeSet;
use std::io::Read;
use std::time::Instant as Monotonic;

use serde::Serialize;
use serde_json::json;

use crate::app::content;
use crate::app::simulate::figures::Period;
use crate::app::simulate::page::{Heading, page};
use crate::app::simulate::study::Study;
use crate::app::simulate::{FromFiles, Version};
use crate::clock::{Clock, newest_zones};
use crate::config::Settings;
use crate::domain::time::{Instant, from_ms};
use crate::simulate::Ending;

use super::measure;

/// What the change is: the first reminder comes after two days instead of three.
const CHANGED: (&str, &str) = ("after = \"3 working days\"", "after = \"2 working days\"");

/// Events of one case, and cases of one customer.
const STEPS: [(&str, i64); 6] = [
    ("insert_ticket", 0),
    ("assign_seriousness", 1),
    ("take_in_charge_ticket", 5),
    ("wait", 30),
    ("resolve_ticket", 200),
    ("closed", 340),
];
const CASES_EACH: usize = 12;

const HOUR_MS: i64 = 3_600_000;

/// 2022-01-03, a Monday, from when on four years of cases begin.
const FIRST_MS: i64 = 1_641_200_400_000;
const YEARS_MS: i64 = 4 * 365 * 24 * HOUR_MS;

/// What it came to.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct WhatIf {
    pub cores: usize,
    pub events: usize,
    pub customers: usize,
    /// Groups of customers who share no case.
    pub groups: usize,
    pub versions: usize,
    /// Messages under the first version.
    pub messages: i64,
    pub read_s: f64,
    pub played_s: f64,
    /// Both, and the page written.
    pub seconds: f64,
    pub cpu_s: f64,
    pub per_second: f64,
    pub peak_mb: f64,
}

/// Plays `events` made-up events.
///
/// # Errors
/// When the shipped journeys cannot be read.
#[allow(clippy::cast_precision_loss, reason = "a rate for people")]
pub fn run(events: usize) -> Result<WhatIf, anyhow::Error> {
    let text = "[sender]\nname = \"Example Shop\"\nmail_from = \"Example Shop <service@example.com>\"\nphone = \"+442079460000\"\n\
         [channels.sms]\nprovider = \"outbox\"\n[channels.voice]\nprovider = \"outbox\"\n\
         [prices]\ncurrency = \"GBP\"\nemail = 0.001\nsms = { default = 0.04 }\nvoice = { default = 0.1 }\n";
    let settings = Settings::read("the benchmark's settings", text, [])
        .map_err(|finding| anyhow::anyhow!("{finding}"))?;
    let (began, cpu) = (Monotonic::now(), measure::cpu_us());
    let zones = newest_zones();
    let files = content::version_files(&settings)?;
    let mut changed = files.clone();
    for text in changed.files.values_mut() {
        *text = text.replace(CHANGED.0, CHANGED.1);
    }
    let compile = |files| {
        Version::compile(&settings, files, &zones).map_err(|error| anyhow::anyhow!("{error}"))
    };
    let (before, after) = (compile(&files)?, compile(&changed)?);
    let cases = events.div_ceil(STEPS.len());
    let customers = cases.div_ceil(CASES_EACH);
    let read = FromFiles::read(
        Made::new(cases * STEPS.len(), event),
        Made::new(customers, customer),
        &zones,
        Clock::System.now(),
    );
    let history = read.history;
    let read_s = began.elapsed().as_secs_f64();
    let instants = || history.instants();
    let first = instants().next().unwrap_or_else(|| from_ms(FIRST_MS));
    let end = instants().next_back().unwrap_or(first) + chrono::TimeDelta::days(30);
    let period = Period { from: first, to: end };
    let ending = Ending::Cancel(end);
    let study = Study {
        history: &history,
        ending,
        period,
        recorded: None,
        reworded: &BTreeSet::new(),
        remember: true,
    };
    let sides = [(&before, &settings.prices), (&after, &settings.prices)];
    let answer = study.answer(&sides);
    let names = vec!["shipped".to_owned(), "two days".to_owned()];
    let heading = Heading::new(names, history.len(), period);
    std::hint::black_box(page(&heading, &answer.versions(), answer.comparison.as_ref())?);
    let seconds = began.elapsed().as_secs_f64();
    Ok(WhatIf {
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        events: history.len(),
        customers,
        groups: answer.groups,
        versions: sides.len(),
        messages: answer.figures[0].messages,
        read_s,
        played_s: seconds - read_s,
        seconds,
        cpu_s: (measure::cpu_us() - cpu) / 1_000_000.0,
        per_second: history.len() as f64 / seconds,
        peak_mb: measure::peak_mb(),
    })
}

/// A file that is made while it is read.
struct Made {
    next: usize,
    count: usize,
    line: fn(usize) -> String,
    rest: Vec<u8>,
    read: usize,
}

impl Made {
    const fn new(count: usize, line: fn(usize) -> String) -> Self {
        Self { next: 0, count, line, rest: Vec::new(), read: 0 }
    }
}

impl Read for Made {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.read == self.rest.len() {
            if self.next == self.count {
                return Ok(0);
            }
            self.rest = (self.line)(self.next).into_bytes();
            (self.next, self.read) = (self.next + 1, 0);
        }
        let taken = into.len().min(self.rest.len() - self.read);
        into[..taken].copy_from_slice(&self.rest[self.read..self.read + taken]);
        self.read += taken;
        Ok(taken)
    }
}

/// A number that looks like chance and is the same every time (`SplitMix64`).
const fn spread(n: usize) -> u64 {
    let mut z = (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z ^ (z >> 27)
}

fn event(n: usize) -> String {
    let (case, step) = (n / STEPS.len(), n % STEPS.len());
    let (state, hours) = STEPS[step];
    let begins = i64::try_from(spread(case) % u64::try_from(YEARS_MS).unwrap_or(1)).unwrap_or(0);
    let pace = 1 + i64::try_from(spread(case + 1) % 4).unwrap_or(0);
    let jitter = i64::try_from(spread(n) % 3_600_000).unwrap_or(0);
    let at: Instant = from_ms(FIRST_MS + begins + hours * pace * HOUR_MS / 2 + jitter);
    let mut event = json!({
        "id": format!("e{n}"), "source": "bench", "case": format!("T-{case}"),
        "case_type": "ticket", "customer": format!("C-{}", case / CASES_EACH), "state": state,
        "version": step + 1, "occurred_at": at.to_rfc3339(),
    });
    if step == 0 {
        event["facts"] = json!({
            "product": format!("Product {}", spread(case) % 20), "seriousness": "high",
            "service_level": "gold",
        });
    }
    format!("{event}\n")
}

fn customer(n: usize) -> String {
    let (locale, zone) = match n % 4 {
        0 => ("en-GB", "Europe/London"),
        1 => ("de-DE", "Europe/Berlin"),
        2 => ("fr-FR", "Europe/Paris"),
        _ => ("en-US", "America/New_York"),
    };
    let mut customer = measure::customer(n);
    customer["locale"] = json!(locale);
    customer["time_zone"] = json!(zone);
    // Ten thousand numbers are free; several customers share one.
    for point in customer["contact_points"].as_array_mut().into_iter().flatten().skip(1) {
        point["address"] = json!(format!("+4479111{:05}", 20_000 + n % 10_000));
    }
    format!("{customer}\n")
}
