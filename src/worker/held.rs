//! What this process has in hand. Only that is renewed in the store: a claim that was dropped
//! on an error, or whose answer was lost, runs out by itself and comes back.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::domain::NotificationId;

/// A claim: which notification, and the epoch it was claimed at.
pub type Claim = (NotificationId, i64);

/// The claims in hand, shared by the workers of a process.
#[derive(Debug, Clone, Default)]
pub struct Held {
    claims: Arc<Mutex<HashMap<Claim, usize>>>,
}

/// A claim is in hand as long as this lives.
#[derive(Debug)]
pub struct Hold {
    held: Held,
    claim: Claim,
}

impl Held {
    #[must_use]
    pub fn take(&self, id: NotificationId, epoch: i64) -> Hold {
        let claim = (id, epoch);
        *self.claims.lock().expect("no panic while held").entry(claim).or_default() += 1;
        Hold { held: self.clone(), claim }
    }

    #[must_use]
    pub fn claims(&self) -> Vec<Claim> {
        self.claims.lock().expect("no panic while held").keys().copied().collect()
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut claims = self.held.claims.lock().expect("no panic while held");
        if let Some(count) = claims.get_mut(&self.claim) {
            *count -= 1;
            if *count == 0 {
                claims.remove(&self.claim);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_in_hand_until_the_last_who_holds_it_lets_go() {
        let held = Held::default();
        let id = NotificationId::derive("R-1", "received", "desk/e1", 1);
        let (first, second) = (held.take(id, 1), held.clone().take(id, 1));
        drop(first);
        assert_eq!(held.claims(), [(id, 1)]);
        drop(second);
        assert!(held.claims().is_empty());
    }
}
