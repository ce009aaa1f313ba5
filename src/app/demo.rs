//! The demo: sample customers and cases on a temporary store and a virtual clock, with
//! captured sends; each message and each silence is told as it happens.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::clock::{Clock, newest_zones};
use crate::config::Settings;
use crate::domain::time::{Instant, from_ms};
use crate::domain::{Channel, CustomerId, Reason};
use crate::store::Store;

use super::files::import_customers;
use super::play::{Script, Step, play_with};
use super::{App, AppError, Workers};

const CUSTOMERS: &str = include_str!("../../config/demo/customers.jsonl");
const EVENTS: &str = include_str!("../../config/demo/events.jsonl");

/// The settings of the demo: everything captured, nothing leaves.
const SETTINGS: &str = r#"
[sender]
name = "Example Shop"
mail_from = "Example Shop <service@example.com>"
reply_to = "service@example.com"
phone = "+442079460000"
"#;

/// Something worth telling.
#[derive(Debug, Clone)]
pub enum Told {
    /// A case system said that a case changed.
    Event { at: Instant, case: String, customer: String, what: String },
    /// A message left.
    Message {
        at: Instant,
        zone: TimeZone,
        customer: String,
        channel: Channel,
        notice: String,
        text: String,
    },
    /// Something was held or not said, and why.
    Silence {
        at: Instant,
        zone: TimeZone,
        customer: String,
        notice: String,
        what: String,
        why: String,
    },
}

/// A demo on its way.
#[derive(Debug)]
pub struct Demo {
    pub app: Arc<App>,
    workers: Option<Workers>,
    folder: PathBuf,
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
        let text = |name: &str| folder.join(name).display().to_string();
        let environment = [
            ("TIDINGS__STORE__URL", format!("sqlite:{}", text("demo.db"))),
            ("TIDINGS__HTTP__PUBLIC_URL", public_url.to_owned()),
            ("TIDINGS__CHANNELS__EMAIL__DIR", text("outbox")),
            ("TIDINGS__CHANNELS__SMS__DIR", text("outbox")),
            ("TIDINGS__CHANNELS__VOICE__DIR", text("outbox")),
        ]
        .map(|(name, value)| (name.to_owned(), value));
        let settings = Settings::read("the demo's settings", SETTINGS, environment)
            .map_err(|finding| AppError::Settings(finding.to_string()))?;
        let store = Store::open(&settings.store.url).await?;
        let script = Self::script();
        let begins_at = script.begins_at().unwrap_or_else(|| Clock::System.now());
        let clock = Clock::manual(begins_at);
        let now = clock.clone();
        import_customers(&store, CUSTOMERS.as_bytes(), &newest_zones(), || now.now(), |_| {})
            .await?;
        let app = Arc::new(App::build(settings, clock, store).await?);
        let workers = Some(app.start_workers(false));
        Ok(Self { app, workers, folder, last_decision: 0, last_attempt: 0, last_event: 0 })
    }

    fn script() -> Script {
        Script::read(EVENTS.as_bytes(), from_ms(4_102_444_800_000))
    }

    /// Where the captured messages lie.
    #[must_use]
    pub fn outbox(&self) -> PathBuf {
        self.folder.join("outbox")
    }

    /// The customers of the story, with a link to each one's page.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn customers(&self) -> Result<Vec<(String, String)>, anyhow::Error> {
        let engine = &self.app.engine;
        let now = engine.clock.now();
        let mut customers = Vec::new();
        for line in CUSTOMERS.lines() {
            let value: serde_json::Value = serde_json::from_str(line)?;
            let id = CustomerId(value["id"].as_str().unwrap_or_default().to_owned());
            let customer = engine.store.customer(&id, now).await?;
            let until_s = (now + chrono::TimeDelta::days(30)).timestamp();
            customers.push((customer.profile.name.clone(), engine.centre_link(&id, until_s)));
        }
        Ok(customers)
    }

    /// Plays the story. `tell` hears of everything in the order in which it happens.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn play(&mut self, mut tell: impl AsyncFnMut(Told)) -> Result<(), anyhow::Error> {
        let app = Arc::clone(&self.app);
        let tail = "10 days".parse().expect("a span");
        let mut steps = play_with(&app, Self::script(), tail);
        while let Step::Moved = steps.next().await? {
            for told in self.news().await? {
                tell(told).await;
            }
        }
        Ok(())
    }

    /// What happened since the last time, in order.
    async fn news(&mut self) -> Result<Vec<Told>, anyhow::Error> {
        let engine = &self.app.engine;
        let now = engine.clock.now();
        let news =
            engine.store.news(self.last_event, self.last_attempt, self.last_decision).await?;
        let mut told = Vec::new();
        let person = async |id: &str| -> Result<(String, TimeZone), anyhow::Error> {
            let id = CustomerId(id.to_owned());
            let customer = engine.store.customer(&id, now).await?;
            let zone = engine.live.load().rules.zone_of(&customer);
            Ok((customer.profile.name, zone))
        };
        for event in news.events {
            self.last_event = self.last_event.max(event.seq);
            let (customer, zone) = person(&event.customer_id).await?;
            let body: serde_json::Value = serde_json::from_str(&event.body)?;
            let what = body["state"].as_str().or(body["event"].as_str()).unwrap_or_default();
            let at = from_ms(event.occurred_at_ms);
            let case = event.case_id.clone();
            told.push(Told::Event { at, case, customer: customer.clone(), what: what.to_owned() });
            let looked_at: crate::store::plans::LookedAt = match &event.looked_at {
                Some(stored) => serde_json::from_str(stored)?,
                None => crate::store::plans::LookedAt::default(),
            };
            for (notice, reason) in looked_at.skipped {
                told.push(Told::Silence {
                    at,
                    zone: zone.clone(),
                    customer: customer.clone(),
                    notice,
                    what: "not said".into(),
                    why: reason.words(&zone),
                });
            }
        }
        for held in news.held {
            let (customer, zone) = person(&held.customer_id).await?;
            let reasons: Vec<Reason> = serde_json::from_str(&held.reasons)?;
            let why: Vec<String> = why_silent(&reasons).map(|reason| reason.words(&zone)).collect();
            self.last_decision = self.last_decision.max(held.seq);
            told.push(Told::Silence {
                at: from_ms(held.at_ms),
                customer,
                notice: held.notice,
                what: held.what.replace('_', " "),
                why: why.join(" "),
                zone,
            });
        }
        for sent in news.sent {
            let (customer, zone) = person(&sent.customer_id).await?;
            self.last_attempt = self.last_attempt.max(sent.seq);
            let text =
                sent.detail.as_ref().and_then(|file| std::fs::read(self.outbox().join(file)).ok());
            told.push(Told::Message {
                at: from_ms(sent.opened_at_ms),
                zone,
                customer,
                channel: sent.channel.parse().map_err(anyhow::Error::msg)?,
                notice: sent.notice,
                text: text.map(|bytes| plain(&bytes)).unwrap_or_default(),
            });
        }
        Ok(told)
    }

    /// Stops the workers and removes the temporary folder.
    pub async fn end(mut self) {
        if let Some(workers) = self.workers.take() {
            workers.stop().await;
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The reasons that matter for a silence: not what was fine.
fn why_silent(reasons: &[Reason]) -> impl Iterator<Item = &Reason> {
    use crate::domain::reason::Verdict;
    let fine = |reason: &&Reason| {
        matches!(
            reason,
            Reason::StateEntered { .. }
                | Reason::AfterState { .. }
                | Reason::CaseFits { .. }
                | Reason::HourFits
                | Reason::Candidate {
                    verdict: Verdict::Allowed { .. } | Verdict::Taken { .. },
                    ..
                }
                | Reason::Candidate { verdict: Verdict::NoAddress, .. }
        )
    };
    reasons.iter().filter(move |reason| !fine(reason))
}

/// The words of a captured message: the text part of a mail, or the file after its head.
fn plain(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n");
    let Some((head, body)) = text.split_once("\n\n") else { return text };
    if !head.contains("MIME-Version") {
        return body.trim().to_owned();
    }
    let part = body.split("\n--").next().unwrap_or(body);
    let part = part.split_once("\n\n").map_or(part, |(_, part)| part);
    unquote(part).trim().to_owned()
}

/// Quoted-printable, read back.
fn unquote(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = (bytes[at] == b'=').then(|| bytes.get(at + 1..at + 3)).flatten();
        match hex {
            Some([b'\n', ..]) => at += 2,
            Some(hex) => {
                let byte =
                    std::str::from_utf8(hex).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok());
                out.extend(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
