//! After a restore: what waits for a person, and what they say.

use serde::Serialize;

use crate::domain::Span;
use crate::domain::time::Instant;
use crate::planning::schedule::{Calendar, shift};
use crate::store::restored::WaitingRow;
use crate::store::{Result, Store, StoreError};

/// What waits since a restore.
#[derive(Debug, Clone, Serialize)]
pub struct Waiting {
    pub restored_at: Instant,
    pub messages: i64,
    /// By notice, most first.
    pub by_message: Vec<WaitingRow>,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Confirmed {
    pub cancelled: u64,
    /// Messages that are decided again now; what is no longer true or too late is not sent.
    pub released: i64,
}

/// What waits for a person; `None` where the store was not restored, or somebody confirmed.
///
/// # Errors
/// `Unavailable` when the store is away.
pub async fn waiting(store: &Store) -> Result<Option<Waiting>> {
    let Some(restored_at) = store.restored_at().await? else { return Ok(None) };
    let by_message = store.waiting_since_restore().await?;
    let messages = by_message.iter().map(|row| row.messages).sum();
    Ok(Some(Waiting { restored_at, messages, by_message }))
}

/// Lets what waits go, but for what was due longer ago than `older_than`, which is cancelled
/// with `who` as the reason. What goes is decided again on what is true now.
///
/// # Errors
/// `Unavailable` when the store is away; then everything not yet cancelled waits on.
pub async fn confirm(
    store: &Store,
    older_than: Option<Span>,
    who: &str,
    now: Instant,
) -> Result<Confirmed> {
    let in_hand = store.in_hand_since_restore().await?;
    if in_hand > 0 {
        return Err(StoreError::Refused(format!(
            "{in_hand} messages were on the wire or in doubt when the copy was made; start `tidings serve` first, which sorts them and sends none, then settle what is in doubt and confirm"
        )));
    }
    let mut cancelled = 0;
    if let Some(span) = older_than {
        let utc = jiff::tz::TimeZone::UTC;
        let before = shift(now, span, true, &utc, &Calendar::default());
        cancelled = store.cancel_waiting(before, who, now).await?;
    }
    let released = waiting(store).await?.map_or(0, |waiting| waiting.messages);
    store.confirm_restored().await?;
    tracing::info!(who, cancelled, released, "the restore was confirmed");
    Ok(Confirmed { cancelled, released })
}
