//! When to leave a provider alone: a circuit breaker as a pure state machine. The same rules
//! stand in `breaker.lua`.
//!
//! It opens when at least half of at least 20 calls within 30 s failed, rests 10 s and twice
//! as long each time the probe after it fails, up to 5 min, and closes with the first call
//! that is answered.

use std::time::Duration;

/// Calls are counted in slots of this length; six of them are the 30 s looked at.
const SLOT_MS: i64 = 5_000;
const SLOTS: i64 = 6;

/// The fewest calls that say anything.
const MIN_CALLS: u32 = 20;

/// The first rest, and the longest.
const FIRST_REST_MS: i64 = 10_000;
const LONGEST_REST_MS: i64 = 300_000;

/// How long one probe has before another may be sent.
const PROBE_MS: i64 = 10_000;

/// How long after its rest an open breaker is forgotten that nobody asked.
const FORGET_MS: i64 = 600_000;

/// Calls that ended, by what they say about the provider.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Any definite answer about one message, a refusal included.
    pub answered: u32,
    /// No answer, no connection, or a provider that says it cannot serve anybody.
    pub faults: u32,
    /// Granted and not made: says nothing, and gives a probe's place back.
    pub unmade: u32,
}

impl Tally {
    pub(super) const fn add(&mut self, more: Self) {
        self.answered += more.answered;
        self.faults += more.faults;
        self.unmade += more.unmade;
    }
}

/// How it stands with a provider.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// Not closed: it rests, or a probe decides.
    pub open: bool,
    /// For how long nothing may be sent; zero when the next call is the probe.
    pub rests: Duration,
}

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    number: i64,
    calls: u32,
    faults: u32,
}

#[derive(Debug, Clone, Copy)]
struct Opened {
    until_ms: i64,
    /// How often in a row, from 1.
    times: u32,
    /// Until when a probe that is out keeps others back.
    probe_until_ms: i64,
}

/// The memory of one provider's calls. Times are milliseconds since 1970.
#[derive(Debug, Clone, Copy, Default)]
pub struct Breaker {
    slots: [Slot; 6],
    opened: Option<Opened>,
}

impl Breaker {
    #[must_use]
    pub fn standing(&self, now_ms: i64) -> Standing {
        match self.opened {
            Some(opened) if now_ms < opened.until_ms + FORGET_MS => {
                let until_ms = opened.until_ms.max(opened.probe_until_ms);
                Standing { open: true, rests: millis(until_ms - now_ms) }
            }
            _ => Standing::default(),
        }
    }

    /// How many of `wanted` calls may be made now: all, none, or one as a probe.
    pub fn ask(&mut self, wanted: usize, now_ms: i64) -> (usize, Standing) {
        let standing = self.standing(now_ms);
        if !standing.open {
            return (wanted, standing);
        }
        match &mut self.opened {
            Some(opened) if standing.rests.is_zero() && wanted > 0 => {
                opened.probe_until_ms = now_ms + PROBE_MS;
                (1, self.standing(now_ms))
            }
            _ => (0, standing),
        }
    }

    /// Takes note of calls that ended. Calls that were on the wire when it opened change
    /// nothing until its rest is over; after it, one answer closes it.
    pub fn record(&mut self, tally: Tally, now_ms: i64) -> Standing {
        if let Some(opened) = self.opened.filter(|_| self.standing(now_ms).open) {
            if now_ms >= opened.until_ms {
                if tally.answered > 0 {
                    *self = Self::default();
                } else if tally.faults > 0 {
                    self.open(opened.times + 1, now_ms);
                } else if tally.unmade > 0 {
                    self.opened = Some(Opened { probe_until_ms: 0, ..opened });
                }
            }
        } else if tally.answered + tally.faults > 0 {
            self.opened = None;
            self.count(tally, now_ms);
        }
        self.standing(now_ms)
    }

    fn count(&mut self, tally: Tally, now_ms: i64) {
        let number = now_ms / SLOT_MS;
        let slot = &mut self.slots[usize::try_from(number % SLOTS).unwrap_or(0)];
        if slot.number != number {
            *slot = Slot { number, ..Slot::default() };
        }
        slot.calls += tally.answered + tally.faults;
        slot.faults += tally.faults;
        let recent = || self.slots.iter().filter(|slot| slot.number > number - SLOTS);
        let calls: u32 = recent().map(|slot| slot.calls).sum();
        let faults: u32 = recent().map(|slot| slot.faults).sum();
        if calls >= MIN_CALLS && faults * 2 >= calls {
            self.open(1, now_ms);
        }
    }

    fn open(&mut self, times: u32, now_ms: i64) {
        let rest_ms = FIRST_REST_MS << (times - 1).min(5);
        let until_ms = now_ms + rest_ms.min(LONGEST_REST_MS);
        self.slots = Default::default();
        self.opened = Some(Opened { until_ms, times, probe_until_ms: 0 });
    }
}

pub(super) fn millis(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const T0_MS: i64 = 1_795_000_000_000;
    const ANSWERED: Tally = Tally { answered: 1, faults: 0, unmade: 0 };
    const FAULT: Tally = Tally { answered: 0, faults: 1, unmade: 0 };
    const UNMADE: Tally = Tally { answered: 0, faults: 0, unmade: 1 };

    fn open() -> Breaker {
        let mut breaker = Breaker::default();
        breaker.record(Tally { faults: 20, ..Tally::default() }, T0_MS);
        assert!(breaker.standing(T0_MS).open);
        breaker
    }

    #[test]
    fn it_opens_at_half_of_at_least_twenty_calls() {
        for (answered, faults, opens) in
            [(0, 19, false), (10, 10, true), (11, 10, false), (0, 20, true), (500, 499, false)]
        {
            let mut breaker = Breaker::default();
            let standing = breaker.record(Tally { answered, faults, unmade: 0 }, T0_MS);
            assert_eq!(standing.open, opens, "{answered} answered, {faults} faults");
        }
    }

    #[test]
    fn calls_count_for_thirty_seconds() {
        for (later_ms, opens) in [(24_000, true), (31_000, false)] {
            let mut breaker = Breaker::default();
            breaker.record(Tally { faults: 19, ..Tally::default() }, T0_MS);
            assert_eq!(breaker.record(FAULT, T0_MS + later_ms).open, opens, "{later_ms} ms later");
        }
    }

    #[test]
    fn an_open_one_lets_nothing_through_and_then_one_probe_at_a_time() {
        let mut breaker = open();
        let rests = Duration::from_secs(10);
        assert_eq!(breaker.ask(5, T0_MS), (0, Standing { open: true, rests }));
        assert_eq!(breaker.ask(5, T0_MS + 10_000).0, 1);
        assert_eq!(breaker.ask(5, T0_MS + 10_001).0, 0, "the probe is out");
        assert_eq!(breaker.ask(5, T0_MS + 10_000 + PROBE_MS).0, 1, "the probe never came back");
        breaker.record(UNMADE, T0_MS + 20_001);
        assert_eq!(breaker.ask(5, T0_MS + 20_001).0, 1, "the probe was not sent");
    }

    #[test]
    fn a_probe_that_is_answered_closes_it_and_one_that_fails_doubles_the_rest_up_to_five_minutes() {
        let mut breaker = open();
        let mut now_ms = T0_MS;
        for rest_s in [10, 20, 40, 80, 160, 300, 300] {
            assert_eq!(breaker.standing(now_ms).rests, Duration::from_secs(rest_s));
            now_ms += i64::try_from(rest_s).expect("short") * 1_000;
            assert_eq!(breaker.ask(1, now_ms).0, 1);
            breaker.record(FAULT, now_ms);
        }
        now_ms += 300_000;
        assert_eq!(breaker.ask(9, now_ms).0, 1);
        assert_eq!(breaker.record(ANSWERED, now_ms), Standing::default());
        assert_eq!(breaker.ask(9, now_ms).0, 9);
        assert!(!breaker.record(FAULT, now_ms).open, "what was before is forgotten");
    }

    #[test]
    fn calls_that_were_on_the_wire_when_it_opened_change_nothing() {
        let mut breaker = open();
        for tally in [ANSWERED, FAULT, UNMADE] {
            breaker.record(tally, T0_MS + 1);
            assert_eq!(breaker.standing(T0_MS + 1).rests, Duration::from_millis(9_999));
        }
    }

    proptest! {
        #[test]
        fn refusals_alone_never_open_it(steps in prop::collection::vec((0i64..9_000, 1u32..90), 1..80)) {
            let mut breaker = Breaker::default();
            let mut now_ms = T0_MS;
            for (pause_ms, answered) in steps {
                now_ms += pause_ms;
                let standing = breaker.record(Tally { answered, ..Tally::default() }, now_ms);
                prop_assert!(!standing.open);
            }
        }

        #[test]
        fn nothing_rests_for_more_than_five_minutes(
            steps in prop::collection::vec((0i64..60_000, 0u32..40, 0u32..40, 0usize..3), 1..80)
        ) {
            let mut breaker = Breaker::default();
            let mut now_ms = T0_MS;
            for (pause_ms, answered, faults, wanted) in steps {
                now_ms += pause_ms;
                let (granted, _) = breaker.ask(wanted, now_ms);
                prop_assert!(granted <= wanted);
                let standing = breaker.record(Tally { answered, faults, unmade: 0 }, now_ms);
                prop_assert!(standing.rests <= millis(LONGEST_REST_MS));
            }
        }
    }
}
