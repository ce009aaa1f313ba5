//! A customer's data, whole: to be handed over, or to be forgotten.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::domain::time::Instant;
use crate::domain::{Customer, CustomerId};
use crate::store::{Result, Store};

use super::addresses::told;
use super::letters::receipt;
use super::{App, Person};

/// Entries of a timeline that an export holds.
const MAX_ENTRIES: i64 = 100_000;

/// A customer as interfaces show them.
#[must_use]
pub fn view(customer: &Customer) -> Value {
    json!({
        "id": customer.id,
        "name": customer.profile.name,
        "locale": customer.profile.locale,
        "time_zone": customer.profile.time_zone,
        "attributes": customer.profile.attributes,
        "contact_points": customer.contact_points,
        "preferences": customer.preferences,
    })
}

/// Everything known of a person, as one document (GDPR articles 15 and 20).
///
/// # Errors
/// `NotFound` when nobody is known by this id.
pub async fn export(store: &Store, id: &CustomerId, now: Instant) -> Result<Value> {
    let customer = store.customer(id, now).await?;
    let consent: Vec<Value> = store
        .consents(id)
        .await?
        .into_iter()
        .map(|line| {
            let what: Value = serde_json::from_str(&line.what).unwrap_or_default();
            json!({
                "at_ms": line.at_ms, "who": line.who, "source": line.source,
                "text_version": line.text_version, "what": what,
            })
        })
        .collect();
    let versions = store.customer_versions(id).await?.into_iter().map(|version| {
        let body: Value = serde_json::from_str(&version.body).unwrap_or_default();
        json!({
            "revision": version.revision, "at_ms": version.at_ms, "source": version.source,
            "profile": inner(&body, "profile"), "chosen": inner(&body, "chosen"),
            "imported": inner(&body, "imported"), "contact_points": body["contact_points"],
        })
    });
    Ok(json!({
        "customer": view(&customer),
        "chosen": customer.chosen,
        "versions": versions.collect::<Vec<_>>(),
        "consent": consent,
        "cases": store.cases_of(id, MAX_ENTRIES).await?,
        "timeline": store.customer_timeline(id, MAX_ENTRIES).await?,
    }))
}

/// A part of a version, which is kept as text.
fn inner(body: &Value, part: &str) -> Value {
    serde_json::from_str(body[part].as_str().unwrap_or("null")).unwrap_or_default()
}

/// Forgets a customer who asked for it, and says so once to an address that was theirs.
///
/// # Errors
/// `NotFound` when nobody is known by this id.
pub async fn erase(app: &Arc<App>, person: &Person, now: Instant) -> Result<()> {
    let to = told(person);
    app.engine.store.erase(&person.customer.id, "the customer", now).await?;
    receipt(app, person, &to, "receipt_erased", "", now);
    Ok(())
}
