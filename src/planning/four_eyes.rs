//! Does a change need a second person before it is in force, and is there one?

use serde::{Deserialize, Serialize};

/// `[publishing] four_eyes`: which changes need somebody else than who wrote them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FourEyes {
    /// Those that touch a notice on a topic that cannot be switched off.
    pub mandatory_topics: bool,
    /// Those that change what more than so many customers would have got in a month; 0 for no
    /// such limit.
    pub customers: u64,
}

/// What a change touches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Touch {
    /// Notices on mandatory topics: `return/refunded`.
    pub mandatory: Vec<String>,
    /// Customers who would have got something else in the month looked at.
    pub customers: u64,
}

/// Why somebody else has to say yes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "because", rename_all = "snake_case")]
pub enum Why {
    Mandatory { notice: String },
    Customers { touched: u64, limit: u64 },
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Mandatory { notice } => {
                write!(f, "it touches {notice}, on a topic nobody can switch off")
            }
            Self::Customers { touched, limit } => {
                write!(f, "it touches {touched} customers a month, more than {limit}")
            }
        }
    }
}

impl FourEyes {
    /// Why a change needs a second person; nothing where it does not.
    #[must_use]
    pub fn why(&self, touch: &Touch) -> Vec<Why> {
        let mandatory = touch.mandatory.iter().filter(|_| self.mandatory_topics);
        let mut why: Vec<Why> =
            mandatory.map(|notice| Why::Mandatory { notice: notice.clone() }).collect();
        if self.customers > 0 && touch.customers > self.customers {
            why.push(Why::Customers { touched: touch.customers, limit: self.customers });
        }
        why
    }
}

/// Who stands behind a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// One person is enough.
    OneIsEnough,
    /// Somebody who wrote no part of it said yes.
    Second { by: String },
    /// A second person was needed, and this installation knows of none.
    NobodyElse,
}

/// Judges a change that needs a second person for the reasons `why`. `alone_ok` where
/// nobody else could be asked.
///
/// # Errors
/// The reasons, when whoever says yes wrote a part of it, or nobody does.
pub fn judge<'w>(
    why: &'w [Why],
    authors: &[String],
    approver: Option<&str>,
    alone_ok: bool,
) -> Result<Standing, &'w [Why]> {
    let same = |a: &str, b: &str| a.trim().to_lowercase() == b.trim().to_lowercase();
    let approver = approver.map(str::trim).filter(|by| !by.is_empty());
    let second = approver.filter(|by| !authors.iter().any(|author| same(author, by)));
    match second {
        Some(by) => Ok(Standing::Second { by: by.to_owned() }),
        None if why.is_empty() => Ok(Standing::OneIsEnough),
        None if alone_ok => Ok(Standing::NobodyElse),
        None => Err(why),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RULE: FourEyes = FourEyes { mandatory_topics: true, customers: 1_000 };

    #[test]
    fn a_mandatory_topic_or_many_customers_need_a_second_person() {
        let touch = |mandatory: &[&str], customers| Touch {
            mandatory: mandatory.iter().map(ToString::to_string).collect(),
            customers,
        };
        assert_eq!(RULE.why(&touch(&[], 1_000)), []);
        assert_eq!(
            RULE.why(&touch(&["return/refunded"], 1_001)),
            [
                Why::Mandatory { notice: "return/refunded".into() },
                Why::Customers { touched: 1_001, limit: 1_000 }
            ]
        );
        let off = FourEyes { mandatory_topics: false, customers: 0 };
        assert_eq!(off.why(&touch(&["return/refunded"], 1_000_000)), []);
    }

    proptest! {
        /// Whoever wrote a part of it never counts as the second person, however they write
        /// their name; and what needs one never passes without, where one could be asked.
        #[test]
        fn nobody_is_their_own_second_person(
            authors in prop::collection::vec("[A-Ca-c]{1,2}", 1..4),
            approver in prop::option::of(" ?[A-Ca-c]{1,2} ?"),
            needed in any::<bool>(),
            alone_ok in any::<bool>(),
        ) {
            let why = if needed { vec![Why::Customers { touched: 2, limit: 1 }] } else { vec![] };
            let folded = |text: &str| text.trim().to_lowercase();
            let wrote = approver.as_deref().is_some_and(|by| {
                authors.iter().any(|author| folded(author) == folded(by))
            });
            match judge(&why, &authors, approver.as_deref(), alone_ok) {
                Ok(Standing::Second { by }) => {
                    prop_assert!(!wrote);
                    prop_assert_eq!(Some(folded(&by)), approver.as_deref().map(folded));
                }
                Ok(Standing::OneIsEnough) => prop_assert!(!needed),
                Ok(Standing::NobodyElse) => prop_assert!(needed && alone_ok),
                Err(_) => prop_assert!(needed && !alone_ok && (approver.is_none() || wrote)),
            }
        }
    }
}
