//! Names of things. Ids of cases and customers belong to the case system; ids of
//! notifications are derived, so that a plan made twice is the same plan.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The longest id a case system may use, in characters.
pub const MAX_ID_CHARS: usize = 200;

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl $name {
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }
    };
}

text_id! {
    /// A case, named by the case system.
    CaseId
}
text_id! {
    /// A customer, named by the case system.
    CustomerId
}

/// What makes an event the same event: where it came from and its id there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EventKey {
    pub source: String,
    pub id: String,
}

/// A notification. Derived from (case or customer, notice, trigger key, occurrence); the
/// channel, the journey version and the time of planning are deliberately not in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NotificationId(pub Uuid);

/// The namespace of derived ids (`UUIDv5`, RFC 9562 section 5.5), itself derived from a name.
const NAMESPACE: Uuid = Uuid::from_u128(0x6c1f_7d0a_5d8e_5f0b_9d63_0b5a_7f4c_21e8);

impl NotificationId {
    /// `scope` is the case id, or the customer id for a notice said once per customer.
    #[must_use]
    pub fn derive(scope: &str, notice: &str, trigger_key: &str, occurrence: u32) -> Self {
        let name = format!("{scope}\u{1f}{notice}\u{1f}{trigger_key}\u{1f}{occurrence}");
        Self(Uuid::new_v5(&NAMESPACE, name.as_bytes()))
    }

    /// # Errors
    /// When `text` is no UUID.
    pub fn parse(text: &str) -> Result<Self, uuid::Error> {
        Uuid::parse_str(text).map(Self)
    }
}

impl fmt::Display for NotificationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_cause_gives_the_same_id_and_any_other_cause_another() {
        let id = |case, notice, key, n| NotificationId::derive(case, notice, key, n);
        assert_eq!(id("R-1", "received", "desk/e1", 0), id("R-1", "received", "desk/e1", 0));
        let all = [
            id("R-1", "received", "desk/e1", 0),
            id("R-2", "received", "desk/e1", 0),
            id("R-1", "shipped", "desk/e1", 0),
            id("R-1", "received", "desk/e2", 0),
            id("R-1", "received", "desk/e1", 1),
        ];
        let distinct: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }
}
