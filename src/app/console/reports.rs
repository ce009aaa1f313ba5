//! The reports of the last thirty days. They read much, so they are drawn up beside the page,
//! kept for a while, and shown with when that was.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::TimeDelta;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::app::App;
use crate::app::reports::cost::{self, CostBy, money};
use crate::app::reports::{answers, contacts, silence};
use crate::domain::time::Instant;
use crate::store::Result;

/// How far back they look.
pub const DAYS: i64 = 30;

/// For how long they are shown before they are drawn up again.
const KEPT: TimeDelta = TimeDelta::minutes(15);

/// How long a page waits for them before it says that they are being drawn up.
const PATIENCE: Duration = Duration::from_millis(50);

/// Days after a message in which a contact counts as caused by it.
const WITHIN_DAYS: u16 = 7;

/// Rows of a table.
const ROWS: usize = 30;

/// What was drawn up last, and whether it is being drawn up now.
#[derive(Debug, Clone, Default)]
pub struct Shelf(Arc<Mutex<Inside>>);

#[derive(Debug, Default)]
struct Inside {
    last: Option<(Instant, Arc<Value>)>,
    /// Tells when the one under way is over.
    under_way: Option<watch::Receiver<bool>>,
}

impl Shelf {
    /// The reports: those kept, or new ones where that does not take long.
    pub async fn look(&self, app: &Arc<App>, now: Instant) -> Option<(Instant, Arc<Value>)> {
        let fresh = |at: Instant| at <= now && now - at < KEPT;
        if let Some(last) = self.last().filter(|(at, _)| fresh(*at)) {
            return Some(last);
        }
        let mut over = self.draw_up(app, now);
        let _ = tokio::time::timeout(PATIENCE, over.wait_for(|over| *over)).await;
        self.last()
    }

    /// Draws them up now, and waits until they are.
    pub async fn renew(&self, app: &Arc<App>, now: Instant, patience: Duration) {
        let mut over = self.draw_up(app, now);
        let _ = tokio::time::timeout(patience, over.wait_for(|over| *over)).await;
    }

    fn last(&self) -> Option<(Instant, Arc<Value>)> {
        self.0.lock().expect("no panic while held").last.clone()
    }

    /// Begins, unless that was begun before. Answers what tells when it is over.
    fn draw_up(&self, app: &Arc<App>, now: Instant) -> watch::Receiver<bool> {
        let mut inside = self.0.lock().expect("no panic while held");
        if let Some(under_way) = &inside.under_way {
            return under_way.clone();
        }
        let (tell, over) = watch::channel(false);
        inside.under_way = Some(over.clone());
        let (shelf, app) = (self.clone(), Arc::clone(app));
        tokio::spawn(async move {
            let drawn = draw(&app, now).await;
            let mut inside = shelf.0.lock().expect("no panic while held");
            match drawn {
                Ok(reports) => inside.last = Some((now, Arc::new(reports))),
                Err(error) => tracing::warn!(%error, "the reports could not be drawn up"),
            }
            inside.under_way = None;
            let _ = tell.send(true);
        });
        over
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

async fn draw(app: &App, now: Instant) -> Result<Value> {
    let store = &app.engine.store;
    let period = (now - TimeDelta::days(DAYS)).timestamp_millis()..now.timestamp_millis() + 1;
    let rules = &app.engine.live.load_full().rules;
    let contacts = contacts::report(store, WITHIN_DAYS, period.clone()).await?;
    let prices = &app.settings.prices;
    let cost = cost::report(store, prices, CostBy::Message, period.clone()).await?;
    let answers = answers::report(store, &rules.journeys, period).await?;
    let silence = silence::report(store, &rules.journeys, now).await?;
    let promises = store.promise_counts().await?;
    let steps = contacts.steps.iter().take(ROWS).map(|step| {
        json!([step.message, step.state, step.sent, step.followed, percent(step.rate)])
    });
    let lines = cost.lines.iter().take(ROWS).chain([&cost.total]).map(|line| {
        json!([
            line.key,
            line.mails,
            line.texts,
            line.sms_parts,
            line.calls,
            money(line, &cost.currency)
        ])
    });
    let answers = answers.iter().take(ROWS).map(|question| {
        let given = question.answers.iter();
        let given: Vec<String> =
            given.map(|given| format!("{} {}", given.answer, given.times)).collect();
        json!([
            question.message,
            question.asked,
            question.answered,
            percent(question.rate),
            given.join(", ")
        ])
    });
    let silent = silence.open.iter().take(ROWS).map(|silence| {
        json!([
            silence.case,
            silence.case_type,
            silence.state,
            silence.words,
            silence.longest_hours / 24,
            silence.present_hours / 24
        ])
    });
    let promises = promises.iter().map(|(case_type, state, n)| json!([case_type, state, n]));
    Ok(json!({
        "within_days": contacts.within_days,
        "contacts": contacts.contacts.contacts, "after": contacts.contacts.after_a_message,
        "steps": steps.collect::<Vec<_>>(), "cost": lines.collect::<Vec<_>>(),
        "missing_prices": cost.missing_prices, "answers": answers.collect::<Vec<_>>(),
        "silence": silent.collect::<Vec<_>>(), "promises": promises.collect::<Vec<_>>(),
    }))
}
