//! Which messages of one customer go together: one carries, the others ride in it.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::domain::customer::Address;
use crate::domain::time::Instant;
use crate::domain::{CaseId, Channel, CustomerId, Held, Notification, NotificationId, Urgency};

use super::fit::{ChannelNeed, unmet};
use super::journey::Notice;
use super::rules::Rules;

/// A message that may go now, as far as it matters for going together. In the order of
/// priority: urgency, due instant, id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Going {
    pub customer: CustomerId,
    pub case: CaseId,
    pub channel: Channel,
    pub address: String,
    pub collapse: Option<String>,
    /// The slot of the digest it belongs to.
    pub digest: Option<String>,
    /// It was over the cap before, and waits for a message to ride in.
    pub over_cap: bool,
    /// The cap is reached still: it goes only in the company of another.
    pub only_rides: bool,
    /// It asks a question, whose buttons need a message of their own, or is private where
    /// others may look.
    pub alone: bool,
}

impl Going {
    /// What matters of a notification that may go this way; `rides` when only in another.
    #[must_use]
    pub fn of(
        notification: &Notification,
        rules: &Rules,
        way: (Channel, &Address),
        digest: Option<&str>,
        rides: bool,
    ) -> Self {
        let (channel, address) = way;
        let journey = rules.journeys.of(&notification.case_type, &notification.case);
        let notice = journey.and_then(|journey| journey.notice(&notification.notice));
        Self {
            customer: notification.customer.clone(),
            case: notification.case.clone(),
            channel,
            address: address.compare_key(),
            collapse: notification.collapse.clone(),
            digest: digest.map(str::to_owned),
            over_cap: notification.held == Some(Held::Cap),
            only_rides: rides,
            alone: notice.is_some_and(|notice| goes_alone(notice, channel)),
        }
    }
}

/// Does it ask a question, is it private where others may look, or does it put an entry into
/// the customer's calendar?
#[must_use]
pub fn goes_alone(notice: &Notice, channel: Channel) -> bool {
    let private = unmet(&notice.needs, channel).contains(&ChannelNeed::Private);
    let entry = channel == Channel::Email && notice.calendar.is_some();
    private || entry || !notice.answers.is_empty()
}

/// Who goes first: urgency, then due, then id.
#[must_use]
pub fn priority(notification: &Notification) -> (Reverse<Urgency>, Instant, NotificationId) {
    (Reverse(notification.urgency), notification.due_at, notification.id)
}

/// Does it wait for another message to ride in, the cap of the day being reached?
#[must_use]
pub fn waits_to_ride(notification: &Notification, now: Instant) -> bool {
    notification.held == Some(Held::Cap) && notification.next_at > now
}

/// The most messages one carries; the rest waits for the next one.
pub const MAX_RIDERS: usize = 50;

/// One message to be written, and what rides in it. Numbers are places in the list given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Load {
    pub carrier: usize,
    pub riders: Vec<usize>,
    /// Is it the customer's daily or weekly message?
    pub digest: bool,
}

/// Puts messages together: those of one digest, those of one case and collapse group that do
/// not replace each other, and what is over the cap with whatever goes next. Answers the
/// messages to write, and what found no room.
#[must_use]
pub fn carry(going: &[Going]) -> (Vec<Load>, Vec<usize>) {
    let mut loads: Vec<Load> = Vec::new();
    let mut places: BTreeMap<Key<'_>, usize> = BTreeMap::new();
    let mut no_room = Vec::new();
    let waits_for_any =
        |message: &Going| (message.over_cap || message.only_rides) && !message.alone;
    no_room.extend((0..going.len()).filter(|n| going[*n].only_rides && going[*n].alone));
    for (n, message) in going.iter().enumerate().filter(|(_, m)| !waits_for_any(m) && !m.only_rides)
    {
        let Some(key) = Key::of(message) else {
            loads.push(Load { carrier: n, riders: Vec::new(), digest: false });
            continue;
        };
        match places.get(&key).map(|place| &mut loads[*place]) {
            Some(load) if load.riders.len() < MAX_RIDERS => {
                load.riders.push(n);
                load.digest = message.digest.is_some();
            }
            Some(_) => no_room.push(n),
            None => {
                places.insert(key, loads.len());
                loads.push(Load { carrier: n, riders: Vec::new(), digest: false });
            }
        }
    }
    for (n, message) in going.iter().enumerate().filter(|(_, message)| waits_for_any(message)) {
        let same_way = |carrier: &Going| {
            (&carrier.customer, carrier.channel, &carrier.address)
                == (&message.customer, message.channel, &message.address)
        };
        match loads.iter_mut().find(|load| same_way(&going[load.carrier])) {
            Some(load) if load.riders.len() < MAX_RIDERS => load.riders.push(n),
            Some(_) => no_room.push(n),
            None if message.only_rides => no_room.push(n),
            None => loads.push(Load { carrier: n, riders: Vec::new(), digest: false }),
        }
    }
    (loads, no_room)
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Key<'a> {
    Digest(&'a str, Channel, &'a str, &'a str),
    Case(&'a str, Channel, &'a str, &'a str),
}

impl<'a> Key<'a> {
    /// What goes alone has none.
    fn of(message: &'a Going) -> Option<Self> {
        if message.alone {
            return None;
        }
        let (channel, address) = (message.channel, message.address.as_str());
        match (&message.digest, &message.collapse) {
            (Some(slot), _) => {
                Some(Self::Digest(message.customer.as_str(), channel, address, slot))
            }
            (None, Some(group)) => Some(Self::Case(message.case.as_str(), channel, address, group)),
            (None, None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn going(case: &str, collapse: Option<&str>, digest: Option<&str>, over_cap: bool) -> Going {
        Going {
            customer: "C-1".into(),
            case: case.into(),
            channel: Channel::Email,
            address: "ada@example.com".into(),
            collapse: collapse.map(str::to_owned),
            digest: digest.map(str::to_owned),
            over_cap,
            only_rides: false,
            alone: false,
        }
    }

    #[test]
    fn a_digest_carries_all_of_its_slot_and_what_is_over_the_cap_rides_in_what_goes_next() {
        let slot = Some("2026-11-23T18:00");
        let asks = Going { alone: true, ..going("R-4", None, slot, false) };
        let list = [
            going("R-1", None, slot, false),
            going("R-2", Some("progress"), slot, false),
            going("R-3", Some("progress"), None, false),
            going("R-3", Some("progress"), None, false),
            asks,
            going("R-5", None, None, true),
        ];
        let (loads, no_room) = carry(&list);
        let load =
            |carrier, riders: &[usize], digest| Load { carrier, riders: riders.to_vec(), digest };
        assert_eq!(loads, [load(0, &[1, 5], true), load(2, &[3], false), load(4, &[], false)]);
        assert!(no_room.is_empty());
        let (alone, _) = carry(&list[5..]);
        assert_eq!(alone, [load(0, &[], false)], "nothing to ride in: it goes itself");
        let waits = [Going { only_rides: true, ..going("R-5", None, None, true) }];
        assert_eq!(carry(&waits), (vec![], vec![0]), "the cap is reached: it waits on");
    }

    prop_compose! {
        fn any_going()(
            customer in 0..3_u8, case in 0..4_u8, channel in 0..3_usize, group in 0..3_u8,
            slot in 0..3_u8, over_cap: bool, only_rides: bool, alone in prop::bool::weighted(0.2),
        ) -> Going {
            Going {
                customer: format!("C-{customer}").as_str().into(),
                case: format!("R-{customer}-{case}").as_str().into(),
                channel: Channel::ALL[channel],
                address: format!("{customer}@example.com"),
                collapse: (group > 0).then(|| format!("g{group}")),
                digest: (slot > 0).then(|| format!("2026-11-2{slot}T18:00")),
                over_cap,
                only_rides,
                alone,
            }
        }
    }

    proptest! {
        #[test]
        fn every_message_goes_exactly_once_to_its_own_customer_on_its_own_channel(
            list in prop::collection::vec(any_going(), 0..120)
        ) {
            let (loads, no_room) = carry(&list);
            let mut seen: Vec<usize> = no_room;
            for load in &loads {
                seen.push(load.carrier);
                prop_assert!(!list[load.carrier].only_rides);
                prop_assert!(load.riders.len() <= MAX_RIDERS);
                for rider in &load.riders {
                    seen.push(*rider);
                    let (a, b) = (&list[load.carrier], &list[*rider]);
                    prop_assert_eq!((&a.customer, a.channel, &a.address), (&b.customer, b.channel, &b.address));
                    prop_assert!(!b.alone, "a question rides nowhere");
                }
            }
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..list.len()).collect::<Vec<_>>());
            // One digest per customer, channel and slot.
            let mut slots: Vec<_> = loads.iter().filter(|load| load.digest).map(|load| {
                let message = &list[load.carrier];
                (&message.customer, message.channel, &message.digest)
            }).collect();
            let count = slots.len();
            slots.sort_unstable();
            slots.dedup();
            prop_assert_eq!(slots.len(), count);
        }
    }
}
