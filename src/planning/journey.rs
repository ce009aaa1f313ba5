//! Journeys: the rules of each case type, as read from `config/journeys/*.toml`.
//!
//! [`super::journey_file`] reads and cross-checks the files; here is what they mean.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::time::Instant;
use crate::domain::{Channel, Span, Urgency, Window};

use super::condition::Condition;

/// The rules of one case type.
#[derive(Debug, Clone)]
pub struct Journey {
    pub case_type: String,
    pub states: Vec<String>,
    /// Entering one of these ends the case; leaving it reopens the case.
    pub final_states: Vec<String>,
    /// The calendar of working days, by name; `None` for the default.
    pub calendar: Option<String>,
    /// Chains of states, earlier first: what decides which of two messages replaces which.
    pub order: Vec<Vec<String>>,
    pub notices: Vec<Notice>,
}

/// One thing that may be said in a journey.
#[derive(Debug, Clone)]
pub struct Notice {
    pub id: String,
    pub on: Trigger,
    /// `<case_type>/<name>` below `templates/messages`.
    pub message: String,
    pub topic: String,
    /// Channels that fit this message, best first.
    pub channels: Vec<Channel>,
    pub when: Option<Condition>,
    pub allowed_states: AllowedStates,
    pub until: Option<Until>,
    pub window: Option<Window>,
    pub expires_after: Span,
    pub repeat: Option<Repeat>,
    pub collapse: Option<String>,
    pub urgency: Urgency,
    pub once_per: Option<OncePer>,
    pub answers: Vec<String>,
    pub enabled: bool,
}

/// What makes a notice due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trigger {
    /// Entering a state, or some time after that.
    State { state: String, after: Option<Span> },
    /// Some time before or after an instant or date among the facts.
    Fact { fact: String, offset: FactOffset },
    /// A named event without a change of state.
    Event { event: String },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FactOffset {
    Before(Span),
    After(Span),
}

impl std::fmt::Display for FactOffset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Before(span) => write!(f, "{span} before"),
            Self::After(span) => write!(f, "{span} after"),
        }
    }
}

/// In which states of the case a notice may be said (`while`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowedStates {
    Any,
    /// The default of every trigger but `state`.
    NotFinal,
    Only(Vec<String>),
}

/// Until when a notice may be said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Until {
    At(Instant),
    Fact(String),
}

/// How often a notice is said again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeat {
    /// From when the last one left.
    pub every: Span,
    /// The first one counts too.
    pub at_most: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OncePer {
    Case,
    Customer,
}

impl Journey {
    #[must_use]
    pub fn notice(&self, id: &str) -> Option<&Notice> {
        self.notices.iter().find(|notice| notice.id == id)
    }

    #[must_use]
    pub fn is_final(&self, state: Option<&str>) -> bool {
        state.is_some_and(|state| self.final_states.iter().any(|known| known == state))
    }

    /// May `newer` take the place of `older` inside one collapse group? Without `order` the
    /// later event replaces; with it, only states of one chain replace each other, and the
    /// incomparable are said together.
    #[must_use]
    pub fn replaces(&self, newer: Option<&str>, older: Option<&str>) -> bool {
        if self.order.is_empty() || newer == older {
            return true;
        }
        let (Some(newer), Some(older)) = (newer, older) else { return true };
        let in_chain = |chain: &Vec<String>, state: &str| chain.iter().any(|known| known == state);
        self.order.iter().any(|chain| in_chain(chain, newer) && in_chain(chain, older))
    }
}

impl Notice {
    /// The states in which it may be said, for people; empty when any state will do.
    #[must_use]
    pub fn wanted_states(&self, journey: &Journey) -> Vec<String> {
        match &self.allowed_states {
            AllowedStates::Any => Vec::new(),
            AllowedStates::Only(states) => states.clone(),
            AllowedStates::NotFinal => journey
                .states
                .iter()
                .filter(|state| !journey.is_final(Some(state)))
                .cloned()
                .collect(),
        }
    }

    #[must_use]
    pub fn fits_state(&self, journey: &Journey, state: Option<&str>) -> bool {
        match &self.allowed_states {
            AllowedStates::Any => true,
            AllowedStates::NotFinal => !journey.is_final(state),
            AllowedStates::Only(states) => {
                state.is_some_and(|state| states.iter().any(|known| known == state))
            }
        }
    }
}

/// All journeys of one published version.
#[derive(Debug, Clone, Default)]
pub struct Journeys {
    /// The hash of journeys and messages together.
    pub version: String,
    by_case_type: BTreeMap<String, Arc<Journey>>,
}

impl Journeys {
    #[must_use]
    pub fn new(version: String, journeys: Vec<Journey>) -> Self {
        let by_case_type = journeys
            .into_iter()
            .map(|journey| (journey.case_type.clone(), Arc::new(journey)))
            .collect();
        Self { version, by_case_type }
    }

    #[must_use]
    pub fn get(&self, case_type: &str) -> Option<&Arc<Journey>> {
        self.by_case_type.get(case_type)
    }

    /// Is anything said once per customer, whatever the case?
    #[must_use]
    pub fn any_once_per_customer(&self) -> bool {
        let mut notices = self.iter().flat_map(|journey| &journey.notices);
        notices.any(|notice| notice.once_per == Some(OncePer::Customer))
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Journey>> {
        self.by_case_type.values()
    }
}
