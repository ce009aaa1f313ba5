//! The audit log of the console: who did what to what. An action is noted directly after it is
//! done, before anybody is told that it was; the store notes some in the same transaction.

use serde::Serialize;
use serde_json::Value;

use crate::app::App;
use crate::domain::Operator;
use crate::domain::time::from_ms;
use crate::store::audit::{AuditFilter, AuditRow, Noted};
use crate::store::{Store, StoreError};

use super::veil::{veil, veil_all};

/// Notes what an operator did. `action` is a word such as `cancel`, `subject` the id of what it
/// was done to (empty for none), `detail` anything else worth knowing.
///
/// # Errors
/// `Unavailable` when the store is away.
pub async fn note(
    app: &App,
    operator: &Operator,
    action: &'static str,
    subject: &str,
    detail: Value,
) -> Result<(), StoreError> {
    app.engine.store.note_audit(noted(app, operator, action, subject, detail)).await
}

/// The same, for a store method that notes it in its own transaction.
#[must_use]
pub fn noted(
    app: &App,
    operator: &Operator,
    action: &'static str,
    subject: &str,
    detail: Value,
) -> Noted {
    let mut detail = detail;
    veil_all(&mut detail);
    let now = app.engine.clock.now();
    Noted::new(operator, action, &veil(subject), detail.to_string(), now)
}

/// Which entries are asked for; an empty text asks for all.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asked<'a> {
    pub who: &'a str,
    pub action: &'a str,
    pub subject: &'a str,
    /// The last number of the page before.
    pub before: Option<i64>,
}

/// A page of the log.
#[derive(Debug, Serialize)]
pub struct Page {
    pub entries: Vec<Entry>,
    /// Where older entries begin, if there are any.
    pub before: Option<i64>,
}

/// An entry as it is shown.
#[derive(Debug, Serialize)]
pub struct Entry {
    pub seq: i64,
    pub at: String,
    pub at_ms: i64,
    pub who: String,
    pub role: String,
    pub action: String,
    pub subject: String,
    pub detail: Value,
}

/// Reads a page of the log, the newest first.
///
/// # Errors
/// `Unavailable` when the store is away.
pub async fn page(store: &Store, asked: Asked<'_>, limit: usize) -> Result<Page, StoreError> {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let filter = AuditFilter {
        who: some(asked.who),
        action: some(asked.action),
        subject: some(asked.subject),
        before: asked.before,
        // One more tells whether there are older ones.
        limit: i64::try_from(limit).unwrap_or(i64::MAX - 1) + 1,
    };
    let mut rows = store.audit_log(&filter).await?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let before = rows.last().filter(|_| more).map(|row| row.seq);
    Ok(Page { entries: rows.into_iter().map(Entry::from).collect(), before })
}

impl Entry {
    /// The detail in words: `why: wrong code, from: 192.0.2.*`.
    #[must_use]
    pub fn words(&self) -> String {
        let word = |value: &Value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        match &self.detail {
            Value::Object(members) => {
                let members =
                    members.iter().map(|(name, value)| format!("{name}: {}", word(value)));
                members.collect::<Vec<_>>().join(", ")
            }
            Value::Null => String::new(),
            other => word(other),
        }
    }
}

impl From<AuditRow> for Entry {
    fn from(row: AuditRow) -> Self {
        let AuditRow { seq, at_ms, who, role, action, subject, detail } = row;
        let detail: Value = serde_json::from_str(&detail).unwrap_or(Value::String(detail));
        let at = from_ms(at_ms).to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        Self { seq, at, at_ms, who, role, action, subject, detail }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn no_address_reaches_the_log_in_clear() {
        let mut detail = json!({
            "to": "ada@example.com", "words": ["call (+447911123456).", "call +447911123456 now", "T-1", "a***@e***.com"],
            "count": 3, "name": "+1",
        });
        veil_all(&mut detail);
        assert_eq!(
            detail,
            json!({
                "to": "a***@e***.com",
                "words": ["call (+44*******456).", "call +44*******456 now", "T-1", "a***@e***.com"],
                "count": 3, "name": "+1",
            })
        );
    }
}
