//! What was learned, applied to one decision: the order of channels nobody ranked, and the hour.

use std::sync::Arc;

use crate::domain::time::Instant;
use crate::domain::{Channel, Reason, Urgency};

use super::super::eligibility::Matter;
use super::super::fit::unmet;
use super::super::journey::Notice;
use super::super::openings::Openings;
use super::super::routing::Candidate;
use super::super::rules::Rules;
use super::{History, Question, at_hour};

/// What earlier messages came to, of one customer and of those like them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evidence {
    pub own: History,
    pub group: Arc<History>,
}

/// Puts the candidates into the learned order and answers the instant at which the message
/// does best, within a day of when it was due.
///
/// What suits the message less keeps its place. Urgent and escalated messages are left alone;
/// only what is neither mandatory nor of high urgency waits for its hour.
pub(in crate::planning) fn apply(
    matter: &Matter<'_>,
    notice: &Notice,
    candidates: &mut [Candidate],
    rules: &Rules,
    reasons: &mut Vec<Reason>,
) -> Option<Instant> {
    let Evidence { own, group } = matter.heard.evidence.as_ref()?;
    if notice.urgency == Urgency::Urgent || matter.notification.escalates.is_some() {
        return None;
    }
    let places: Vec<usize> = (0..candidates.len())
        .filter(|n| unmet(&notice.needs, candidates[*n].channel).is_empty())
        .collect();
    let movable: Vec<Candidate> = places.iter().map(|n| candidates[*n].clone()).collect();
    let allowed: Vec<_> = movable.iter().map(|known| (known.channel, known.by)).collect();
    let (due, zone) = (matter.notification.due_at, rules.zone_of(matter.customer));
    let hours = |channel: Channel| {
        let known = movable.iter().find(|known| known.channel == channel);
        let openings =
            known.map(|known| Openings::of(channel, &known.address, matter, notice, false, rules));
        std::array::from_fn(|hour| {
            let at = at_hour(due, i8::try_from(hour).expect("an hour"), &zone);
            openings.as_ref().is_some_and(|openings| openings.next(at) == Some(at))
        })
    };
    let customer = &matter.customer.id;
    let suggestion = rules.adaptive.suggest(&Question {
        customer,
        allowed: &allowed,
        hours: &hours,
        own,
        group,
    });
    for (place, channel) in places.into_iter().zip(&suggestion.order) {
        let known = movable.iter().find(|known| known.channel == *channel);
        candidates[place] = known.expect("a permutation").clone();
    }
    let may_wait = notice.urgency <= Urgency::Normal && !rules.is_mandatory(&notice.topic);
    let is_first = candidates.first().map(|first| &first.channel) == suggestion.order.first();
    let hour = suggestion.hour.filter(|_| may_wait && is_first);
    let best = hour.map(|hour| at_hour(due, hour, &zone)).filter(|best| *best > due);
    let moved = allowed.iter().map(|(channel, _)| channel).ne(&suggestion.order);
    if moved || best.is_some() {
        let words = suggestion.because.iter().map(ToString::to_string);
        reasons.extend(words.map(|why| Reason::Learned { why }));
    }
    best
}
