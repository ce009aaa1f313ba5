//! Which of a channel's providers takes a message.
//!
//! Pure: the notification's id and how the providers stand come in, a place comes out. The same
//! notification goes the same way while weights stand: no chance but the one derived from its
//! id. When a provider is left out, only its own messages go elsewhere (highest random weight:
//! Thaler and Ravishankar, 1998; with weights: score -w / ln u).

use uuid::Uuid;

use crate::domain::NotificationId;

/// A provider as the choice sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entrant<'a> {
    pub name: &'a str,
    /// Its share now; 0 is for when the others are away.
    pub weight: u32,
    /// Nothing may be handed to it: it fails too often, or an operator stopped it.
    pub away: bool,
    /// It gave a definite no about this notification before.
    pub declined: bool,
}

/// The place of the provider that takes the notification, or `None` when all are away.
///
/// Who declined it before comes last; a weight of 0 comes last but one.
#[must_use]
pub fn choose(id: NotificationId, entrants: &[Entrant<'_>]) -> Option<usize> {
    let here = || entrants.iter().enumerate().filter(|(_, entrant)| !entrant.away);
    let rank = |entrant: &Entrant<'_>| (entrant.declined, entrant.weight == 0);
    let best = here().map(|(_, entrant)| rank(entrant)).min()?;
    here()
        .filter(|(_, entrant)| rank(entrant) == best)
        .map(|(place, entrant)| (place, score(id, entrant)))
        .max_by(|(_, one), (_, other)| one.total_cmp(other))
        .map(|(place, _)| place)
}

fn score(id: NotificationId, entrant: &Entrant<'_>) -> f64 {
    let derived = Uuid::new_v5(&id.0, entrant.name.as_bytes()).as_u128();
    #[allow(clippy::cast_precision_loss, reason = "53 bits are enough for a draw")]
    let draw = ((derived & 0xFFFF_FFFF_FFFF) as f64 + 0.5) / 281_474_976_710_656.0;
    -f64::from(entrant.weight.max(1)) / draw.ln()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(n: u32) -> NotificationId {
        NotificationId::derive("R-1", "received", "desk/e1", n)
    }

    fn entrant(name: &str, weight: u32) -> Entrant<'_> {
        Entrant { name, weight, away: false, declined: false }
    }

    fn shares(entrants: &[Entrant<'_>]) -> Vec<u32> {
        let mut counts = vec![0; entrants.len()];
        for n in 0..4_000 {
            counts[choose(id(n), entrants).expect("one is here")] += 1;
        }
        counts
    }

    #[test]
    fn each_gets_its_share_and_the_same_notification_goes_the_same_way() {
        let entrants = [entrant("a", 70), entrant("b", 30)];
        let counts = shares(&entrants);
        assert!((2_680..2_920).contains(&counts[0]), "{counts:?}");
        assert_eq!(counts, shares(&entrants));
    }

    #[test]
    fn when_one_is_away_only_its_own_messages_go_elsewhere() {
        let all = [entrant("a", 50), entrant("b", 30), entrant("c", 20)];
        let mut without = all;
        without[1].away = true;
        for n in 0..2_000 {
            let before = choose(id(n), &all).expect("here");
            let after = choose(id(n), &without).expect("here");
            assert!(before == 1 || before == after, "{n}: {before} then {after}");
            assert_ne!(after, 1);
        }
    }

    #[test]
    fn a_weight_of_nothing_is_for_when_the_others_are_away() {
        let mut entrants = [entrant("main", 100), entrant("spare", 0)];
        assert_eq!(shares(&entrants), [4_000, 0]);
        entrants[0].away = true;
        assert_eq!(shares(&entrants), [0, 4_000]);
        entrants[1].away = true;
        assert_eq!(choose(id(0), &entrants), None);
    }

    #[test]
    fn after_a_definite_no_another_is_asked_first_also_the_spare_one() {
        let mut entrants = [entrant("main", 100), entrant("spare", 0)];
        entrants[0].declined = true;
        assert_eq!(choose(id(1), &entrants), Some(1));
        entrants[1].declined = true;
        assert_eq!(choose(id(1), &entrants), Some(0), "each said no once: by weight again");
        entrants[0].declined = true;
        entrants[1].away = true;
        assert_eq!(choose(id(1), &entrants), Some(0), "better than nobody");
    }

    proptest! {
        #[test]
        fn who_is_away_is_never_chosen_and_somebody_is_while_one_is_here(
            n in 0u32..1_000,
            states in prop::collection::vec((0u32..120, any::<bool>(), any::<bool>()), 1..6),
        ) {
            let names: Vec<String> = (0..states.len()).map(|n| format!("p{n}")).collect();
            let entrants: Vec<Entrant<'_>> = states
                .iter()
                .zip(&names)
                .map(|((weight, away, declined), name)| Entrant {
                    name, weight: *weight, away: *away, declined: *declined,
                })
                .collect();
            let chosen = choose(id(n), &entrants);
            prop_assert_eq!(chosen.is_some(), entrants.iter().any(|e| !e.away));
            if let Some(place) = chosen {
                prop_assert!(!entrants[place].away);
                let fresh = entrants.iter().any(|e| !e.away && !e.declined);
                prop_assert!(!fresh || !entrants[place].declined);
            }
        }
    }
}
