//! The shapes of requests and answers as the OpenAPI document shows them. The reading itself,
//! with its pointers, is in the domain's `from_json`.
#![allow(dead_code, reason = "shapes are shown, never built")]

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// Something that happened to a case, in our own shape. `state` or `event` is required.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"id": "evt-1", "source": "returns-desk", "case": "R-1001",
    "case_type": "return", "customer": "C-42", "state": "received",
    "occurred_at": "2026-11-22T09:30:00Z", "facts": {"item": "Blue trousers"}}))]
#[serde(deny_unknown_fields)]
pub struct CaseEvent {
    /// Unique within its source: the same event sent again is known by it.
    #[schema(min_length = 1, max_length = 200)]
    pub id: String,
    /// Who tells of it; not `tidings`.
    #[schema(min_length = 1, max_length = 200)]
    pub source: String,
    #[schema(min_length = 1, max_length = 200)]
    pub case: String,
    /// The journey that speaks of it.
    #[schema(min_length = 1, max_length = 100)]
    pub case_type: String,
    #[schema(min_length = 1, max_length = 200)]
    pub customer: String,
    /// The state the case is in from now on.
    #[schema(max_length = 100)]
    pub state: Option<String>,
    /// A named event without a change of state.
    #[schema(max_length = 100)]
    pub event: Option<String>,
    /// Orders the events of a case; otherwise `occurred_at` does.
    pub version: Option<i64>,
    /// RFC 3339; the moment of acceptance when absent; at most 5 minutes ahead.
    #[schema(format = DateTime)]
    pub occurred_at: Option<String>,
    /// Merged key by key into what is known of the case; `null` removes a fact.
    pub facts: Option<BTreeMap<String, Value>>,
}

/// A CloudEvent 1.0 in JSON: `data` is a case event without id and source.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"specversion": "1.0", "id": "evt-1", "source": "/returns-desk",
    "type": "return.received", "subject": "R-1001", "time": "2026-11-22T09:30:00Z",
    "data": {"case_type": "return", "customer": "C-42", "state": "received"}}))]
pub struct CloudEvent {
    pub specversion: SpecVersion,
    #[schema(min_length = 1, max_length = 200)]
    pub id: String,
    #[schema(min_length = 1, max_length = 200)]
    pub source: String,
    #[schema(rename = "type", min_length = 1)]
    pub kind: String,
    /// Stands in for `data.case`.
    pub subject: Option<String>,
    /// Stands in for `data.occurred_at`.
    pub time: Option<String>,
    pub datacontenttype: Option<String>,
    pub data: Option<BTreeMap<String, Value>>,
}

#[derive(Serialize, ToSchema)]
pub enum SpecVersion {
    #[serde(rename = "1.0")]
    V1,
}

/// One event, or up to a hundred.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum Events {
    One(Box<CaseEvent>),
    Many(Vec<CaseEvent>),
}

/// What became of each event, in the order of the request.
#[derive(Serialize, ToSchema)]
pub struct EventResults {
    pub results: Vec<EventResult>,
}

#[derive(Serialize, ToSchema)]
pub struct EventResult {
    /// As it was sent.
    pub source: Value,
    pub id: Value,
    pub result: EventOutcome,
    pub errors: Option<Vec<Fault>>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventOutcome {
    /// On durable storage.
    Accepted,
    /// The same event was accepted before.
    Duplicate,
    /// Another event has this source and id.
    Conflict,
    Invalid,
}

/// One thing that is wrong.
#[derive(Serialize, ToSchema)]
pub struct Fault {
    /// Where: a JSON pointer (RFC 6901) into the request.
    pub pointer: String,
    /// What is wrong and how to mend it.
    pub detail: String,
}

/// A refusal (RFC 9457).
#[derive(Serialize, ToSchema)]
pub struct Problem {
    #[schema(rename = "type")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    pub detail: String,
    pub errors: Option<Vec<Fault>>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    Email,
    Sms,
    Voice,
}

/// An address of a customer.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ContactPoint {
    pub channel: Channel,
    /// RFC 5321 for e-mail, E.164 for text and voice.
    pub address: String,
    /// Only verified addresses are used.
    pub verified: Option<bool>,
}

/// What a customer chose. What is left out is as the settings say.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Preferences {
    /// Named is allowed, best first; left out is refused.
    pub channel_order: Option<Vec<Channel>>,
    /// Topic → channel → wanted.
    pub topics: Option<BTreeMap<String, BTreeMap<String, bool>>>,
    /// `"21:00-08:00"` on the customer's clock, or one per channel.
    pub quiet_hours: Option<Value>,
    pub urgent_any_hour: Option<bool>,
    /// Topic → `daily 18:00` or `weekly MON 09:00`.
    pub digest: Option<BTreeMap<String, String>>,
    #[schema(minimum = 0)]
    pub cap_per_day: Option<u32>,
    /// RFC 3339.
    pub paused_until: Option<String>,
    /// No case details where somebody else may look.
    pub discreet: Option<bool>,
}

/// A customer as a system tells of them.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"name": "Ada Byron", "locale": "en-GB", "time_zone": "Europe/London",
    "contact_points": [{"channel": "email", "address": "ada@example.com", "verified": true}]}))]
#[serde(deny_unknown_fields)]
pub struct Customer {
    /// The one in the path, if given.
    pub id: Option<String>,
    pub name: String,
    /// BCP 47.
    pub locale: Option<String>,
    /// IANA.
    pub time_zone: Option<String>,
    pub attributes: Option<BTreeMap<String, Value>>,
    pub contact_points: Option<Vec<ContactPoint>>,
    /// Fill only what the customer has not chosen.
    pub preferences: Option<Preferences>,
}

/// What a customer chose for one case.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CaseChoice {
    pub channel: Option<Channel>,
    /// Nothing about this case.
    pub muted: Option<bool>,
}

/// How long customers wait for a person, per channel.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"voice": {"shortest_s": 120, "longest_s": 600}}))]
#[serde(deny_unknown_fields)]
pub struct WaitTimes {
    pub email: Option<WaitTime>,
    pub sms: Option<WaitTime>,
    pub voice: Option<WaitTime>,
}

/// The expected wait as a range, in seconds.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WaitTime {
    #[schema(minimum = 0, maximum = 604_800)]
    pub shortest_s: i64,
    /// Not less than the shortest.
    #[schema(minimum = 0, maximum = 604_800)]
    pub longest_s: i64,
}

/// Whom to call.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Callback {
    pub customer: String,
}

/// A call that was promised.
#[derive(Serialize, ToSchema)]
pub struct PromisedCall {
    /// RFC 3339.
    pub by: String,
}

/// What mail that came back was taken for.
#[derive(Serialize, ToSchema)]
pub struct InboundMail {
    /// `receipt`, `complaint`, `reply`, `ignored` or `unknown`.
    pub result: String,
    /// For people.
    pub detail: String,
}

/// What came of a task.
#[derive(Serialize, ToSchema)]
pub struct TaskDone {
    /// `reached` (also when left out), or `not_reached` for a promised call nobody answered.
    pub outcome: Option<String>,
}

/// When a call is tried again.
#[derive(Serialize, ToSchema)]
pub struct NextTry {
    /// RFC 3339; null once it is left to a person.
    pub by: Option<String>,
}

/// A notification in a listing; one alone has its decisions, attempts and receipts besides.
#[derive(Serialize, ToSchema)]
pub struct Notification {
    pub id: String,
    pub notice: String,
    pub status: String,
    pub reason: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub struct Notifications {
    pub notifications: Vec<Notification>,
    /// Send as `after` for the next page.
    pub next: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub struct Tasks {
    pub tasks: Vec<Task>,
}

/// Work for a person, because software could not.
#[derive(Serialize, ToSchema)]
pub struct Task {
    /// Send the last one as `after` for the next page.
    pub seq: i64,
    pub kind: String,
    pub detail: String,
}

/// A hook, and how it is doing.
#[derive(Serialize, ToSchema)]
pub struct Webhook {
    pub name: String,
    /// Null for a hook that is no longer in the settings.
    pub url: Option<String>,
    pub events: Vec<String>,
    /// Of the last thousand deliveries.
    pub delivered: i64,
    pub failed: i64,
    /// From 0 to 1; null when nothing ended.
    pub rate: Option<f64>,
    pub pending: i64,
    /// Milliseconds since 1970: since then nothing goes there, for the receiver said 410.
    pub stopped_at_ms: Option<i64>,
}

#[derive(Serialize, ToSchema)]
pub struct Webhooks {
    pub webhooks: Vec<Webhook>,
}

/// What one hook was told, or is to be told.
#[derive(Serialize, ToSchema)]
pub struct Delivery {
    pub id: i64,
    pub hook: String,
    /// `webhook-id`, the same for every hook and at every attempt.
    pub event: String,
    #[schema(rename = "type")]
    pub kind: String,
    pub case_id: Option<String>,
    pub customer_id: Option<String>,
    /// `pending`, `delivered` or `failed`.
    pub status: String,
    pub attempts: i64,
    pub occurred_at_ms: i64,
    pub next_at_ms: i64,
    pub last_at_ms: Option<i64>,
    /// The HTTP status of the last answer.
    pub answer: Option<i64>,
    /// Its beginning, or why there was none.
    pub said: Option<String>,
    pub took_ms: Option<i64>,
}

#[derive(Serialize, ToSchema)]
pub struct Deliveries {
    pub deliveries: Vec<Delivery>,
    /// Send as `before` for the next page.
    pub next: Option<i64>,
}

#[derive(Serialize, ToSchema)]
pub struct Replayed {
    pub count: i64,
    pub replayed: i64,
}

#[derive(Serialize, ToSchema)]
pub struct Link {
    pub link: String,
    pub works_until: String,
}

/// A version to publish: the one in force with some files replaced.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"reason": "A sooner reminder",
    "files": {"journeys/return.toml": "case_type = \"return\"…"}}))]
#[serde(deny_unknown_fields)]
pub struct NewVersion {
    /// Name → its new text; `null` for a file that goes.
    pub files: BTreeMap<String, Option<String>>,
    /// Why, for the record.
    #[schema(min_length = 1, max_length = 500)]
    pub reason: String,
    /// The version it starts from; refused when another one is in force.
    #[schema(max_length = 100)]
    pub base: Option<String>,
    /// For so many per cent of the cases first.
    #[schema(minimum = 1, maximum = 100, default = 100)]
    pub percent: Option<u8>,
    /// Who else looked at it, where the console has no operators.
    #[schema(max_length = 100)]
    pub approved_by: Option<String>,
}

/// A document whose members are described by the README.
#[derive(Serialize, ToSchema)]
pub struct Document {
    #[serde(flatten)]
    pub members: BTreeMap<String, Value>,
}

/// What to look at, and what to set beside the version in force. Nothing at all plays the version
/// in force alone.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"from": "2026-10-01", "to": "2026-10-31",
    "journeys": {"files": {"journeys/return.toml": "case_type = \"return\"\n…"}},
    "settings": {"limits": {"cap_per_day": 3}}}))]
#[serde(deny_unknown_fields)]
pub struct Simulation {
    /// The first day looked at, in UTC.
    #[schema(format = Date)]
    pub from: Option<String>,
    /// The last day; the clock stops at its end.
    #[schema(format = Date)]
    pub to: Option<String>,
    pub journeys: Option<SimulatedJourneys>,
    /// Values of `topics`, `quiet_hours`, `legal_hours`, `limits` and `prices`.
    pub settings: Option<BTreeMap<String, Value>>,
}

/// Either of the two.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SimulatedJourneys {
    /// Files that take the place of published ones, by name: `journeys/return.toml`,
    /// `messages/return/received.en.j2`; null leaves one out.
    pub files: Option<BTreeMap<String, Option<String>>>,
    /// The hash of a version that was published before.
    pub version: Option<String>,
}
