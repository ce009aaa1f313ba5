//! After which messages customers got in touch all the same: events named
//! `customer_contacted`, joined to the messages of the days before about the same case.

use std::cmp::Ordering;

use serde::Serialize;

use crate::store::balance::Period;
use crate::store::reports::Contacts;
use crate::store::{Result, Store};

use super::share;

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// One message at one step of its case.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Step {
    /// `return/label`
    pub message: String,
    pub state: Option<String>,
    pub sent: i64,
    /// Of these, followed by a contact.
    pub followed: i64,
    /// `followed` of `sent`, from 0 to 1.
    pub rate: f64,
}

/// Messages and contacts, worst first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    pub within_days: u16,
    #[serde(flatten)]
    pub contacts: Contacts,
    pub steps: Vec<Step>,
}

/// Joins the contacts to the messages of the `within_days` before each.
///
/// # Errors
/// `Unavailable` when the store is away.
pub async fn report(store: &Store, within_days: u16, period: Period) -> Result<Report> {
    let within_ms = i64::from(within_days) * DAY_MS;
    let contacts = store.contacts(within_ms, period.clone()).await?;
    let steps = store.contacts_by_step(within_ms, period).await?;
    let mut steps: Vec<Step> = steps
        .into_iter()
        .map(|step| Step {
            message: format!("{}/{}", step.case_type, step.notice),
            state: step.state,
            sent: step.sent,
            followed: step.followed,
            rate: share(step.followed, step.sent),
        })
        .collect();
    steps.sort_by(worst_first);
    Ok(Report { within_days, contacts, steps })
}

fn worst_first(a: &Step, b: &Step) -> Ordering {
    b.rate
        .total_cmp(&a.rate)
        .then(b.sent.cmp(&a.sent))
        .then_with(|| (&a.message, &a.state).cmp(&(&b.message, &b.state)))
}
