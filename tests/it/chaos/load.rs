//! What the case systems and the customers do during a run: events over HTTP, several cases
//! with several versions each, some in no order; opt-outs that race the sends.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use reqwest::Method;
use serde_json::{Value, json};
use tidings::clock::Clock;
use tidings::domain::time::from_ms;
use tidings::domain::token::{Grant, Keyring};
use tidings::domain::{Channel, CustomerId};

use super::cluster::KEY;
use super::doors::{Doors, PUBLIC_URL};
use super::ledger::now_ms;
use super::{parcel, pause};

/// A sender gives up after this many rounds without an open door.
const TRIES: u32 = 900;

/// A customer gives up sooner.
const CHOICE_TRIES: u32 = 30;

/// How much of what.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    pub customers: usize,
    pub cases: usize,
    /// The cases begin spread over this time.
    pub spread: Duration,
    /// Opt-outs and opt-ins per second, among the customers that change their minds.
    pub choices_per_s: usize,
}

/// Somebody with addresses and a will.
#[derive(Debug, Clone)]
pub struct Person {
    pub id: String,
    /// Allowed channels, best first.
    pub order: Vec<Channel>,
    /// It is night on this channel for as long as the run lasts.
    pub night_on: Option<Channel>,
    /// Changes their mind about this channel again and again.
    pub wavers_on: Option<Channel>,
}

/// The phone numbers of the runs end before this one.
const NUMBERS: usize = 1_000;

impl Person {
    pub fn new(n: usize) -> Self {
        use Channel::{Email, Sms, Voice};
        let (order, night_on, wavers_on): (&[Channel], _, _) = match n % 8 {
            0 => (&[Email], None, None),
            1 => (&[Sms, Email], None, None),
            2 => (&[Sms], None, None),
            3 => (&[Voice, Email], None, None),
            4 => (&[Email, Sms], None, None),
            5 => (&[Sms, Email], Some(Sms), None),
            6 => (&[Sms, Email], None, Some(Sms)),
            _ => (&[Email], None, Some(Email)),
        };
        Self { id: format!("K{n}"), order: order.to_vec(), night_on, wavers_on }
    }

    fn number(&self) -> usize {
        self.id[1..].parse().expect("a number")
    }

    pub fn address(&self, channel: Channel) -> String {
        match channel {
            Channel::Email => format!("{}@example.com", self.id.to_lowercase()),
            Channel::Sms | Channel::Voice => format!("+447911123{:03}", self.number()),
        }
    }

    fn preferences(&self) -> Value {
        let mut preferences = json!({ "channel_order": self.order });
        if let Some(channel) = self.night_on {
            let hour = Clock::System.now().timestamp() / 3_600 % 24;
            let night = format!("{:02}:00-{:02}:00", (hour + 20) % 24, (hour + 8) % 24);
            preferences["quiet_hours"] = json!({ channel.as_str(): night });
        }
        preferences
    }

    fn record(&self) -> Value {
        let points: Vec<Value> = self
            .order
            .iter()
            .map(|channel| json!({ "channel": channel, "address": self.address(*channel), "verified": true }))
            .collect();
        json!({ "id": self.id, "name": self.id, "locale": "en", "time_zone": "UTC",
                "contact_points": points, "preferences": self.preferences() })
    }
}

/// An event and what became of it at the door.
#[derive(Debug, Clone)]
pub struct Sent {
    pub body: Value,
    pub case: String,
    pub customer: usize,
    /// From 1; the state is that of [`parcel::STATES`].
    pub version: usize,
    /// The reminder's hour and end.
    pub reminder: Option<(i64, i64)>,
    /// When a 202 for it was read.
    pub accepted_ms: Option<i64>,
}

/// A channel that was confirmed to be off, for the topic `parcel`.
#[derive(Debug, Clone)]
pub struct Refusal {
    pub customer: usize,
    pub channel: Channel,
    pub from_ms: i64,
    pub until_ms: Option<i64>,
}

/// Everything that was said to the installation.
#[derive(Debug, Default)]
pub struct Said {
    pub sent: Vec<Sent>,
    pub refusals: Vec<Refusal>,
    /// Choices that were confirmed.
    pub choices: usize,
}

/// The load of one run.
pub struct Load {
    pub people: Arc<Vec<Person>>,
    pub said: Arc<Mutex<Said>>,
    seed: u64,
    size: Size,
    doors: Doors,
}

impl Load {
    pub fn new(seed: u64, size: Size, doors: Doors) -> Self {
        assert!(size.customers <= NUMBERS, "there are no more invented numbers");
        let people = (0..size.customers).map(Person::new).collect();
        Self { people: Arc::new(people), said: Arc::default(), seed, size, doors }
    }

    /// The customers as a file to import.
    pub fn customers(&self) -> String {
        let records: Vec<String> =
            self.people.iter().map(|person| person.record().to_string()).collect();
        records.join("\n")
    }

    /// Sends everything; completes when every event was accepted and the last choice made.
    pub async fn run(&self) {
        let cases: Vec<_> = (0..self.size.cases).map(|n| tokio::spawn(self.case(n))).collect();
        let choices = self.choices();
        for case in cases {
            case.await.expect("sent");
        }
        for choice in choices {
            choice.await.expect("chosen");
        }
    }

    /// Hands in the first event of so many cases, a hundred at a time.
    pub async fn at_once(&self, cases: usize) {
        for some in (0..cases).collect::<Vec<_>>().chunks(100) {
            let events = some.iter().map(|n| {
                let customer = n % self.people.len();
                sent(&format!("B{n}"), 1, (customer, &self.people[customer].id), None)
            });
            let mut events: Vec<Sent> = events.collect();
            let bodies: Vec<&Value> = events.iter().map(|event| &event.body).collect();
            let answer = self.doors.send(Method::POST, "/v1/events", &json!(bodies), TRIES).await;
            let (status, answer) = answer.expect("a door opens");
            assert_eq!(status, 202, "{answer}");
            for event in &mut events {
                event.accepted_ms = Some(now_ms());
            }
            self.said.lock().expect("lock").sent.extend(events);
        }
    }

    /// One case: its versions after one another, or all at once in no order.
    fn case(&self, n: usize) -> impl Future<Output = ()> + Send + use<> {
        let mut rng = SmallRng::seed_from_u64(self.seed.wrapping_mul(1_000_003) + n as u64);
        let spread_ms = u64::try_from(self.size.spread.as_millis()).expect("short").max(1);
        let starts_after = Duration::from_millis(rng.random_range(0..spread_ms));
        let customer = rng.random_range(0..self.people.len());
        let versions = rng.random_range(1..=parcel::STATES.len());
        let shuffled = rng.random_range(0..5) == 0;
        let with_reminder = rng.random_range(0..3) == 0;
        let gaps: Vec<u64> = (0..versions)
            .map(|_| if rng.random() { 0 } else { rng.random_range(10..600) })
            .collect();
        let mut order: Vec<usize> = (1..=versions).collect();
        if shuffled {
            order.shuffle(&mut rng);
        }
        let remind_after = rng.random_range(1_500..3_500);
        let case = format!("P{n}");
        let id = self.people[customer].id.clone();
        let (doors, said) = (self.doors.clone(), Arc::clone(&self.said));
        async move {
            pause(starts_after).await;
            let reminder =
                with_reminder.then(|| now_ms() + remind_after).map(|at| (at, at + 4_000));
            let events: Vec<Sent> = order
                .iter()
                .map(|version| sent(&case, *version, (customer, &id), reminder))
                .collect();
            if shuffled {
                let all = events.into_iter().map(|event| accept(&doors, &said, event));
                futures::future::join_all(all).await;
            } else {
                for (event, gap) in events.into_iter().zip(gaps) {
                    accept(&doors, &said, event).await;
                    pause(Duration::from_millis(gap)).await;
                }
            }
        }
    }

    /// Those who waver, each in a loop of their own.
    fn choices(&self) -> Vec<tokio::task::JoinHandle<()>> {
        let wavering: Vec<usize> =
            (0..self.people.len()).filter(|n| self.people[*n].wavers_on.is_some()).collect();
        let until_ms = now_ms() + i64::try_from(self.size.spread.as_millis()).expect("short");
        let per_person = wavering.len() * 1_000 / self.size.choices_per_s.max(1);
        let beat = Duration::from_millis(u64::try_from(per_person).expect("few").max(1));
        let wavers = if self.size.choices_per_s == 0 { Vec::new() } else { wavering };
        wavers
            .into_iter()
            .map(|n| {
                let (people, doors) = (Arc::clone(&self.people), self.doors.clone());
                let said = Arc::clone(&self.said);
                let first = beat.mul_f64(f64::from(u32::try_from(n % 97).expect("small")) / 97.0);
                tokio::spawn(async move {
                    pause(first).await;
                    let mut beats = tokio::time::interval(beat);
                    beats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
                    while now_ms() < until_ms {
                        beats.tick().await;
                        refuse(&doors, &said, &people, n).await;
                        beats.tick().await;
                        allow(&doors, &said, &people, n).await;
                    }
                })
            })
            .collect()
    }

    /// Sends every event once more, as a case system does that lost its own memory. Answers the
    /// ids that were news to the installation: each was accepted before, and lost.
    pub async fn say_again(&self) -> Vec<String> {
        let sent: Vec<Value> = {
            let said = self.said.lock().expect("lock");
            said.sent.iter().map(|event| event.body.clone()).collect()
        };
        let mut lost = Vec::new();
        for batch in sent.chunks(100) {
            let answer = self.doors.send(Method::POST, "/v1/events", &json!(batch), TRIES).await;
            let (status, answer) = answer.expect("a door opens");
            let results =
                answer["results"].as_array().unwrap_or_else(|| panic!("{status} {answer}"));
            let news = results.iter().filter(|result| result["result"] != "duplicate");
            lost.extend(news.map(ToString::to_string));
        }
        lost
    }
}

fn sent(
    case: &str,
    version: usize,
    (customer, id): (usize, &str),
    reminder: Option<(i64, i64)>,
) -> Sent {
    let mut facts = json!({ "version": version });
    if let Some((at, end)) = reminder {
        facts["a_minute_on"] = from_ms(at + 60_000).to_rfc3339().into();
        facts["remind_until"] = from_ms(end).to_rfc3339().into();
    }
    let body = json!({
        "id": format!("{case}-{version}"), "source": "chaos", "case": case, "case_type": "parcel",
        "customer": id, "state": parcel::STATES[version - 1], "version": version, "facts": facts,
    });
    Sent { body, case: case.to_owned(), customer, version, reminder, accepted_ms: None }
}

/// Sends an event until it is accepted.
async fn accept(doors: &Doors, said: &Mutex<Said>, mut event: Sent) {
    let answer = doors.send(Method::POST, "/v1/events", &event.body, TRIES).await;
    match answer {
        Some((202, _)) => event.accepted_ms = Some(now_ms()),
        Some((status, answer)) => panic!("{status}: {answer} for {}", event.body),
        None => {}
    }
    said.lock().expect("lock").sent.push(event);
}

async fn refuse(doors: &Doors, said: &Mutex<Said>, people: &[Person], n: usize) {
    let channel = people[n].wavers_on.expect("they waver");
    let customer = CustomerId(people[n].id.clone());
    let grant = Grant::Unsubscribe { customer, topic: "parcel".into(), channel };
    let url = format!("{PUBLIC_URL}/u/{}", Keyring::new(KEY).token(&grant));
    if doors.form(&url, &[("List-Unsubscribe", "One-Click")], "", CHOICE_TRIES).await {
        let refusal = Refusal { customer: n, channel, from_ms: now_ms(), until_ms: None };
        let mut said = said.lock().expect("lock");
        said.refusals.push(refusal);
        said.choices += 1;
    }
}

async fn allow(doors: &Doors, said: &Mutex<Said>, people: &[Person], n: usize) {
    {
        // From the first byte of the request on, a message may leave again.
        let mut said = said.lock().expect("lock");
        let open = said.refusals.iter_mut().rev().find(|r| r.customer == n && r.until_ms.is_none());
        if let Some(refusal) = open {
            refusal.until_ms = Some(now_ms());
        }
    }
    let path = format!("/v1/customers/{}/preferences", people[n].id);
    let answer = doors.send(Method::PUT, &path, &people[n].preferences(), CHOICE_TRIES).await;
    if let Some((200, _)) = answer {
        said.lock().expect("lock").choices += 1;
    }
}
