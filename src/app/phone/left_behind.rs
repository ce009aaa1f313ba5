//! What is done with a call that this process does not hear: pure, for the look around.

use chrono::TimeDelta;

use crate::domain::call::Progress;
use crate::domain::time::Instant;

/// How long after its lease a call without a channel has ended: it may be at the exchange of
/// another host, whose process is about to come back.
const LEASE_OVER: TimeDelta = TimeDelta::seconds(30);

/// How long after its begin a call that nobody heard rings no more.
const RUNG_OUT: TimeDelta = TimeDelta::minutes(5);

/// Who hears a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// Nobody did yet; it was seen first at `since`. The dialplan may still find out whether a
    /// machine picked up.
    Never { since: Instant },
    /// Somebody, who said so until then: this process too, where a move did not bring it here.
    Until(Instant),
    /// This process watches two who talk.
    Watched,
}

impl Heard {
    /// May it be taken, by whoever comes first?
    pub(super) fn is_free(self, now: Instant, screened: TimeDelta) -> bool {
        match self {
            Self::Never { since } => now >= since + screened,
            Self::Until(until) => now >= until,
            Self::Watched => true,
        }
    }
}

/// What the bridge of a call says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Talk {
    Never,
    /// The two are in it.
    Both,
    /// The customer alone is left.
    Over,
}

impl Talk {
    pub(super) fn of(bridge: Option<&[String]>, customer: &str, desk: &str) -> Self {
        let has = |channel: &str| bridge.is_some_and(|all| all.iter().any(|one| one == channel));
        match (has(customer), has(desk)) {
            (true, true) => Self::Both,
            (true, false) => Self::Over,
            (false, _) => Self::Never,
        }
    }
}

/// A call that may be taken, as the exchange shows it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    /// The customer's channel is there, and was picked up.
    pub(super) customer: bool,
    /// The other party's channel is there.
    pub(super) desk: bool,
    pub(super) talk: Talk,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Wait,
    /// They talk: they are left to it.
    Watch,
    /// It is brought here, to its beginning or to its end.
    Move {
        talked: bool,
    },
    /// The other party waits for nobody.
    HangUpDesk,
}

impl Seen {
    pub(super) fn next(self) -> Next {
        match (self.customer, self.desk, self.talk) {
            (true, true, Talk::Both) => Next::Watch,
            (true, _, talk) => Next::Move { talked: talk != Talk::Never },
            (false, true, _) => Next::HangUpDesk,
            (false, false, _) => Next::Wait,
        }
    }
}

/// What a call that was taken over is begun again with: the customer hears who calls anew, a
/// machine hears it again and nothing more, who has talked hears the end.
pub(super) const fn args(talked: bool, progress: Progress) -> &'static str {
    match progress {
        _ if talked => TALKED,
        Progress::Machine => "again,MACHINE",
        _ => "again",
    }
}

/// What a call comes back with whose two parties have talked.
pub(super) const TALKED: &str = "talked";

/// Is a call over whose channel is not at this exchange?
pub(super) fn is_over(opened_at: Instant, heard_until: Option<Instant>, now: Instant) -> bool {
    match heard_until {
        Some(until) => now > until + LEASE_OVER,
        None => now > opened_at + RUNG_OUT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::from_ms;

    fn at_s(seconds: i64) -> Instant {
        from_ms(seconds * 1_000)
    }

    #[test]
    fn a_call_is_free_when_its_lease_is_over_and_one_never_heard_when_it_was_screened() {
        let free = |heard: Heard, now_s| heard.is_free(at_s(now_s), TimeDelta::seconds(20));
        for (heard, from_s) in
            [(Heard::Until(at_s(8)), 8), (Heard::Never { since: at_s(1) }, 21), (Heard::Watched, 0)]
        {
            assert!(free(heard, from_s), "{heard:?}");
            assert!(heard == Heard::Watched || !free(heard, from_s - 1), "{heard:?}");
        }
    }

    #[test]
    fn who_talks_is_left_to_it_and_who_is_alone_is_looked_after() {
        for (customer, desk, talk, next) in [
            (true, false, Talk::Never, Next::Move { talked: false }),
            // It rings at the desk, or the desk hears what it is about.
            (true, true, Talk::Never, Next::Move { talked: false }),
            (true, true, Talk::Both, Next::Watch),
            // The bridge has not heard yet that the desk has gone.
            (true, false, Talk::Both, Next::Move { talked: true }),
            (true, false, Talk::Over, Next::Move { talked: true }),
            (true, true, Talk::Over, Next::Move { talked: true }),
            (false, true, Talk::Never, Next::HangUpDesk),
            (false, true, Talk::Both, Next::HangUpDesk),
            (false, false, Talk::Never, Next::Wait),
        ] {
            let seen = Seen { customer, desk, talk };
            assert_eq!(seen.next(), next, "{seen:?}");
        }
    }

    #[test]
    fn a_bridge_says_who_talks() {
        let of = |all: &[&str]| {
            let all: Vec<String> = all.iter().map(|&one| one.to_owned()).collect();
            Talk::of(Some(&all), "x.1", "x.1.desk")
        };
        assert_eq!(of(&["x.1.desk", "x.1"]), Talk::Both);
        assert_eq!(of(&["x.1"]), Talk::Over);
        assert_eq!(of(&["x.1.desk"]), Talk::Never, "the customer is not in it");
        assert_eq!(Talk::of(None, "x.1", "x.1.desk"), Talk::Never);
    }

    #[test]
    fn what_is_not_here_is_over_when_nobody_can_hear_it_elsewhere() {
        let over = |until_s: Option<i64>, now_s| is_over(at_s(0), until_s.map(at_s), at_s(now_s));
        assert!(!over(Some(600), 500), "heard at another exchange");
        assert!(!over(Some(600), 630), "by a process that may come back");
        assert!(over(Some(600), 631));
        assert!(!over(None, 300), "it may ring at another exchange");
        assert!(over(None, 301));
    }

    #[test]
    fn a_machine_is_never_taken_for_a_person() {
        for (talked, progress, begun_with) in [
            (false, Progress::Greeted, "again"),
            (false, Progress::Machine, "again,MACHINE"),
            (true, Progress::Reached, "talked"),
        ] {
            assert_eq!(args(talked, progress), begun_with);
        }
    }
}
