//! The reports of the last thirty days.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::app::App;
use crate::app::reports::cost::{self, CostBy, money};
use crate::app::reports::{answers, contacts, silence};
use crate::domain::time::Instant;
use crate::store::Result;

/// How far back they look.
pub const DAYS: i64 = 30;

/// Days after a message in which a contact counts as caused by it.
const WITHIN_DAYS: u16 = 7;

/// Rows of a table.
const ROWS: usize = 30;

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// Draws them up.
///
/// # Errors
/// `Unavailable` when the store is away.
pub async fn draw(app: &App, now: Instant) -> Result<Value> {
    let store = &app.engine.store;
    let period = (now - TimeDelta::days(DAYS)).timestamp_millis()..now.timestamp_millis() + 1;
    let rules = &app.engine.live.load_full().rules;
    let contacts = contacts::report(store, WITHIN_DAYS, period.clone()).await?;
    let prices = &app.settings.prices;
    let cost = cost::report(store, prices, CostBy::Message, period.clone()).await?;
    let answers = answers::report(store, &rules.journeys, period.clone()).await?;
    let silence = silence::report(store, &rules.journeys, now).await?;
    let promises = store.promise_counts(period).await?;
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
