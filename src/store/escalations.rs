//! What says the same on another channel because nobody reacted: it ends when the message before
//! it came back, and that goes another way itself.

use crate::domain::Reason;

use super::facts;
use super::plans::{DecisionRow, INSERT_DECISIONS};
use super::row_locks::{Lock, lock};
use super::rows::json;
use super::sql::Tx;
use super::{Result, batch, ids, query};

/// Of the message and what rides in it; an escalation is of the same case.
pub(super) const FOLLOWING: &str = "
    SELECT e.id FROM notification AS n
    JOIN notification AS e ON e.case_id = n.case_id AND e.escalates = n.id
    WHERE (n.id = $1 OR n.carrier = $1 AND n.status = 'folded')
      AND e.status IN ('planned', 'claimed')
    ORDER BY e.id";

/// Who has claimed one of them finds another epoch.
const CANCEL: &str = "
    UPDATE notification SET status = 'cancelled', reason = $2, epoch = epoch + 1
    WHERE id IN (SELECT x.value->>'id' FROM jsonb_each($1) AS x)
      AND status IN ('planned', 'claimed')
    RETURNING id";

/// Cancels what was to follow a message that came back, and what rides in it.
pub(super) async fn cancel(tx: &mut Tx, came_back: &str, now_ms: i64) -> Result<()> {
    let following: Vec<(String,)> = query(FOLLOWING).bind(came_back).fetch_all(&mut *tx).await?;
    if following.is_empty() {
        return Ok(());
    }
    let following = ids(following.iter().map(|(id,)| id));
    lock(tx, Lock::Notifications, following.clone()).await?;
    let ended: Vec<(String,)> =
        query(CANCEL).bind(following).bind(Reason::CameBack.code()).fetch_all(&mut *tx).await?;
    let reasons = json(&[Reason::CameBack]);
    let decisions = ended.iter().map(|(id,)| DecisionRow {
        id: id.clone(),
        what: "cancelled",
        reasons: reasons.clone(),
        versions: "{}".into(),
    });
    let decisions = batch(decisions);
    query(INSERT_DECISIONS).bind(decisions).bind(now_ms).execute(&mut *tx).await?;
    facts::notifications(tx, ended.iter().map(|(id,)| id), now_ms).await
}
