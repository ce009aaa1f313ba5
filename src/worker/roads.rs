//! How the providers stand while one batch is decided: which are left alone, what share each
//! has, and which of them a notification was with before.

use std::collections::HashMap;

use crate::channel::choice::{Entrant, choose};
use crate::channel::{Gateway, Way};
use crate::domain::time::Instant;
use crate::domain::{Channel, ChannelMap, Notification, NotificationId, Rest, Withdrawn};
use crate::store::Result;
use crate::store::tried::Tried;

use super::Engine;

/// The ways out at one moment.
#[derive(Debug)]
pub struct Roads<'a> {
    engine: &'a Engine,
    rests: ChannelMap<Vec<Option<Rest>>>,
    weights: ChannelMap<Vec<u32>>,
    withdrawn: ChannelMap<Option<Withdrawn>>,
    tried: HashMap<NotificationId, Vec<Tried>>,
}

impl<'a> Roads<'a> {
    #[must_use]
    pub fn look(engine: &'a Engine, now: Instant) -> Self {
        let weights = ChannelMap::from_fn(|channel| engine.health.weights(channel));
        let (rests, withdrawn) = (engine.health.rests(now), engine.health.withdrawn());
        Self { engine, rests, weights, withdrawn, tried: HashMap::new() }
    }

    /// Reads which providers these were with before.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn learn<'n>(
        &mut self,
        notifications: impl Iterator<Item = &'n Notification>,
    ) -> Result<()> {
        let before: Vec<NotificationId> =
            notifications.filter(|n| n.attempts > 0).map(|n| n.id).collect();
        if !before.is_empty() {
            self.tried.extend(self.engine.store.tried(&before).await?);
        }
        Ok(())
    }

    /// Until when each channel is left alone for this notification, and why: while all its
    /// providers are, or the one that has not said whether it took the message.
    #[must_use]
    pub fn of(&self, id: NotificationId) -> crate::domain::Roads {
        let rests = ChannelMap::from_fn(|channel| {
            let rests = self.rests.get(channel);
            match self.silent(id, channel) {
                Some(place) => rests[place],
                None => soonest(rests),
            }
        });
        crate::domain::Roads { rests, withdrawn: self.withdrawn }
    }

    /// Was it handed over by this channel before, and not taken for sure?
    #[must_use]
    pub fn is_retry(&self, id: NotificationId, channel: Channel) -> bool {
        self.before(id).any(|tried| tried.channel == channel && (tried.declined || tried.in_doubt))
    }

    /// The provider that takes this notification; `None` when all are away.
    #[must_use]
    pub fn choose(&self, id: NotificationId, channel: Channel) -> Option<Way> {
        let rests = self.rests.get(channel);
        let place = if let Some(place) = self.silent(id, channel) {
            rests[place].is_none().then_some(place)
        } else {
            let lines = self.engine.health.lines(channel);
            let entrants: Vec<Entrant<'_>> = lines
                .iter()
                .enumerate()
                .map(|(place, line)| Entrant {
                    name: line.provider.name(),
                    weight: self.weights.get(channel)[place],
                    away: rests[place].is_some(),
                    declined: self.before(id).any(|tried| {
                        tried.channel == channel
                            && tried.declined
                            && tried.provider == line.provider.name()
                    }),
                })
                .collect();
            choose(id, &entrants)
        };
        place.map(|place| Way { channel, place })
    }

    fn before(&self, id: NotificationId) -> impl Iterator<Item = &Tried> {
        self.tried.get(&id).into_iter().flatten()
    }

    /// The provider that had it last and never said whether it took it: if it is sent once more
    /// after all, then to that one, which may know it again.
    fn silent(&self, id: NotificationId, channel: Channel) -> Option<usize> {
        let last =
            self.before(id).last().filter(|tried| tried.in_doubt && tried.channel == channel)?;
        let lines = self.engine.health.lines(channel);
        lines.iter().position(|line| line.provider.name() == last.provider)
    }
}

/// When the first of them is worth asking again; `None` while one is well. A failing one comes
/// back by itself, a stopped one when somebody says so.
fn soonest(rests: &[Option<Rest>]) -> Option<Rest> {
    let all: Vec<Rest> = rests.iter().copied().collect::<Option<_>>()?;
    let stopped = |rest: &Rest| matches!(rest, Rest::Drained { .. });
    all.into_iter().min_by_key(|rest| (stopped(rest), rest.until()))
}

impl Engine {
    /// The provider for a letter of the centre. Like any message it goes to none that is left
    /// alone while another is well.
    #[must_use]
    pub fn letter_gateway(
        &self,
        channel: Channel,
        id: NotificationId,
        now: Instant,
    ) -> Option<Gateway> {
        let gateways = self.gateways.get(channel);
        let way = Roads::look(self, now).choose(id, channel);
        gateways.get(way.map_or(0, |way| way.place)).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::parse_instant;

    #[test]
    fn a_channel_rests_while_all_its_providers_do_and_the_first_to_come_back_ends_it() {
        let at = |text| parse_instant(text).expect("an instant");
        let (soon, late) = (at("2026-11-23T10:00:10Z"), at("2026-11-23T10:01:00Z"));
        let failing = |until| Some(Rest::Failing { until });
        let stopped = Some(Rest::Drained { until: soon });
        assert_eq!(soonest(&[failing(soon), None]), None);
        assert_eq!(soonest(&[failing(late), failing(soon)]), failing(soon));
        assert_eq!(soonest(&[stopped, failing(late)]), failing(late));
        assert_eq!(soonest(&[stopped, stopped]), stopped);
    }
}
