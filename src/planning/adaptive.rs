//! Which channel and hour work best for a customer, learned from what became of earlier
//! messages: a suggestion within what the customer allows, never beyond it.
//!
//! Pure and deterministic: counts come in, an order of channels, an hour and their reasons go
//! out. The customer's own outcomes count first; where they are too few, those of customers
//! like them (same kind of case, same language). A share of customers is left alone, so that
//! the effect can be seen. Off unless the settings say otherwise.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::domain::reason::Voice;
use crate::domain::time::{Instant, local};
use crate::domain::{Channel, CustomerId};

use super::schedule::at_local;

mod apply;
mod why;

pub use apply::Evidence;
pub(super) use apply::apply;
pub use why::{Basis, Why};

/// `[adaptive]`
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adaptive {
    pub enabled: bool,
    /// The share of customers left alone, from 0 to 1.
    pub hold_out: f64,
    /// Fewer outcomes than this say nothing.
    pub min_outcomes: u32,
}

/// What became of messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub told: u32,
    pub delivered: u32,
    /// A link in it was used.
    pub opened: u32,
    /// Answered, or a key pressed.
    pub acknowledged: u32,
    /// The customer got in touch about the same case in the days after.
    pub contacted: u32,
}

impl Counts {
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self {
            told: self.told + other.told,
            delivered: self.delivered + other.delivered,
            opened: self.opened + other.opened,
            acknowledged: self.acknowledged + other.acknowledged,
            contacted: self.contacted + other.contacted,
        }
    }

    /// How well it went, in permille of the best there is: an acknowledgement is worth twice
    /// an opening and four times a delivery; a contact afterwards undoes an acknowledgement.
    fn score(self) -> i64 {
        let good = 4 * i64::from(self.acknowledged)
            + 2 * i64::from(self.opened)
            + i64::from(self.delivered);
        let points = good - 4 * i64::from(self.contacted);
        points * 1_000 / (4 * i64::from(self.told.max(1)))
    }
}

/// Scores within the same step of this many permille are as good as equal.
const STEP: i64 = 50;

/// Hours of a bucket; a day has twelve.
const BUCKET_HOURS: i8 = 2;

/// Two hours of a local day; 0 begins at midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Bucket(i8);

impl Bucket {
    /// The bucket of a local hour, 0 to 23.
    #[must_use]
    pub const fn of_hour(hour: i8) -> Self {
        Self(hour / BUCKET_HOURS)
    }

    fn hours(self) -> impl Iterator<Item = i8> {
        (self.0 * BUCKET_HOURS)..((self.0 + 1) * BUCKET_HOURS)
    }
}

/// Outcomes by channel and time of day.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History(BTreeMap<(Channel, Bucket), Counts>);

impl History {
    pub fn add(&mut self, channel: Channel, hour: i8, counts: Counts) {
        let sum = self.0.entry((channel, Bucket::of_hour(hour))).or_default();
        *sum = sum.with(counts);
    }

    fn on(&self, channel: Channel) -> Counts {
        let of_channel = self.0.iter().filter(|((known, _), _)| *known == channel);
        of_channel.fold(Counts::default(), |sum, (_, counts)| sum.with(*counts))
    }

    fn at(&self, channel: Channel, bucket: Bucket) -> Counts {
        self.0.get(&(channel, bucket)).copied().unwrap_or_default()
    }
}

/// What is known when a suggestion is asked for.
#[allow(missing_debug_implementations, reason = "it asks a function")]
pub struct Question<'a> {
    pub customer: &'a CustomerId,
    /// The channels routing allows, best first, and whose word allows each.
    pub allowed: &'a [(Channel, Voice)],
    /// The whole local hours at which the message may go by a channel.
    pub hours: &'a dyn Fn(Channel) -> [bool; 24],
    pub own: &'a History,
    /// Of customers with the same kind of case and language.
    pub group: &'a History,
}

/// A permutation of the allowed channels, and an allowed hour where one stands out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Suggestion {
    pub order: Vec<Channel>,
    /// The local hour, 0 to 23, at which it does best on the first channel.
    pub hour: Option<i8>,
    pub because: Vec<Why>,
}

impl Adaptive {
    /// Is this customer left alone? Decided by a hash of the id: the same customer, always the
    /// same answer.
    #[must_use]
    pub fn holds_out(&self, customer: &CustomerId) -> bool {
        let hash = Sha256::digest(format!("hold out {customer}").as_bytes());
        let place = u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]);
        f64::from(place) < self.hold_out * (f64::from(u32::MAX) + 1.0)
    }

    /// Suggests an order of channels and an hour.
    ///
    /// Only channels that nobody ranked, allowed by the topic's default, change places, and only
    /// among themselves; an hour is suggested only where it is clearly better than the day.
    #[must_use]
    pub fn suggest(&self, question: &Question<'_>) -> Suggestion {
        let mut order: Vec<Channel> =
            question.allowed.iter().map(|(channel, _)| *channel).collect();
        let nothing = |because: Why, order: Vec<Channel>| Suggestion {
            order,
            hour: None,
            because: vec![because],
        };
        if !self.enabled {
            return nothing(Why::SwitchedOff, order);
        }
        if self.holds_out(question.customer) {
            return nothing(Why::HeldOut, order);
        }
        let mut because = Vec::new();
        let mut places = Vec::new();
        let mut scored = Vec::new();
        for (place, (channel, by)) in question.allowed.iter().enumerate() {
            if !matches!(by, Voice::TopicDefault | Voice::Mandatory) {
                because.push(Why::Ranked { channel: *channel });
                continue;
            }
            let found = self.evidence(question, |history| history.on(*channel));
            match found {
                Ok((counts, basis)) => {
                    let permille = counts.score();
                    let outcomes = counts.told;
                    because.push(Why::Scored { channel: *channel, permille, outcomes, basis });
                    places.push(place);
                    scored.push((permille.div_euclid(STEP), *channel));
                }
                Err(outcomes) => {
                    let needed = self.min_outcomes;
                    because.push(Why::TooFew { channel: *channel, outcomes, needed });
                }
            }
        }
        scored.sort_by_key(|(step, _)| -step); // stable: equals keep their order
        for (place, (_, channel)) in places.into_iter().zip(scored) {
            order[place] = channel;
        }
        let hour = order.first().and_then(|channel| self.hour(question, *channel, &mut because));
        Suggestion { order, hour, because }
    }

    /// The first allowed hour of the best part of the day, where it beats the whole day.
    fn hour(
        &self,
        question: &Question<'_>,
        channel: Channel,
        because: &mut Vec<Why>,
    ) -> Option<i8> {
        let (whole_day, _) = self.evidence(question, |history| history.on(channel)).ok()?;
        let open = (question.hours)(channel);
        let buckets = (0..24 / BUCKET_HOURS).map(Bucket).filter_map(|bucket| {
            let hour = bucket.hours().find(|hour| open[usize::from(hour.unsigned_abs())])?;
            let at = self.evidence(question, |history| history.at(channel, bucket));
            let (counts, basis) = at.ok()?;
            Some((hour, counts.score(), counts.told, basis))
        });
        // Of equals the earliest.
        let best = buckets.max_by_key(|(hour, permille, ..)| (*permille, -hour));
        let (hour, permille, outcomes, basis) = best?;
        if permille < whole_day.score() + STEP {
            return None;
        }
        because.push(Why::BestHour { hour, permille, outcomes, basis });
        Some(hour)
    }

    /// The customer's own outcomes where there are enough, else the group's; how many of the
    /// group there are where they are too few.
    fn evidence(
        &self,
        question: &Question<'_>,
        counts: impl Fn(&History) -> Counts,
    ) -> Result<(Counts, Basis), u32> {
        let enough = |counts: Counts| counts.told > 0 && counts.told >= self.min_outcomes;
        let (own, group) = (counts(question.own), counts(question.group));
        if enough(own) {
            Ok((own, Basis::Own))
        } else if enough(group) {
            Ok((group, Basis::Group))
        } else {
            Err(group.told)
        }
    }
}

/// The next moment, at or after `due` and within a day of it, at which the local hour begins;
/// `due` itself when it lies in that hour.
#[must_use]
pub fn at_hour(due: Instant, hour: i8, zone: &jiff::tz::TimeZone) -> Instant {
    let there = local(due, zone);
    if there.hour() == hour {
        return due;
    }
    let days = i64::from(there.hour() > hour);
    let date = there.date().saturating_add(jiff::Span::new().days(days));
    // Where a clock change skips the hour, the moment after the gap.
    at_local(date.at(hour, 0, 0, 0), zone).max(due)
}

#[cfg(test)]
mod tests;
