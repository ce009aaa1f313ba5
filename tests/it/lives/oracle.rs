//! Judges what reached the provider by the world alone: what each case was when a message
//! left, what hour it was there, and whether every step was told or is listed by what took its
//! place.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Zoned;
use serde_json::Value;
use sqlx::{Connection, PgConnection, SqliteConnection};
use tidings::domain::time::Instant;
use tidings::domain::{NotificationId, Zones};

use super::world::{Step, World};

/// A notification as it lies in the store.
#[derive(Debug, Clone)]
pub struct Row {
    pub id: String,
    pub case: String,
    pub notice: String,
    pub state: Option<String>,
    pub status: String,
    pub reason: Option<String>,
    pub carrier: Option<String>,
    pub skipped: Vec<(String, Option<String>)>,
    pub from_event: bool,
}

/// What was found, over one or many worlds.
#[derive(Debug, Default)]
pub struct Verdict {
    pub notifications: usize,
    pub handed_over: usize,
    pub folded: usize,
    pub superseded: usize,
    pub findings: Vec<String>,
}

impl Verdict {
    pub fn add(&mut self, other: Self) {
        self.notifications += other.notifications;
        self.handed_over += other.handed_over;
        self.folded += other.folded;
        self.superseded += other.superseded;
        self.findings.extend(other.findings);
    }

    pub fn row(&self, name: &str) -> String {
        let kinds = ["stale", "hours", "cap", "digest", "lost"];
        let count = |kind: &str| self.findings.iter().filter(|f| f.starts_with(kind)).count();
        let found: Vec<String> =
            kinds.iter().map(|kind| format!("{kind} {}", count(kind))).collect();
        format!(
            "{name}: {} notifications, {} handed over, {} folded, {} superseded: {}",
            self.notifications,
            self.handed_over,
            self.folded,
            self.superseded,
            found.join(", ")
        )
    }
}

type Raw =
    (String, String, String, Option<String>, String, Option<String>, Option<String>, String, bool);

/// Every notification of a store.
pub async fn rows(url: &str) -> Vec<Row> {
    let sql = "SELECT id, case_id, notice, state, status, reason, carrier, skipped,
                      event_seq IS NOT NULL FROM notification";
    let found: Vec<Raw> = if url.starts_with("postgres") {
        let mut connection = PgConnection::connect(url).await.expect("a connection");
        sqlx::query_as(sql).fetch_all(&mut connection).await.expect("rows")
    } else {
        let mut connection = SqliteConnection::connect(url).await.expect("a connection");
        sqlx::query_as(sql).fetch_all(&mut connection).await.expect("rows")
    };
    found.into_iter().map(row).collect()
}

fn row((id, case, notice, state, status, reason, carrier, skipped, from_event): Raw) -> Row {
    let skipped: Vec<Value> = serde_json::from_str(&skipped).expect("a list");
    let step = |step: &Value| {
        let state = step["state"].as_str().map(str::to_owned);
        (step["notice"].as_str().expect("a notice").to_owned(), state)
    };
    let skipped = skipped.iter().map(step).collect();
    Row { id, case, notice, state, status, reason, carrier, skipped, from_event }
}

/// Steps of which the later one says all that the earlier one said.
const COMPARABLE: [(&str, &str); 5] = [
    ("opened", "working"),
    ("opened", "ready"),
    ("opened", "parts"),
    ("working", "parts"),
    ("working", "ready"),
];

fn comparable(a: &str, b: &str) -> bool {
    a == b
        || (a, b) == ("parts", "ready")
        || (a, b) == ("ready", "parts")
        || COMPARABLE.contains(&(a, b))
        || COMPARABLE.contains(&(b, a))
}

struct Judge<'a> {
    world: &'a World,
    zones: Zones,
    found: BTreeSet<String>,
}

/// Judges a world that has been played until `ends_at`.
pub fn judge(
    world: &World,
    rows: &[Row],
    ledger: &[(NotificationId, Instant)],
    ends_at: Instant,
) -> Verdict {
    let mut judge = Judge { world, zones: Zones::bundled(), found: BTreeSet::new() };
    let by_id: HashMap<&str, &Row> = rows.iter().map(|row| (row.id.as_str(), row)).collect();
    let mut riders: HashMap<&str, Vec<&Row>> = HashMap::new();
    for row in rows {
        if let Some(carrier) = &row.carrier {
            riders.entry(carrier).or_default().push(row);
        }
    }
    let mut days: BTreeMap<(usize, String), u32> = BTreeMap::new();
    let mut slots: BTreeMap<(usize, String), u32> = BTreeMap::new();
    for (id, at) in ledger {
        let id = id.to_string();
        let carrier = by_id[id.as_str()];
        let customer = judge.world.cases[&carrier.case].0;
        let there = judge.there(customer, *at);
        for told in riders.get(id.as_str()).into_iter().flatten().chain([&carrier]) {
            judge.is_true(told, *at);
        }
        judge.hour(carrier, customer, &there);
        if carrier.notice == "recall" {
            continue;
        }
        *days.entry((customer, there.date().to_string())).or_default() += 1;
        if let Some(hour) = judge.world.people[customer].daily_at {
            // The last slot before it left.
            let slot = if there.hour() >= hour {
                there.date()
            } else {
                there.date().yesterday().expect("a day")
            };
            *slots.entry((customer, slot.to_string())).or_default() += 1;
        }
    }
    for ((customer, day), count) in days {
        let cap = judge.world.people[customer].cap.unwrap_or(u32::MAX);
        if count > cap {
            judge.find(format!("cap: C-{customer} got {count} on {day}, and wants {cap}"));
        }
    }
    for ((customer, slot), count) in slots.into_iter().filter(|(_, count)| *count > 1) {
        judge.find(format!("digest: C-{customer} got {count} for {slot}"));
    }
    judge.every_step_is_told(rows, &by_id, ends_at);
    Verdict {
        notifications: rows.len(),
        handed_over: ledger.len(),
        folded: rows.iter().filter(|row| row.status == "folded").count(),
        superseded: rows.iter().filter(|row| row.status == "superseded").count(),
        findings: judge.found.into_iter().collect(),
    }
}

impl Judge<'_> {
    fn find(&mut self, what: String) {
        self.found.insert(what);
    }

    fn there(&self, customer: usize, at: Instant) -> Zoned {
        let zone = self.zones.get(self.world.people[customer].zone).expect("a zone");
        tidings::domain::time::local(at, &zone)
    }

    fn steps_until(&self, case: &str, at: Instant) -> Vec<&Step> {
        let (_, steps) = &self.world.cases[case];
        steps.iter().filter(|step| step.at <= at).collect()
    }

    /// Is what is told true when it leaves?
    fn is_true(&mut self, told: &Row, at: Instant) {
        let steps = self.steps_until(&told.case, at);
        let states: Vec<&str> = steps.iter().filter_map(|step| step.state).collect();
        let now = *states.last().expect("it has begun");
        let over = matches!(now, "fetched" | "scrapped");
        let fine = match told.notice.as_str() {
            "waiting" | "remind" => now == "waiting",
            "ready" => now == "ready",
            "recall" | "still" => !over,
            step => {
                // What came after it and says all it says would have taken its place.
                let since = states.iter().rposition(|state| *state == step).expect("it entered");
                !over && states[since + 1..].iter().all(|later| !comparable(step, later))
            }
        };
        if !fine {
            self.find(format!("stale: {} said {:?} when it was {now}", told.case, told.notice));
        }
    }

    fn hour(&mut self, carrier: &Row, customer: usize, there: &Zoned) {
        let quiet = self.world.people[customer].quiet.is_some_and(|(from, to)| {
            let hour = there.hour();
            if from > to { hour >= from || hour < to } else { hour >= from && hour < to }
        });
        let weekend = there.weekday().to_monday_zero_offset() >= 5;
        // The hour a customer chose for all news takes the place of the rule's.
        let gathered = self.world.people[customer].daily_at.is_some();
        let closed = weekend || there.hour() < 9 || there.hour() >= 18;
        let outside = carrier.notice == "remind" && closed && !gathered;
        if quiet || outside {
            self.find(format!("hours: C-{customer} got {} at {there}", carrier.notice));
        }
    }

    /// Told, or listed by what took its place, or no longer true.
    fn every_step_is_told(&mut self, rows: &[Row], by_id: &HashMap<&str, &Row>, ends_at: Instant) {
        let mut listed: BTreeMap<(&str, &str, Option<&str>), usize> = BTreeMap::new();
        for row in rows {
            for (notice, state) in &row.skipped {
                let key = (row.case.as_str(), notice.as_str(), state.as_deref());
                *listed.entry(key).or_default() += 1;
            }
        }
        for row in rows.iter().filter(|row| row.from_event) {
            let fine = match row.status.as_str() {
                "sent" => true,
                "folded" => row
                    .carrier
                    .as_deref()
                    .and_then(|id| by_id.get(id))
                    .is_some_and(|carrier| carrier.status == "sent"),
                "superseded" => {
                    let key = (row.case.as_str(), row.notice.as_str(), row.state.as_deref());
                    listed.contains_key(&key)
                }
                "cancelled" => matches!(
                    row.reason.as_deref(),
                    Some("left_state" | "case_final" | "end_of_play")
                ),
                _ => false,
            };
            if !fine {
                self.find(format!("lost: by {ends_at}, {row:?}"));
            }
        }
    }
}
