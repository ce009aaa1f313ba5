//! The record of consent: who allowed or refused what, when, by which door, and which words
//! they saw. Rows are only ever added, in the transaction of the change itself.

use serde::Serialize;
use serde_json::{Value, json};
use sqlx::FromRow;

use crate::domain::customer::AddressFault;
use crate::domain::{CustomerId, Preferences};

use super::facts;
use super::sql::Tx;
use super::{Result, Store, batch, query};

/// Who changes a customer's choices, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    /// `customer`, or the name of an API key or a provider.
    pub who: String,
    /// `centre`, `one-click`, `stop`, `api`, `import`.
    pub source: String,
    /// The hash of the words that were shown; empty where none were.
    pub text_version: String,
}

impl Act {
    /// An act that is told apart by its source alone: `api:desk` is the key `desk`, anything
    /// else the customer's own doing.
    #[must_use]
    pub fn from_source(source: &str) -> Self {
        let (source, who) = source.split_once(':').unwrap_or((source, "customer"));
        let who = if source == "import" { "case system" } else { who };
        Self { who: who.into(), source: source.into(), text_version: String::new() }
    }
}

/// The source of a refusal that the owner of an address gave us.
pub const STOP: &str = "stop";

/// The same, told by the carrier: it lets nothing through to them.
pub const STOP_AT_CARRIER: &str = "carrier";

/// The source of a refusal by somebody who got a message there and says it is not theirs.
pub const NOT_MINE: &str = "not mine";

/// The source under which an address is refused that a provider tells of.
pub(super) const fn refused_by(fault: AddressFault, provider: &'static str) -> &'static str {
    match fault {
        AddressFault::Unusable | AddressFault::Doubtful | AddressFault::Full => provider,
        AddressFault::OptedOut => STOP_AT_CARRIER,
    }
}

/// The owner of an address refuses it, by one of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnWord {
    /// What they did, for people.
    pub reason: &'static str,
    pub source: &'static str,
}

/// One line of the record.
#[derive(Debug, Clone, FromRow, Serialize)]
pub struct Consent {
    pub seq: i64,
    pub at_ms: i64,
    pub who: String,
    pub source: String,
    pub text_version: String,
    /// JSON: each choice that changed, before and after.
    pub what: String,
}

/// A line to be added.
#[derive(Debug, Serialize)]
pub(super) struct NewConsent {
    pub customer_id: String,
    pub what: String,
}

const INSERT: &str = "
    INSERT INTO consent (customer_id, at_ms, who, source, text_version, what)
    SELECT value->>'customer_id', $2, $3, $4, $5, value->>'what' FROM jsonb_each($1)";

/// Adds lines of one act.
pub(super) async fn note(
    tx: &mut Tx,
    lines: Vec<NewConsent>,
    act: &Act,
    now_ms: i64,
) -> Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    query(INSERT)
        .bind(batch(&lines))
        .bind(now_ms)
        .bind(&act.who)
        .bind(&act.source)
        .bind(&act.text_version)
        .execute(&mut *tx)
        .await?;
    let changed = lines.into_iter().map(|line| (line.customer_id, line.what));
    facts::preferences(tx, changed.collect(), act, now_ms).await
}

/// Adds a line for everyone who has an address: it was stopped, or is used again.
pub(super) async fn note_owners(
    tx: &mut Tx,
    (channel, address_key): (&str, &str),
    what: &Value,
    act: &Act,
    now_ms: i64,
) -> Result<()> {
    let owners: Vec<(String,)> =
        query("SELECT customer_id FROM contact_point WHERE channel = $1 AND address_key = $2")
            .bind(channel)
            .bind(address_key)
            .fetch_all(&mut *tx)
            .await?;
    let what = what.to_string();
    let lines =
        owners.into_iter().map(|(customer_id,)| NewConsent { customer_id, what: what.clone() });
    note(tx, lines.collect(), act, now_ms).await
}

/// What changed between two sets of choices: `{"cap_per_day": {"before": null, "after": 4}}`.
pub(super) fn difference(before: &Preferences, after: &Preferences) -> Value {
    let (before, after) = (json!(before), json!(after));
    let mut changed = serde_json::Map::new();
    let names = [&before, &after].into_iter().filter_map(Value::as_object).flat_map(|o| o.keys());
    for name in names {
        if before[name] != after[name] {
            let pair = json!({ "before": before[name], "after": after[name] });
            changed.insert(name.clone(), pair);
        }
    }
    Value::Object(changed)
}

impl Store {
    /// The record of a customer's consent, oldest first.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn consents(&self, id: &CustomerId) -> Result<Vec<Consent>> {
        Ok(query(
            "SELECT seq, at_ms, who, source, text_version, what FROM consent
             WHERE customer_id = $1 ORDER BY seq",
        )
        .bind(id.as_str())
        .fetch_all(&self.readers)
        .await?)
    }

    /// The last line of the record.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn last_consent(&self, id: &CustomerId) -> Result<Option<Consent>> {
        Ok(query(
            "SELECT seq, at_ms, who, source, text_version, what FROM consent
             WHERE customer_id = $1 ORDER BY seq DESC LIMIT 1",
        )
        .bind(id.as_str())
        .fetch_optional(&self.readers)
        .await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changed_is_written_down_with_what_it_was_before() {
        let before =
            Preferences { cap_per_day: Some(2), discreet: Some(true), ..Default::default() };
        let after = Preferences { cap_per_day: None, discreet: Some(true), ..Default::default() };
        let what = difference(&before, &after);
        assert_eq!(what, json!({"cap_per_day": {"before": 2, "after": null}}));
        assert_eq!(difference(&after, &after), json!({}));
    }

    #[test]
    fn a_source_says_who_acted() {
        let act = |source| Act::from_source(source);
        assert_eq!((act("api:desk").who, act("api:desk").source), ("desk".into(), "api".into()));
        assert_eq!(act("one-click").who, "customer");
        assert_eq!(act("import").who, "case system");
    }
}
