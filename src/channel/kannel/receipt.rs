//! Kannel's delivery reports: plain GETs (Kannel User's Guide, "Delivery reports"). Nothing in
//! them is signed but the tag we put there ourselves.

use subtle::ConstantTimeEq;

use crate::channel::codes::{Stage, look_up, word};
use crate::channel::receipt::{InboundText, Word, said, with_plus};

use super::NAME;

/// `%d`, the type of the report.
const TYPES: [(&str, Stage); 5] = [
    ("1", Stage::Delivered),
    ("2", Stage::Failed),
    ("4", Stage::Queued),
    ("8", Stage::Sent),
    ("16", Stage::Failed),
];

/// Is the word of our own in the address the right one?
#[must_use]
pub fn verify(secret: &str, given: Option<&str>) -> bool {
    let given = given.unwrap_or_default();
    !secret.is_empty() && bool::from(secret.as_bytes().ct_eq(given.as_bytes()))
}

/// Reads a delivery report; `said` is what the network told Kannel.
#[must_use]
pub fn read(field: impl Fn(&str) -> Option<String>) -> Word {
    let stage = look_up(NAME, &TYPES, field("d").unwrap_or_default().as_str());
    match word(stage, "", None) {
        Word::Undelivered { address, .. } => {
            let told = said(&field("said").unwrap_or_default());
            Word::Undelivered { detail: told.replace('/', " ").trim().to_owned(), address }
        }
        other => other,
    }
}

/// Reads a text that came in by `get-url = "…?secret=…&from=%p&to=%P&text=%a&id=%I"`.
#[must_use]
pub fn inbound(field: impl Fn(&str) -> Option<String>) -> Option<InboundText> {
    Some(InboundText {
        from: with_plus(&field("from")?),
        to: with_plus(&field("to").unwrap_or_default()),
        text: field("text").unwrap_or_default(),
        id: field("id").unwrap_or_default(),
        at_carrier: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_by_its_type() {
        let said = |kind: &str| {
            read(|name| match name {
                "d" => Some(kind.to_owned()),
                "said" => Some("NACK/0x0000000b/Invalid Destination".into()),
                _ => None,
            })
        };
        assert_eq!(said("8"), Word::Taken);
        assert_eq!(said("4"), Word::Taken);
        assert_eq!(said("1"), Word::Delivered);
        for kind in ["2", "16"] {
            let detail = "NACK 0x0000000b Invalid Destination".into();
            assert_eq!(said(kind), Word::Undelivered { detail, address: None }, "{kind}");
        }
        assert_eq!(said("3"), Word::Nothing);
        assert_eq!(said(""), Word::Nothing);
    }

    #[test]
    fn the_word_in_the_address_is_compared_whole() {
        assert!(verify("s3cret", Some("s3cret")));
        assert!(!verify("s3cret", Some("s3cre")), "cut");
        assert!(!verify("s3cret", Some("other")));
        assert!(!verify("s3cret", None));
        assert!(!verify("", Some("")), "no secret is no door");
    }
}
