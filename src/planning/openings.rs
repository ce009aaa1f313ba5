//! When a channel may be used: the customer's quiet hours, the rule's window, and the law.

use jiff::tz::TimeZone;

use crate::domain::customer::Address;
use crate::domain::time::{Instant, local};
use crate::domain::{Channel, Hours, Reason, Urgency, Window};

use super::eligibility::Matter;
use super::journey::Notice;
use super::legal_hours::{self, InForce, next_open};
use super::rules::{Guard, Rules};
use super::schedule::Calendar;

/// The hours of one message on one channel.
#[derive(Debug)]
pub struct Openings<'a> {
    /// Urgent, and the customer allows that at any hour.
    pub any_hour: bool,
    quiet: Option<Hours>,
    is_own: bool,
    window: Option<Window>,
    legal: Option<InForce<'a>>,
    zone: TimeZone,
    calendar: &'a Calendar,
}

impl<'a> Openings<'a> {
    /// `gathered` is what comes with other news at the hour the customer chose, which takes the
    /// place of the rule's window.
    #[must_use]
    pub fn of(
        channel: Channel,
        address: &'a Address,
        matter: &Matter<'a>,
        notice: &'a Notice,
        gathered: bool,
        rules: &'a Rules,
    ) -> Self {
        let preferences = &matter.customer.preferences;
        let any_hour =
            notice.urgency == Urgency::Urgent && preferences.urgent_any_hour == Some(true);
        let default = *rules.quiet_hours.get(channel);
        let own = preferences.quiet_hours.as_ref();
        let quiet = own.map_or(default, |hours| hours.on(channel, default));
        let keeps = rules.keeps(Guard::Hours);
        let calendar = rules.calendar(matter.journey);
        let question = legal_hours::Question {
            channel,
            address,
            customer: matter.customer,
            topic: &notice.topic,
            urgent: any_hour,
        };
        Self {
            any_hour,
            quiet: quiet.filter(|_| keeps && !any_hour),
            is_own: own.is_some(),
            window: notice.window.filter(|_| keeps && !gathered),
            legal: legal_hours::in_force(&question, rules, calendar).filter(|_| keeps),
            zone: rules.zone_of(matter.customer),
            calendar,
        }
    }

    /// The first instant from `at` on at which the channel may be used.
    #[must_use]
    pub fn next(&self, at: Instant) -> Option<Instant> {
        next_open(at, &self.zone, self.quiet, self.window, self.calendar, self.legal.as_ref())
    }

    /// Does the law, as far as it is about hours, allow it at `at`?
    #[must_use]
    pub fn lawful(&self, at: Instant) -> bool {
        self.legal.as_ref().is_none_or(|legal| legal.next(at) == Some(at))
    }

    /// Why it may not at `now`, but next at `until`.
    #[must_use]
    pub fn closed(&self, now: Instant, until: Instant) -> Reason {
        let is_quiet =
            self.quiet.is_some_and(|hours| hours.contains(local(now, &self.zone).time()));
        let unlawful = self.legal.as_ref().filter(|_| !self.lawful(now));
        if is_quiet {
            Reason::QuietHours { until, own: self.is_own }
        } else if let Some(legal) = unlawful {
            Reason::LegalHours { until, region: legal.region.to_uppercase() }
        } else {
            let window = self.window.map(|window| window.to_string()).unwrap_or_default();
            Reason::OutsideWindow { until, window }
        }
    }
}
