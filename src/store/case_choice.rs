//! What a customer chose for one case: a channel, or silence.

use std::collections::HashMap;

use crate::domain::time::Instant;
use crate::domain::{CaseChoice, CaseId, Channel};

use super::consent::{Act, NewConsent, note};
use super::customers::look_again;
use super::row_locks::{Lock, lock};
use super::rows::parse_channel;
use super::sql::Tx;
use super::{Result, Store, StoreError, ids, in_tx, query};

impl Store {
    /// What is chosen for these cases; those without a choice are left out.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn case_choices(
        &self,
        cases: impl IntoIterator<Item = &CaseId>,
    ) -> Result<HashMap<CaseId, CaseChoice>> {
        let rows: Vec<(String, Option<String>, bool)> = query(
            "SELECT h.case_id, h.channel, h.muted
             FROM jsonb_each($1) AS x JOIN case_choice AS h ON h.case_id = x.value->>'id'
             ORDER BY h.case_id, h.at_ms",
        )
        .bind(ids(cases))
        .fetch_all(&self.readers)
        .await?;
        let choice = |(case, channel, muted): (String, Option<String>, bool)| {
            let channel = channel.as_deref().map(parse_channel).transpose()?;
            Ok((CaseId(case), CaseChoice { channel, muted }))
        };
        rows.into_iter().map(choice).collect()
    }

    /// Sets the customer's choice for one case: a channel, or silence.
    ///
    /// # Errors
    /// `NotFound` when the case is not known.
    pub async fn choose_for_case(
        &self,
        case: &CaseId,
        choice: CaseChoice,
        source: &str,
        now: Instant,
    ) -> Result<()> {
        let (case, source) = (case.clone(), source.to_owned());
        let now_ms = now.timestamp_millis();
        in_tx!(self, |tx| {
            let customer = lock_customer_of(tx, &case).await?;
            query(
                "INSERT INTO case_choice (case_id, at_ms, channel, muted, source)
                 VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (case_id, at_ms) DO UPDATE SET channel = excluded.channel,
                    muted = excluded.muted, source = excluded.source",
            )
            .bind(case.as_str())
            .bind(now_ms)
            .bind(choice.channel.map(Channel::as_str))
            .bind(choice.muted)
            .bind(&source)
            .execute(&mut *tx)
            .await?;
            query("UPDATE customer SET revision = revision + 1 WHERE id = $1")
                .bind(&customer)
                .execute(&mut *tx)
                .await?;
            let what = serde_json::json!({ "case": case, "choice": choice }).to_string();
            let line = NewConsent { customer_id: customer.clone(), what };
            note(tx, vec![line], &Act::from_source(&source), now_ms).await?;
            look_again(tx, &customer, now_ms).await
        })
    }
}

/// Locks the customer a case belongs to, and the case, so that it stays theirs.
async fn lock_customer_of(tx: &mut Tx, case: &CaseId) -> Result<String> {
    let mut customer = customer_of(tx, case).await?;
    if matches!(tx, Tx::Sqlite(_)) {
        return Ok(customer);
    }
    loop {
        query("SAVEPOINT owner").execute(&mut *tx).await?;
        // Who is not there yet does not come in between.
        lock(tx, Lock::CustomerNames, ids([&customer])).await?;
        lock(tx, Lock::Customers, ids([&customer])).await?;
        lock(tx, Lock::ShareCases, ids([case])).await?;
        let now = customer_of(tx, case).await?;
        if now == customer {
            return Ok(customer);
        }
        // It passed to another before it was ours: let go of both, since customers come first.
        query("ROLLBACK TO SAVEPOINT owner").execute(&mut *tx).await?;
        customer = now;
    }
}

async fn customer_of(tx: &mut Tx, case: &CaseId) -> Result<String> {
    let customer: Option<(String,)> = query("SELECT customer_id FROM cases WHERE id = $1")
        .bind(case.as_str())
        .fetch_optional(tx)
        .await?;
    customer
        .map(|(id,)| id)
        .ok_or_else(|| StoreError::NotFound { what: format!("the case {case}") })
}
