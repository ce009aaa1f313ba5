//! The demo: sample customers and cases on a temporary store and a virtual clock, with
//! captured sends; each message and each silence is told as it happens.

pub mod captured;
pub mod story;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::tz::TimeZone;
use serde::Serialize;

use crate::clock::{Clock, newest_zones};
use crate::config::Settings;
use crate::domain::case::OWN_SOURCE;
use crate::domain::customer::Address;
use crate::domain::reason::Verdict;
use crate::domain::time::{Instant, from_ms, local};
use crate::domain::{Channel, CustomerId, Reason};
use crate::store::Store;
use crate::store::console::EventView;
use crate::store::plans::LookedAt;

use super::answers;
use super::files::import_customers;
use super::play::{Script, Step, play_with};
use super::{App, AppError, Workers};

pub use story::{Action, By, Deed, Story};

/// Who lives through the story, a line each.
pub const CUSTOMERS: &str = include_str!("../../config/demo/customers.jsonl");

/// The settings of the demo: everything captured, nothing leaves.
const SETTINGS: &str = r#"
[sender]
name = "Example Shop"
mail_from = "Example Shop <service@example.com>"
reply_to = "service@example.com"
phone = "+442079460000"
"#;

/// Links and codes of the demo are the same on every run; there is nothing to protect.
const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// One line of the story as it is told. Times are the customer's own.
#[derive(Debug, Clone, Serialize)]
pub struct Told {
    pub at: String,
    pub customer: String,
    #[serde(flatten)]
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum What {
    /// Something in the shop, or something a customer did.
    Happened { says: String },
    /// A message was planned for later.
    Planned { notice: String, until: String, why: String },
    /// A message left.
    Message { channel: Channel, notice: String, gist: String, text: String },
    /// A message was not sent, or not yet.
    Silence { notice: String, what: String, why: String },
}

/// A demo on its way.
#[derive(Debug)]
pub struct Demo {
    pub app: Arc<App>,
    workers: Option<Workers>,
    folder: PathBuf,
    says: HashMap<String, String>,
    /// The path of the last link to an answer, by customer.
    links: HashMap<String, String>,
    last_decision: i64,
    last_attempt: i64,
    last_event: i64,
}

impl Demo {
    /// Prepares a store in a temporary folder, with the sample customers.
    ///
    /// # Errors
    /// When the folder or the store cannot be had.
    pub async fn prepare(public_url: &str) -> Result<Self, anyhow::Error> {
        let folder = std::env::temp_dir().join(format!("tidings-demo-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join("key"), KEY)?;
        let text = |name: &str| folder.join(name).display().to_string();
        let environment = [
            ("TIDINGS__STORE__URL", format!("sqlite:{}", text("demo.db"))),
            ("TIDINGS__HTTP__PUBLIC_URL", public_url.to_owned()),
            ("TIDINGS__AUTH__KEY_FILE", text("key")),
            ("TIDINGS__CHANNELS__EMAIL__DIR", text("outbox")),
            ("TIDINGS__CHANNELS__SMS__DIR", text("outbox")),
            ("TIDINGS__CHANNELS__VOICE__DIR", text("outbox")),
        ]
        .map(|(name, value)| (name.to_owned(), value));
        let settings = Settings::read("the demo's settings", SETTINGS, environment)
            .map_err(|finding| AppError::Settings(finding.to_string()))?;
        let store = Store::open(&settings.store.url).await?;
        let story = Story::read();
        let begins_at = story.events.first().map(|first| first.event.occurred_at);
        let clock = Clock::manual(begins_at.unwrap_or_else(|| Clock::System.now()));
        let now = clock.clone();
        import_customers(&store, CUSTOMERS.as_bytes(), &newest_zones(), || now.now(), |_| {})
            .await?;
        let app = Arc::new(App::build(settings, clock, store).await?);
        let workers = Some(app.start_driven());
        Ok(Self {
            app,
            workers,
            folder,
            says: story.says,
            links: HashMap::new(),
            last_decision: 0,
            last_attempt: 0,
            last_event: 0,
        })
    }

    /// Where the captured messages lie.
    #[must_use]
    pub fn outbox(&self) -> PathBuf {
        self.folder.join("outbox")
    }

    /// A link to a customer's own page.
    #[must_use]
    pub fn page_of(&self, id: &CustomerId) -> String {
        let engine = &self.app.engine;
        let until = engine.clock.now() + chrono::TimeDelta::days(30);
        engine.centre_link(id, until.timestamp())
    }

    /// Who lives through the story: name, and what they chose, in words.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn customers(&self) -> Result<Vec<(CustomerId, String, String)>, anyhow::Error> {
        let engine = &self.app.engine;
        let mut customers = Vec::new();
        for line in CUSTOMERS.lines() {
            let value: serde_json::Value = serde_json::from_str(line)?;
            let id = CustomerId(value["id"].as_str().unwrap_or_default().to_owned());
            let customer = engine.store.customer(&id, engine.clock.now()).await?;
            let profile = &customer.profile;
            let order = customer.preferences.channel_order.clone().unwrap_or_else(|| {
                customer.contact_points.iter().map(|point| point.channel).collect()
            });
            let order: Vec<&str> = order.into_iter().map(Channel::spoken).collect();
            let reminders = customer.preferences.topics.get("reminder");
            let refused = reminders.is_some_and(|chosen| chosen.values().all(|on| !on));
            let chose = format!(
                "{}, {}; by {}{}",
                profile.locale.as_deref().unwrap_or_default(),
                profile.time_zone.as_deref().unwrap_or_default(),
                order.join(", else "),
                if refused { "; wants no reminders" } else { "" }
            );
            customers.push((id, profile.name.clone(), chose));
        }
        Ok(customers)
    }

    /// Plays the story. `tell` hears of everything in the order in which it happens;
    /// `follow` posts an answer to the path of a link in a message, as a browser would.
    ///
    /// # Errors
    /// When the store is away, or an answer is not taken.
    pub async fn play(
        &mut self,
        mut tell: impl AsyncFnMut(Told),
        follow: impl AsyncFn(String, String) -> Result<(), anyhow::Error>,
    ) -> Result<(), anyhow::Error> {
        let app = Arc::clone(&self.app);
        let mut story = Story::read();
        let script = Script::of(std::mem::take(&mut story.events));
        let mut steps = play_with(&app, script, "10 days".parse().expect("a span"));
        steps.stop_at(story.actions.iter().map(|action| action.at).collect());
        loop {
            match steps.next().await? {
                Step::Moved => {}
                Step::Stopped => {
                    let action = story.actions.pop_front().expect("one per stop");
                    let (customer, zone) = self.person(&action.customer).await?;
                    let says = action.says.clone();
                    let at = clock(action.at, &zone);
                    tell(Told { at, customer, what: What::Happened { says } }).await;
                    self.perform(action, &follow).await?;
                    app.engine.run_until_idle().await?;
                }
                Step::Ended => return Ok(()),
            }
            for told in self.news().await? {
                tell(told).await;
            }
        }
    }

    async fn perform(
        &self,
        action: Action,
        follow: &impl AsyncFn(String, String) -> Result<(), anyhow::Error>,
    ) -> Result<(), anyhow::Error> {
        let engine = &self.app.engine;
        let (id, now) = (CustomerId(action.customer.clone()), engine.clock.now());
        match action.deed {
            Deed::Chooses(chosen) => {
                let order = chosen.channel_order;
                let change = |preferences: &mut crate::domain::Preferences| {
                    preferences.channel_order = Some(order);
                };
                engine.store.choose(&id, "centre", now, change).await?;
            }
            Deed::Answers(given) if given.by == By::Link => {
                let path = self.links.get(&action.customer).cloned();
                let path = path.ok_or_else(|| anyhow::anyhow!("no message has such a link"))?;
                follow(path, given.answer).await?;
            }
            Deed::Answers(given) => {
                let customer = engine.store.customer(&id, now).await?;
                let mut points = customer.contact_points.into_iter();
                let number = points.find(|point| point.channel == Channel::Sms);
                let number: Address =
                    number.ok_or_else(|| anyhow::anyhow!("{id} has no number"))?.address;
                answers::reply(&self.app, &number, &given.answer, now).await?;
            }
        }
        Ok(())
    }

    async fn person(&self, id: &str) -> Result<(String, TimeZone), anyhow::Error> {
        let engine = &self.app.engine;
        let customer = engine.store.customer(&id.into(), engine.clock.now()).await?;
        let zone = engine.live.load().rules.zone_of(&customer);
        Ok((customer.profile.name, zone))
    }

    /// What happened since the last time, in order.
    async fn news(&mut self) -> Result<Vec<Told>, anyhow::Error> {
        let store = self.app.engine.store.clone();
        let news = store.news(self.last_event, self.last_attempt, self.last_decision).await?;
        let mut told = Vec::new();
        let mut planned = Vec::new();
        for event in news.events {
            self.last_event = self.last_event.max(event.seq);
            let (customer, zone) = self.person(&event.customer_id).await?;
            let at = clock(from_ms(event.occurred_at_ms), &zone);
            if let Some(says) = self.says.get(&event.id).cloned().or_else(|| answered(&event)) {
                let what = What::Happened { says };
                told.push(Told { at: at.clone(), customer: customer.clone(), what });
            }
            for what in self.plans_of(&event, &zone).await? {
                planned.push(Told { at: at.clone(), customer: customer.clone(), what });
            }
        }
        for held in news.held {
            let (customer, zone) = self.person(&held.customer_id).await?;
            let reasons: Vec<Reason> = serde_json::from_str(&held.reasons)?;
            self.last_decision = self.last_decision.max(held.seq);
            let (notice, what) = (held.notice, held.what.replace('_', " "));
            let what = What::Silence { notice, what, why: why(&reasons, &zone) };
            told.push(Told { at: clock(from_ms(held.at_ms), &zone), customer, what });
        }
        for sent in news.sent {
            let (customer, zone) = self.person(&sent.customer_id).await?;
            self.last_attempt = self.last_attempt.max(sent.seq);
            let file = sent.detail.as_ref().map(|file| self.outbox().join(file));
            let text = file.and_then(|file| std::fs::read(file).ok());
            let text = text.map(|bytes| captured::plain(&bytes)).unwrap_or_default();
            if let Some(path) = captured::answer_path(&text) {
                self.links.insert(sent.customer_id.clone(), path);
            }
            let channel: Channel = sent.channel.parse().map_err(anyhow::Error::msg)?;
            let gist = captured::gist(channel, &text);
            let what = What::Message { channel, notice: sent.notice, gist, text };
            told.push(Told { at: clock(from_ms(sent.opened_at_ms), &zone), customer, what });
        }
        told.extend(planned);
        Ok(told)
    }

    /// What an event led to that is not said now.
    async fn plans_of(
        &self,
        event: &EventView,
        zone: &TimeZone,
    ) -> Result<Vec<What>, anyhow::Error> {
        let mut plans = Vec::new();
        let looked_at: LookedAt =
            event.looked_at.as_deref().map(serde_json::from_str).transpose()?.unwrap_or_default();
        for (notice, reason) in looked_at.skipped {
            plans.push(What::Silence { notice, what: "not said".into(), why: reason.words(zone) });
        }
        for view in self.app.engine.store.of_event(event.seq).await? {
            if view.status == "planned" {
                let reasons: Vec<Reason> = serde_json::from_str(&view.because)?;
                let until = clock(from_ms(view.next_at_ms), zone);
                plans.push(What::Planned {
                    notice: view.notice,
                    until,
                    why: why_later(&reasons, zone),
                });
            }
        }
        Ok(plans)
    }

    /// Stops the workers and removes the temporary folder.
    pub async fn end(mut self) {
        if let Some(workers) = self.workers.take() {
            workers.stop().await;
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// An answer as the case learns of it.
fn answered(event: &EventView) -> Option<String> {
    let body: serde_json::Value = serde_json::from_str(&event.body).ok()?;
    let answer = body["facts"]["answer"].as_str().filter(|_| event.source == OWN_SOURCE)?;
    Some(format!("    ← the shop learns of it: customer_answered, answer = {answer}"))
}

fn clock(at: Instant, zone: &TimeZone) -> String {
    local(at, zone).strftime("%a %e %b %H:%M %Z").to_string()
}

/// Why something waits: what was looked at about channels matters only once it is due.
fn why_later(reasons: &[Reason], zone: &TimeZone) -> String {
    let hours = |reason: &&Reason| {
        matches!(reason, Reason::QuietHours { .. } | Reason::OutsideWindow { .. })
    };
    let why: Vec<String> = reasons.iter().filter(hours).map(|reason| reason.words(zone)).collect();
    why.join(" ")
}

/// Why something was not said: what was fine is left out, and channels refused alike are
/// named together.
fn why(reasons: &[Reason], zone: &TimeZone) -> String {
    let fine = |reason: &&Reason| {
        matches!(
            reason,
            Reason::StateEntered { .. }
                | Reason::AfterState { .. }
                | Reason::CaseFits { .. }
                | Reason::HourFits
                | Reason::Candidate {
                    verdict: Verdict::Allowed { .. } | Verdict::Taken { .. } | Verdict::NoAddress,
                    ..
                }
        )
    };
    let mut why: Vec<String> = Vec::new();
    for reason in reasons.iter().filter(|reason| !fine(reason)) {
        let words = reason.words(zone);
        let alike = match (reason, words.split_once(": ")) {
            (Reason::Candidate { channel, .. }, Some((_, verdict))) => {
                why.iter_mut().find(|known| known.ends_with(verdict)).map(|known| (known, channel))
            }
            _ => None,
        };
        match alike {
            Some((known, channel)) => {
                let at = known.find(": ").unwrap_or(0);
                known.insert_str(at, &format!(", {}", channel.spoken()));
            }
            None => why.push(words),
        }
    }
    why.join(" ")
}
