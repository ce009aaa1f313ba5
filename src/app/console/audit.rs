//! The audit log of the console: who did what to what. An action is noted directly after it is
//! done, before anybody is told that it was; the store notes some in the same transaction.

use serde_json::Value;

use crate::app::App;
use crate::domain::Operator;
use crate::domain::customer::Address;
use crate::store::StoreError;
use crate::store::audit::Noted;

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
    mask_all(&mut detail);
    let now = app.engine.clock.now();
    Noted::new(operator, action, &masked(subject), detail.to_string(), now)
}

/// Masks every address in the texts of a value.
fn mask_all(value: &mut Value) {
    match value {
        Value::String(text) => *text = masked(text),
        Value::Array(values) => values.iter_mut().for_each(mask_all),
        Value::Object(members) => members.values_mut().for_each(mask_all),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A text in which every word that may be an address is masked, whoever forgot to.
fn masked(text: &str) -> String {
    let word = |word: &str| {
        let number = word.strip_prefix('+').is_some_and(|digits| {
            digits.len() >= 7 && digits.bytes().all(|byte| byte.is_ascii_digit())
        });
        let mail = word.split_once('@').is_some_and(|(local, domain)| {
            !local.is_empty() && !local.ends_with('*') && domain.contains('.')
        });
        if number || mail { Address::stored(word.to_owned()).to_string() } else { word.to_owned() }
    };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn no_address_reaches_the_log_in_clear() {
        let mut detail = json!({
            "to": "ada@example.com", "words": ["call +447911123456 now", "T-1", "a***@e***.com"],
            "count": 3, "name": "+1",
        });
        mask_all(&mut detail);
        assert_eq!(
            detail,
            json!({
                "to": "a***@e***.com", "words": ["call +44*******456 now", "T-1", "a***@e***.com"],
                "count": 3, "name": "+1",
            })
        );
    }
}
