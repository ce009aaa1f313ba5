//! A store full of invented notifications, written by the database itself: for measuring the
//! console's pages, and nothing else.

use sqlx::Executor;

use super::{Place, Result, Store, in_tx, postgres, query};

/// Notifications written in one transaction.
const PAGE: i64 = 20_000;

/// What the invented rows are about.
#[derive(Debug, Clone)]
pub struct Invented {
    pub case_type: String,
    /// Four notices of it.
    pub notices: [String; 4],
    /// A case as JSON, with `@CASE@` and `@CUSTOMER@` in it.
    pub case: String,
    /// The time they end at; they begin ninety days before.
    pub now_ms: i64,
}

/// Notifications of one customer, of one case and of one event.
pub const OF_A_CUSTOMER: i64 = 10;
pub const OF_A_CASE: i64 = 4;

/// Ninety days.
const SPAN_MS: i64 = 90 * 86_400_000;

/// The id of the n-th notification: scattered, as derived ids are.
macro_rules! id {
    () => {
        "'00000000-0000-5000-8000-' || substr(CAST(1000000000000 + (n * 2654435761) % 1000000000000 AS TEXT), 2)"
    };
}

/// Numbers from $1 to $2.
macro_rules! counted {
    () => {
        "WITH RECURSIVE counted(n) AS (SELECT CAST($1 AS BIGINT) UNION ALL SELECT n + 1 FROM counted WHERE n < $2) "
    };
}

const CUSTOMERS: &str = concat!(
    "INSERT INTO customer (id, revision, profile, chosen, imported, erased, updated_at_ms) ",
    counted!(),
    "SELECT 'C-' || n, 1, '{\"name\":\"Customer ' || n || '\",\"locale\":\"en-GB\",\"time_zone\":\"Europe/London\"}',
        '{}', '{}', false, $3 FROM counted"
);
const POINTS: &str = concat!(
    "INSERT INTO contact_point (customer_id, position, channel, address, address_key, verified, added_by, removed) ",
    counted!(),
    "SELECT 'C-' || n, 0, 'email', 'c' || n || '@example.com', 'c' || n || '@example.com', true, 'import', false
     FROM counted"
);
const CASES: &str = concat!(
    "INSERT INTO cases (id, case_type, customer_id, head, planned, body, wait_until_ms) ",
    counted!(),
    "SELECT 'T-' || n, $3, 'C-' || (n * 4 / 10), 1, 1,
        replace(replace($4, '@CASE@', 'T-' || n), '@CUSTOMER@', 'C-' || (n * 4 / 10)), 0 FROM counted"
);
const EVENTS: &str = concat!(
    "INSERT INTO event (seq, source, id, case_id, case_type, customer_id, ordinal, occurred_at_ms,
        accepted_at_ms, body, body_hash, planned_at_ms) ",
    counted!(),
    "SELECT n + 1, 'bench', 'e' || n, 'T-' || n, $3, 'C-' || (n * 4 / 10), 1,
        $4 + n * 4 * $5, $4 + n * 4 * $5, '{\"state\":\"open\"}', 'x', $4 + n * 4 * $5 FROM counted"
);
const NOTIFICATIONS: &str = concat!(
    "INSERT INTO notification (id, case_id, case_type, customer_id, notice, topic, urgency, trigger_key,
        occurrence, event_seq, state, happened_at_ms, status, reason, planned_at_ms, due_at_ms,
        next_at_ms, expires_at_ms, ring_again_at_ms, told_at_ms, channel, failed_channels, skipped,
        version, code, because, versions, keyed, once_customer, epoch, lease_until_ms, claims,
        attempts, on_channel) ",
    counted!(),
    "SELECT ",
    id!(),
    ", 'T-' || (n / 4), $3, 'C-' || (n / 10),
        CASE n % 4 WHEN 0 THEN $4 WHEN 1 THEN $5 WHEN 2 THEN $6 ELSE $7 END, 'status', 1,
        'bench/' || n, 0, n / 4 + 1, 'open', $8 + n * $9,
        CASE WHEN k < 10 THEN 'planned' WHEN k < 70 THEN 'sent' WHEN k < 85 THEN 'delivered'
             WHEN k < 90 THEN 'cancelled' WHEN k < 94 THEN 'superseded' WHEN k < 97 THEN 'suppressed'
             WHEN k = 97 THEN 'expired' WHEN n % 1000 < 800 THEN 'sent'
             WHEN n % 1000 < 900 THEN 'failed' WHEN n % 2000 < 1000 THEN 'unknown' ELSE 'in_doubt' END,
        CASE WHEN k < 10 THEN NULL WHEN k < 85 THEN 'handed_over' WHEN k < 90 THEN 'left_state'
             WHEN k < 94 THEN 'superseded' WHEN k < 97 THEN 'no_channel' ELSE 'no_word_in_time' END,
        $8 + n * $9, $8 + n * $9,
        CASE WHEN k < 10 THEN $10 + (n * 7919) % 1209600000 - 3600000 ELSE $8 + n * $9 END,
        $10 + 2592000000, 0,
        CASE WHEN k >= 10 AND k < 85 THEN $8 + n * $9 + 400 ELSE NULL END,
        CASE WHEN k >= 10 AND k < 70 THEN 'email' WHEN k < 85 AND k >= 70 THEN 'sms' ELSE NULL END,
        '[]', '[]', 'v1', 'b' || substr(CAST(1000000000 + n AS TEXT), 2), '[]', '{}', false, false,
        1, 0, 0, CASE WHEN k >= 10 AND k < 85 THEN 1 ELSE 0 END, 0
     FROM (SELECT n, n % 100 AS k FROM counted) AS numbered"
);
const ATTEMPTS: &str = concat!(
    "INSERT INTO attempt (seq, notification_id, no, channel, provider, address, opened_at_ms, because,
        versions, body_hash, parts, state, closed_at_ms, provider_ref, detail) ",
    counted!(),
    "SELECT n + 1, ",
    id!(),
    ", 1, CASE WHEN k < 70 THEN 'email' ELSE 'sms' END, CASE WHEN k < 70 THEN 'smtp' ELSE 'twilio' END,
        'c' || (n / 10) || '@example.com', $3 + n * $4 + 40, '[]', '{}', 'x', 1, 'sent', $3 + n * $4 + 80,
        'ref-' || n, ''
     FROM (SELECT n, n % 100 AS k FROM counted) AS numbered WHERE k >= 10 AND k < 85"
);
const TASKS: &str = concat!(
    "INSERT INTO task (key, kind, detail, notification_id, opened_at_ms, done_at_ms, done_by) ",
    counted!(),
    "SELECT 'bench/' || n, 'not_told', 'Tell the customer.', ",
    id!(),
    ", $3 + n * $4, CASE WHEN n % 20000 = 999 THEN NULL ELSE $3 + n * $4 END, 'somebody'
     FROM counted WHERE n % 1000 = 999"
);
const SUPPRESSIONS: &str = concat!(
    "INSERT INTO suppression (channel, address_key, since_ms, until_ms, reason, source) ",
    counted!(),
    "SELECT 'email', 'c' || n || '@example.com', $3 + n, 9223372036854775807, 'no such mailbox', 'smtp'
     FROM counted WHERE n % 100 = 0"
);

impl Store {
    /// Writes `notifications` invented ones into an empty store, with their customers, cases,
    /// events and hand-overs. `progress` hears how many are written.
    ///
    /// # Errors
    /// `Unavailable` when the store is away; `Conflict` when it is not empty.
    pub async fn invent(
        &self,
        notifications: i64,
        about: &Invented,
        progress: impl Fn(i64),
    ) -> Result<()> {
        let step_ms = SPAN_MS / notifications.max(1);
        let start_ms = about.now_ms - step_ms * notifications;
        let mut from = 0;
        while from < notifications {
            let to = (from + PAGE).min(notifications);
            let about = about.clone();
            in_tx!(self, |tx| {
                // Ranges of whole numbers, each begun where the last one ended.
                let part = |of: i64| ((from + of - 1) / of, (to + of - 1) / of - 1);
                let of = |sql: &'static str, part: (i64, i64)| query(sql).bind(part.0).bind(part.1);
                let (customers, cases) = (part(OF_A_CUSTOMER), part(OF_A_CASE));
                let all = (from, to - 1);
                if customers.0 <= customers.1 {
                    of(CUSTOMERS, customers).bind(about.now_ms).execute(&mut *tx).await?;
                    of(POINTS, customers).execute(&mut *tx).await?;
                    of(SUPPRESSIONS, customers).bind(start_ms).execute(&mut *tx).await?;
                }
                if cases.0 <= cases.1 {
                    let written = of(CASES, cases).bind(&about.case_type).bind(&about.case);
                    written.execute(&mut *tx).await?;
                    let written = of(EVENTS, cases).bind(&about.case_type);
                    written.bind(start_ms).bind(step_ms).execute(&mut *tx).await?;
                }
                let mut written = of(NOTIFICATIONS, all).bind(&about.case_type);
                for notice in &about.notices {
                    written = written.bind(notice);
                }
                written.bind(start_ms).bind(step_ms).bind(about.now_ms).execute(&mut *tx).await?;
                of(ATTEMPTS, all).bind(start_ms).bind(step_ms).execute(&mut *tx).await?;
                of(TASKS, all).bind(start_ms).bind(step_ms).execute(&mut *tx).await?;
                Ok(())
            })?;
            from = to;
            progress(to);
        }
        self.settle_down().await
    }

    /// What autovacuum does sooner or later in a database that fills slowly.
    async fn settle_down(&self) -> Result<()> {
        let Place::Server(options) = self.place() else { return Ok(()) };
        let mut connection = postgres::connect(options).await?;
        connection.execute("SET statement_timeout = 0").await?;
        connection.execute("VACUUM (ANALYZE) notification").await?;
        connection.execute("VACUUM (ANALYZE)").await?;
        Ok(())
    }

    /// The id of the n-th invented notification.
    #[must_use]
    pub fn invented_id(n: i64) -> String {
        let scattered = (n * 2_654_435_761) % 1_000_000_000_000;
        format!("00000000-0000-5000-8000-{scattered:012}")
    }
}
