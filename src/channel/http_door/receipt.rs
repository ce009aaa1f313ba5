//! Callbacks of a provider the settings describe.

use serde_json::Value;

use crate::channel::codes::{Stage, word};
use crate::channel::receipt::{InboundText, Word, with_plus};
use crate::domain::http_door::{Inbound, Receipts, Told, plain};

/// A callback as it can be read: its body as JSON, and the fields of its form and its query.
#[derive(Debug)]
pub struct Callback {
    pub body: Value,
    pub fields: Vec<(String, String)>,
}

impl Callback {
    /// What stands at a pointer into the body, or in a field of this name.
    #[must_use]
    pub fn at(&self, place: &str) -> Option<String> {
        if place.starts_with('/') {
            return self.body.pointer(place).filter(|value| !value.is_null()).map(plain);
        }
        self.fields.iter().find(|(name, _)| name == place).map(|(_, value)| value.clone())
    }
}

/// Reads the report of an attempt.
#[must_use]
pub fn read(callback: &Callback, receipts: &Receipts) -> Word {
    let told = callback.at(&receipts.status).and_then(|word| receipts.values.get(&word));
    let stage = told.map(|told| match told {
        Told::Queued => Stage::Queued,
        Told::Sent => Stage::Sent,
        Told::Delivered => Stage::Delivered,
        Told::Failed => Stage::Failed,
    });
    let detail = receipts.detail.as_ref().and_then(|place| callback.at(place));
    word(stage, &detail.unwrap_or_default(), None)
}

/// Reads a text that came in.
#[must_use]
pub fn inbound(callback: &Callback, places: &Inbound) -> Option<InboundText> {
    Some(InboundText {
        from: with_plus(&callback.at(&places.from)?),
        to: with_plus(&callback.at(&places.to).unwrap_or_default()),
        text: callback.at(&places.text).unwrap_or_default(),
        id: callback.at(&places.id).unwrap_or_default(),
        at_carrier: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::http_door::HttpDoor;
    use serde_json::json;

    fn door() -> HttpDoor {
        serde_json::from_value(json!({
            "url": "https://sms.example.com/send",
            "receipts": {"status": "/report/state", "detail": "/report/error", "verify": "token",
                         "values": {"DELIVRD": "delivered", "UNDELIV": "failed", "1": "sent"}},
            "inbound": {"from": "msisdn", "text": "message", "id": "ref"},
        }))
        .expect("a door")
    }

    fn callback(body: Value, fields: &[(&str, &str)]) -> Callback {
        let fields = fields.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        Callback { body, fields }
    }

    #[test]
    fn a_report_is_read_where_the_settings_say() {
        let receipts = door().receipts.expect("described");
        let said = |state: Value| {
            let body = json!({"report": {"state": state, "error": "absent"}});
            read(&callback(body, &[]), &receipts)
        };
        assert_eq!(said(json!("DELIVRD")), Word::Delivered);
        assert_eq!(said(json!(1)), Word::Taken, "a number is its digits");
        let detail = "code absent".into();
        assert_eq!(said(json!("UNDELIV")), Word::Undelivered { detail, address: None });
        assert_eq!(said(json!("SOMETHING")), Word::Nothing);
        assert_eq!(read(&callback(Value::Null, &[]), &receipts), Word::Nothing);
    }

    #[test]
    fn a_text_is_read_from_a_form_as_well() {
        let places = door().inbound.expect("described");
        let fields = [("msisdn", "447700900123"), ("message", "STOP"), ("ref", "7")];
        let text = inbound(&callback(Value::Null, &fields), &places).expect("read");
        assert_eq!(
            (text.from.as_str(), text.text.as_str(), text.id.as_str()),
            ("+447700900123", "STOP", "7")
        );
        assert_eq!(inbound(&callback(Value::Null, &fields[1..]), &places), None);
    }
}
