//! What is due, decided and told: alone, with company, or not at all. The steps are those of
//! the workers; a hand-over always succeeds.

use std::collections::BTreeSet;

use chrono::TimeDelta;

use crate::domain::customer::Address;
use crate::domain::plan::{Decision, Outcome as Decided};
use crate::domain::reason::chosen_by;
use crate::domain::time::Instant;
use crate::domain::{Channel, ChannelMap, Customer, Held, Reason, Status};
use crate::planning::carry::{self, Load, carry, priority, waits_to_ride};
use crate::planning::digest::LONGEST_RHYTHM;
use crate::planning::eligibility::{Heard, Matter, decide};
use crate::planning::schedule::midnight;
use crate::planning::{Ended, Telling, followers, frequency, is_unsaid};

use super::Sending;
use super::world::World;

/// After how long a message is looked at again that found no room.
const LOOK_AGAIN: TimeDelta = TimeDelta::seconds(1);

/// How much of a number decides its price.
const PREFIX_CHARS: usize = 5;

/// A message that may go now.
struct Going {
    place: usize,
    heard: Heard,
    reasons: Vec<Reason>,
    channel: Channel,
    address: Address,
    digest: Option<String>,
}

/// A decision that ends or puts off.
struct Over {
    place: usize,
    status: Status,
    until: Instant,
    held: Option<Held>,
    reasons: Vec<Reason>,
    asks_a_person: bool,
}

enum Look {
    Going(Going),
    Over(Over),
}

impl World<'_> {
    /// Decides about what is due, and tells what may go.
    pub(super) fn bring_on_the_way(&mut self, places: &[usize], now: Instant) {
        let mut ends = Vec::new();
        let mut going = Vec::new();
        for place in places {
            match self.look_at(*place, now) {
                Look::Going(message) => going.push(message),
                Look::Over(over) => ends.push(over),
            }
        }
        let mut unused = Vec::new();
        for place in self.company(&going, places, now) {
            match self.look_at(place, now) {
                Look::Going(message) => going.push(message),
                Look::Over(over) if over.status == Status::Planned => unused.push(place),
                Look::Over(over) => ends.push(over),
            }
        }
        going.sort_by_key(|message| priority(self.rows[message.place].n()));
        let outline = |message: &Going| {
            let way = (message.channel, &message.address);
            let n = self.rows[message.place].n();
            carry::Going::of(n, self.rules, way, message.digest.as_deref(), message.heard.rides)
        };
        let (loads, no_room) = carry(&going.iter().map(outline).collect::<Vec<_>>());
        unused.extend(no_room.into_iter().map(|n| going[n].place));
        for over in ends {
            self.end(over, now);
        }
        for place in unused {
            let next_at = self.rows[place].n().next_at.max(now + LOOK_AGAIN);
            self.plan_again(place, next_at);
        }
        for load in loads {
            self.open(&load, &going, now);
        }
    }

    fn look_at(&self, place: usize, now: Instant) -> Look {
        let n = self.rows[place].n();
        let over = |status, until, held, reasons, asks_a_person| {
            Look::Over(Over { place, status, until, held, reasons, asks_a_person })
        };
        let gone = || over(Status::Cancelled, now, None, vec![Reason::RuleRemoved], false);
        let Some(journey) = self.rules.journeys.of(&n.case_type, &n.case) else { return gone() };
        let state = &self.cases[&n.case];
        let (Some(case), Some(customer)) = (&state.case, self.history.customer(&n.customer, now))
        else {
            return gone();
        };
        let heard = self.heard(place, customer, now);
        let matter = Matter {
            notification: n,
            journey,
            notice: journey.notice(&n.notice),
            case,
            customer,
            choice: self.choice(&n.case, state.choice_ended, now),
            rests: ChannelMap::default(),
            withdrawn: ChannelMap::default(),
            heard: &heard,
        };
        let Decision { outcome, reasons } = decide(&matter, self.rules, now);
        match outcome {
            Decided::Send { channel, address, digest } => {
                Look::Going(Going { place, heard, reasons, channel, address, digest })
            }
            Decided::Snooze { until, held } => over(Status::Planned, until, held, reasons, false),
            Decided::Settle { status, task } => over(status, now, None, reasons, task.is_some()),
        }
    }

    fn heard(&self, place: usize, customer: &Customer, now: Instant) -> Heard {
        let n = self.rows[place].n();
        let got = self.customers.get(&n.customer);
        let digests = got.map_or(&[][..], |got| got.digests.as_slice()).iter().rev();
        let digests = digests.take_while(|(at, _)| *at >= now - LONGEST_RHYTHM);
        Heard {
            last_word: self.cases[&n.case].told.last().copied(),
            today: self.counted_today(customer, now),
            slots: digests.map(|(_, slot)| slot.clone()).collect(),
            sign: n.escalates.and_then(|id| self.history.sign(id, now)),
            // Nothing is in doubt here, and comes back.
            newer: Vec::new(),
            rides: waits_to_ride(n, now),
            first: got.is_none_or(|got| got.told.is_empty()),
            // What was learned from real outcomes says nothing about simulated ones.
            evidence: None,
            uses: None,
        }
    }

    /// Messages of this day that count against a customer's cap, where there is one.
    fn counted_today(&self, customer: &Customer, now: Instant) -> u32 {
        let Some(got) = self.customers.get(&customer.id) else { return 0 };
        if self.rules.cap_of(customer).is_none() {
            return 0;
        }
        let since = midnight(now, &self.rules.zone_of(customer));
        let today = got.told.iter().rev().take_while(|(at, _)| *at >= since);
        u32::try_from(today.filter(|(_, counts)| *counts).count()).unwrap_or(u32::MAX)
    }

    /// What may ride in messages that go now.
    fn company(&mut self, going: &[Going], claimed: &[usize], now: Instant) -> Vec<usize> {
        let mut found = Vec::new();
        let mut seen = BTreeSet::new();
        for message in going {
            let id = self.rows[message.place].n().customer.clone();
            let capped = self
                .history
                .customer(&id, now)
                .is_some_and(|customer| self.rules.cap_of(customer).is_some());
            if (message.digest.is_none() && !capped) || !seen.insert(id.clone()) {
                continue;
            }
            let Some(customer) = self.customers.get_mut(&id) else { continue };
            let rows = &self.rows;
            customer.held.retain(|place| {
                rows[*place].n().status == Status::Planned && rows[*place].n().held.is_some()
            });
            found.extend(customer.held.iter().copied().filter(|place| {
                let n = rows[*place].n();
                !claimed.contains(place) && (n.held == Some(Held::Cap) || n.next_at <= now)
            }));
        }
        found
    }

    fn end(&mut self, over: Over, now: Instant) {
        let Over { place, status, until, held, reasons, asks_a_person } = over;
        self.run.tasks += usize::from(asks_a_person);
        let row = &mut self.rows[place];
        if status == Status::Planned {
            row.outcome.notification.held = held;
            if held.is_some() {
                let customer = row.n().customer.clone();
                self.customers.entry(customer).or_default().held.insert(place);
            }
            self.plan_again(place, until);
            return;
        }
        let unsaid = is_unsaid(status, &reasons);
        row.outcome.notification.status = status;
        row.outcome.reason = reasons.into_iter().next_back();
        if unsaid {
            self.follow(place, Ended::Unsaid, now);
        }
    }

    /// Opens the attempt of one message, if its cap and its slot still have room, and tells it.
    fn open(&mut self, load: &Load, going: &[Going], now: Instant) {
        let carrier = &going[load.carrier];
        let n = self.rows[carrier.place].n();
        let customer = self.history.customer(&n.customer, now).expect("it was decided about");
        let cap = frequency::counted(n, customer, self.rules);
        let over_cap = cap.is_some_and(|cap| self.counted_today(customer, now) >= cap);
        let slot = carrier.digest.as_ref().map(|slot| frequency::slot_name(carrier.channel, slot));
        let slot_taken = slot.as_ref().is_some_and(|slot| {
            let got = self.customers.get(&n.customer);
            got.is_some_and(|got| got.digests.iter().any(|(_, taken)| taken == slot))
        });
        let riders: Vec<usize> = load.riders.iter().map(|n| going[*n].place).collect();
        if over_cap || slot_taken {
            for place in riders.into_iter().chain([carrier.place]) {
                self.plan_again(place, now + LOOK_AGAIN);
            }
            return;
        }
        let first = carrier.heard.first.then(|| chosen_by(&carrier.reasons));
        let parts = (self.count_parts)(&Sending {
            telling: self.telling(carrier.place, now),
            riders: riders.iter().map(|place| self.telling(*place, now)).collect(),
            channel: carrier.channel,
            digest: load.digest,
            first,
            now,
        });
        let Ok(parts) = parts else {
            let aside = &mut self.rows[carrier.place].outcome;
            aside.notification.status = Status::Quarantined;
            self.run.tasks += 1;
            for place in riders {
                self.plan_again(place, now + LOOK_AGAIN);
            }
            return;
        };
        let prefix = carrier.address.expose().chars().take(PREFIX_CHARS).collect();
        let row = &mut self.rows[carrier.place];
        (row.outcome.parts, row.outcome.prefix) = (parts, prefix);
        let channel = carrier.channel;
        if let Some(slot) = slot {
            let customer = row.n().customer.clone();
            self.customers.entry(customer).or_default().digests.push((now, slot));
        }
        self.tell(carrier.place, Status::Sent, channel, now);
        for place in riders {
            self.tell(place, Status::Folded, channel, now);
        }
    }

    fn telling(&self, place: usize, now: Instant) -> Telling<'_> {
        let notification = self.rows[place].n();
        let journeys = &self.rules.journeys;
        let journey = journeys
            .of(&notification.case_type, &notification.case)
            .expect("decided by this journey");
        let notice = journey.notice(&notification.notice).expect("decided by this rule");
        let case = self.cases[&notification.case].case.as_ref().expect("decided about this case");
        let customer = self.history.customer(&notification.customer, now);
        let customer = customer.expect("decided for this customer");
        Telling { notification, notice, journey, case, customer }
    }

    fn tell(&mut self, place: usize, status: Status, channel: Channel, now: Instant) {
        let row = &mut self.rows[place];
        row.outcome.notification.status = status;
        row.outcome.notification.held = None;
        row.outcome.notification.next_at = now;
        row.outcome.told_at = Some(now);
        row.outcome.channel = (status == Status::Sent).then_some(channel);
        let n = row.n();
        let (case, customer) = (n.case.clone(), n.customer.clone());
        let counts = !self.rules.is_mandatory(&n.topic);
        self.cases.get_mut(&case).expect("it was decided about").told.push(now);
        if status == Status::Folded {
            row.outcome.reason = Some(Reason::RidesIn { notice: String::new() });
            self.customers.entry(customer).or_default().told.push((now, false));
        } else {
            row.outcome.reason = Some(Reason::HandedOver { channel });
            self.customers.entry(customer).or_default().told.push((now, counts));
        }
        self.follow(place, Ended::Told(channel), now);
    }

    /// Plans what follows from how a notification ended.
    fn follow(&mut self, place: usize, how: Ended, now: Instant) {
        let n = self.rows[place].n();
        let Some(journey) = self.rules.journeys.of(&n.case_type, &n.case) else { return };
        let Some(notice) = journey.notice(&n.notice) else { return };
        let Some(customer) = self.history.customer(&n.customer, now) else { return };
        for created in followers(n, how, notice, journey, customer, self.rules, now) {
            self.insert(created);
        }
    }
}
