//! Journeys: the rules of each case type, as read from `config/journeys/*.toml`.
//!
//! [`super::journey_file`] reads and cross-checks the files; here is what they mean.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::reason::Reason;
use crate::domain::share::Share;
use crate::domain::time::Instant;
use crate::domain::{CaseId, Channel, Sign, Span, Urgency, Window};

use super::condition::Condition;
use super::cron::Cron;
use super::fit::ChannelNeed;

/// The rules of one case type.
#[derive(Debug, Clone, PartialEq)]
pub struct Journey {
    pub case_type: String,
    pub states: Vec<String>,
    /// Entering one of these ends the case; leaving it reopens the case.
    pub final_states: Vec<String>,
    /// The calendar of working days, by name; `None` for the default.
    pub calendar: Option<String>,
    /// Chains of states, earlier first: what decides which of two messages replaces which.
    pub order: Vec<Vec<String>>,
    /// How long an open case may go without a word: `promise = { update_every = "…" }`.
    pub promise: Option<Span>,
    pub notices: Vec<Notice>,
}

/// One thing that may be said in a journey.
#[derive(Debug, Clone, PartialEq)]
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
    /// From then on its text says what is no longer so.
    pub valid_until: Option<ValidUntil>,
    pub window: Option<Window>,
    pub expires_after: Span,
    pub repeat: Option<Repeat>,
    pub collapse: Option<String>,
    pub urgency: Urgency,
    pub once_per: Option<OncePer>,
    /// With `once_per`: after this long it may be said once more.
    pub again_after: Option<Span>,
    pub escalate: Option<Escalate>,
    pub needs: Vec<ChannelNeed>,
    /// Too hard to hear from a machine: never an automated call.
    pub human_only: bool,
    pub answers: Vec<String>,
    pub audience: Audience,
    /// What a mail of it puts into the customer's calendar.
    pub calendar: Option<CalendarRule>,
    pub enabled: bool,
}

/// An appointment among the facts of a case, for the customer's calendar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalendarRule {
    /// The fact that says when it begins.
    pub start: String,
    /// The fact that says when it ends; without it, it lasts so long.
    pub end: Option<String>,
    pub lasts: Span,
    /// The fact that says where.
    pub place: Option<String>,
    /// It will not take place: what was put there is taken back.
    pub cancel: bool,
}

/// Whom the words of a notice are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Audience {
    #[default]
    Customer,
    /// Agents alone: shown beside the case, never sent.
    Staff,
}

/// The next allowed channel, when nobody reacts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Escalate {
    /// From when the message left.
    pub after: Span,
    /// The sign that is enough; a stronger one is too.
    pub unless: Sign,
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
    /// Nothing was said about an open case for so long.
    Silence { after: Span },
    /// At times of the calendar, while the case is open.
    Cron { cron: Box<Cron>, zone: CronZone },
}

/// Whose wall clock a cron rule means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CronZone {
    Customer,
    Named(String),
}

impl Trigger {
    /// Is it said because time passes, and not because of an event?
    #[must_use]
    pub const fn is_watch(&self) -> bool {
        matches!(self, Self::Silence { .. } | Self::Cron { .. })
    }

    /// Is the id of its notifications free of the event, so that planning must see every one
    /// of them again?
    #[must_use]
    pub const fn is_keyed(&self) -> bool {
        matches!(self, Self::Fact { .. } | Self::Silence { .. } | Self::Cron { .. })
    }
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

/// The last day on which the text of a notice holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ValidUntil(pub jiff::civil::Date);

impl ValidUntil {
    /// When that day is over on the clock of `zone`.
    #[must_use]
    pub fn ends_at(self, zone: &jiff::tz::TimeZone) -> Instant {
        let next = self.0.tomorrow().unwrap_or(self.0);
        super::schedule::at_local(next.to_datetime(jiff::civil::Time::midnight()), zone)
    }
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
    /// later event replaces; with it, only comparable states replace each other, and the
    /// incomparable are said together.
    #[must_use]
    pub fn replaces(&self, newer: Option<&str>, older: Option<&str>) -> bool {
        if self.order.is_empty() || newer == older {
            return true;
        }
        let (Some(newer), Some(older)) = (newer, older) else { return true };
        self.leads_to(older, newer) || self.leads_to(newer, older)
    }

    /// Does a way along the chains of `order` go from one state to the other?
    #[must_use]
    pub fn leads_to(&self, from: &str, to: &str) -> bool {
        let mut reached = vec![from];
        let mut next = 0;
        while let Some(state) = reached.get(next).copied() {
            next += 1;
            for pair in self.order.iter().flat_map(|chain| chain.windows(2)) {
                if pair[0] == state {
                    if pair[1] == to {
                        return true;
                    }
                    if !reached.contains(&pair[1].as_str()) {
                        reached.push(&pair[1]);
                    }
                }
            }
        }
        false
    }
}

impl Notice {
    /// Why nothing of it is ever sent; `None` where customers hear it.
    #[must_use]
    pub fn unsent(&self) -> Option<Reason> {
        if !self.enabled {
            return Some(Reason::RuleDisabled);
        }
        (self.audience == Audience::Staff).then_some(Reason::ForStaff)
    }

    #[must_use]
    pub fn is_sent(&self) -> bool {
        self.unsent().is_none()
    }

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
    /// A version that holds for a share of the cases first.
    trial: Option<Arc<Trial>>,
}

#[derive(Debug)]
struct Trial {
    share: Share,
    journeys: Journeys,
}

impl Journeys {
    #[must_use]
    pub fn new(version: String, journeys: Vec<Journey>) -> Self {
        let by_case_type = journeys
            .into_iter()
            .map(|journey| (journey.case_type.clone(), Arc::new(journey)))
            .collect();
        Self { version, by_case_type, trial: None }
    }

    /// The same, with another version for a share of the cases.
    #[must_use]
    pub fn with_trial(self, share: Share, journeys: Self) -> Self {
        Self { trial: Some(Arc::new(Trial { share, journeys })), ..self }
    }

    /// The version a case is decided by.
    #[must_use]
    pub fn version_of(&self, case: &CaseId) -> &str {
        &self.for_case(case).version
    }

    /// The rules a case is decided by.
    #[must_use]
    pub fn of(&self, case_type: &str, case: &CaseId) -> Option<&Arc<Journey>> {
        self.for_case(case).get(case_type)
    }

    fn for_case(&self, case: &CaseId) -> &Self {
        match &self.trial {
            Some(trial) if trial.share.takes(case) => &trial.journeys,
            _ => self,
        }
    }

    /// What is in force, in one line that changes with it.
    #[must_use]
    pub fn in_force(&self) -> String {
        match &self.trial {
            None => self.version.clone(),
            Some(trial) => {
                format!("{}+{}@{}", self.version, trial.journeys.version, trial.share.percent)
            }
        }
    }

    /// The rules of a case type for all cases that are in no trial.
    #[must_use]
    pub fn get(&self, case_type: &str) -> Option<&Arc<Journey>> {
        self.by_case_type.get(case_type)
    }

    /// Is anything said once per customer, whatever the case?
    #[must_use]
    pub fn any_once_per_customer(&self) -> bool {
        let trial = self.trial.iter().flat_map(|trial| trial.journeys.iter());
        let mut notices = self.iter().chain(trial).flat_map(|journey| &journey.notices);
        notices.any(|notice| notice.once_per == Some(OncePer::Customer))
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Journey>> {
        self.by_case_type.values()
    }
}
