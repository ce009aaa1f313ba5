//! Customers, their addresses and choices. Whatever consent reads bumps the customer's
//! revision in the same transaction, and every revision is kept.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use crate::domain::customer::{Address, CustomerRecord, Profile};
use crate::domain::time::Instant;
use crate::domain::{Channel, ContactPoint, Customer, CustomerId, Preferences};

use super::consent::{Act, NewConsent, difference, note};
use super::facts;
use super::row_locks::{Lock, lock, lock_customer};
use super::rows::{ContactPointRow, CustomerRow, json};
use super::sql::{On, Tx};
use super::{Result, Store, StoreError, batch, ids, in_tx, query};

/// A row per address; a customer without one comes with nulls.
const SELECT_CUSTOMERS: &str = "
    SELECT c.id, c.revision, c.profile, c.chosen, c.imported, c.erased,
           p.channel, p.address, p.verified,
           (SELECT s.reason FROM suppression AS s
             WHERE s.channel = p.channel AND s.address_key = p.address_key
               AND s.since_ms <= $2 AND s.until_ms > $2
             ORDER BY s.since_ms DESC LIMIT 1) AS suppressed
    FROM jsonb_each($1) AS x JOIN customer AS c ON c.id = x.value->>'id'
    LEFT JOIN contact_point AS p ON p.customer_id = c.id AND NOT p.removed
    ORDER BY c.id, p.position";

const UPSERT_CUSTOMERS: &str = "
    INSERT INTO customer (id, revision, profile, chosen, imported, erased, updated_at_ms)
    SELECT x.value->>'id', CAST(x.value->>'revision' AS BIGINT), x.value->>'profile',
           x.value->>'chosen', x.value->>'imported', false, $2
    FROM jsonb_each($1) AS x WHERE true
    ON CONFLICT (id) DO UPDATE SET revision = excluded.revision, profile = excluded.profile,
        chosen = excluded.chosen, imported = excluded.imported, erased = false,
        updated_at_ms = excluded.updated_at_ms";

const INSERT_VERSIONS: &str = "
    INSERT INTO customer_version (customer_id, revision, at_ms, source, body)
    SELECT x.value->>'id', CAST(x.value->>'revision' AS BIGINT), $2, $3, x.value->>'body'
    FROM jsonb_each($1) AS x";

const DROP_POINTS: &str = "
    DELETE FROM contact_point WHERE added_by = 'import' AND NOT removed
      AND customer_id IN (SELECT x.value->>'id' FROM jsonb_each($1) AS x)";

const INSERT_POINTS: &str = "
    INSERT INTO contact_point (customer_id, position, channel, address, address_key, verified,
                               added_by, removed)
    SELECT x.value->>'customer_id', CAST(x.value->>'position' AS BIGINT), x.value->>'channel',
           x.value->>'address', x.value->>'address_key', CAST(x.value->>'verified' AS BOOLEAN),
           'import', false
    FROM jsonb_each($1) AS x WHERE true
    ON CONFLICT (customer_id, channel, address_key) DO NOTHING";

const RELEASE_WAITING: &str = "
    UPDATE cases SET waiting_for = NULL, wait_until_ms = 0
    WHERE waiting_for IN (SELECT x.value->>'id' FROM jsonb_each($1) AS x)
    RETURNING id";

const CLOSE_WAITING_TASKS: &str = "
    UPDATE task SET done_at_ms = $2, done_by = 'customer arrived'
    WHERE done_at_ms IS NULL
      AND key IN (SELECT 'unknown_customer/' || (x.value->>'id') FROM jsonb_each($1) AS x)";

/// What erasing a customer touches besides the customer. `$1` is the customer.
const ERASE: &[&str] = &[
    "DELETE FROM address_fault WHERE EXISTS (SELECT 1 FROM contact_point AS c
        WHERE c.customer_id = $1 AND c.channel = address_fault.channel
          AND c.address_key = address_fault.address_key)",
    "DELETE FROM contact_point WHERE customer_id = $1",
    "UPDATE customer_version SET body = '{}' WHERE customer_id = $1",
    "UPDATE event SET body = '{}', looked_at = NULL WHERE customer_id = $1 AND planned_at_ms IS NOT NULL",
    "UPDATE attempt SET address = '', detail = NULL WHERE notification_id IN
        (SELECT id FROM notification WHERE customer_id = $1)",
    "UPDATE receipt SET detail = '' WHERE notification_id IN
        (SELECT id FROM notification WHERE customer_id = $1)",
    "DELETE FROM phone_call WHERE notification_id IN
        (SELECT id FROM notification WHERE customer_id = $1)",
    "UPDATE task SET detail = 'erased' WHERE customer_id = $1",
    "UPDATE customer_action SET detail = '' WHERE customer_id = $1",
    "DELETE FROM contact_code WHERE customer_id = $1",
    "DELETE FROM source_link WHERE customer_id = $1",
    "DELETE FROM call_offer WHERE customer_id = $1",
    "UPDATE callback SET status = 'cancelled' WHERE customer_id = $1 AND status = 'open'",
    "UPDATE webhook_event SET data = '{\"erased\":true}' WHERE customer_id = $1",
    "UPDATE webhook_delivery SET said = NULL WHERE event_seq IN
        (SELECT seq FROM webhook_event WHERE customer_id = $1)",
];

/// What was planned for them is planned no more.
const CANCEL_ERASED: &str = "
    UPDATE notification SET status = 'cancelled', reason = 'erased', epoch = epoch + 1
    WHERE customer_id = $1 AND status IN ('planned', 'claimed')
    RETURNING id";

/// One version of a customer.
#[derive(Debug, Clone, sqlx::FromRow, Serialize)]
pub struct CustomerVersion {
    pub revision: i64,
    pub at_ms: i64,
    pub source: String,
    #[serde(skip)]
    pub body: String,
}

/// What an import did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Imported {
    pub new: usize,
    pub changed: usize,
    pub unchanged: usize,
    /// Events that waited for one of these customers and can be planned now.
    pub released: bool,
}

#[derive(Serialize)]
struct NewCustomer {
    id: String,
    revision: i64,
    profile: String,
    chosen: String,
    imported: String,
    body: String,
}

#[derive(Serialize)]
struct NewPoint {
    customer_id: String,
    position: usize,
    channel: &'static str,
    address: String,
    address_key: String,
    verified: bool,
}

/// A customer as it stood at one revision, kept for ever (until erased).
#[derive(Serialize)]
struct Version<'a> {
    profile: &'a str,
    chosen: &'a str,
    imported: &'a str,
    contact_points: &'a [ContactPoint],
}

pub(super) async fn load<'e>(
    on: impl Into<On<'e>>,
    wanted: impl IntoIterator<Item = &CustomerId>,
    now_ms: i64,
) -> Result<HashMap<CustomerId, Customer>> {
    let rows: Vec<CustomerRow> =
        query(SELECT_CUSTOMERS).bind(ids(wanted)).bind(now_ms).fetch_all(on).await?;
    let mut customers = HashMap::new();
    let mut rows = rows.into_iter().peekable();
    while let Some(mut row) = rows.next() {
        let mut points: Vec<ContactPointRow> = row.point().into_iter().collect();
        while let Some(mut next) = rows.next_if(|next| next.id == row.id) {
            points.extend(next.point());
        }
        customers.insert(CustomerId(row.id.clone()), row.customer(points)?);
    }
    Ok(customers)
}

/// A choice may free what waits for an hour, a slot or company: it is decided again now.
pub(super) async fn look_again(tx: &mut Tx, customer: &str, now_ms: i64) -> Result<()> {
    let waiting: Vec<(String,)> = query(
        "SELECT id FROM notification WHERE customer_id = $1 AND status = 'planned'
            AND attempts = 0 AND next_at_ms > $2 AND next_at_ms > due_at_ms",
    )
    .bind(customer)
    .bind(now_ms)
    .fetch_all(&mut *tx)
    .await?;
    if waiting.is_empty() {
        return Ok(());
    }
    let waiting = ids(waiting.iter().map(|(id,)| id));
    lock(tx, Lock::Notifications, waiting.clone()).await?;
    query(
        "UPDATE notification SET ring_again_at_ms = 0,
                next_at_ms = CASE WHEN due_at_ms > $2 THEN due_at_ms ELSE $2 END
         WHERE id IN (SELECT x.value->>'id' FROM jsonb_each($1) AS x)
           AND status = 'planned' AND attempts = 0",
    )
    .bind(waiting)
    .bind(now_ms)
    .execute(tx)
    .await?;
    Ok(())
}

impl Store {
    /// Customers as decisions read them at `now`; unknown ids are left out.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn customers(
        &self,
        wanted: impl IntoIterator<Item = &CustomerId>,
        now: Instant,
    ) -> Result<HashMap<CustomerId, Customer>> {
        load(&self.readers, wanted, now.timestamp_millis()).await
    }

    /// One customer.
    ///
    /// # Errors
    /// `NotFound`, also for an erased one.
    pub async fn customer(&self, id: &CustomerId, now: Instant) -> Result<Customer> {
        self.customers([id], now)
            .await?
            .remove(id)
            .filter(|customer| !customer.erased)
            .ok_or_else(|| StoreError::NotFound { what: format!("the customer {id}") })
    }

    /// Sets up to 500 customers as a case system tells them: name, locale, zone, attributes,
    /// addresses. Their preferences fill only what the customer has not chosen; an address
    /// the customer removed stays removed. The same record again changes nothing.
    ///
    /// # Errors
    /// `Unavailable`; nothing was changed then.
    pub async fn import_customers(
        &self,
        records: Vec<CustomerRecord>,
        source: &str,
        now: Instant,
    ) -> Result<Imported> {
        let source = source.to_owned();
        let now_ms = now.timestamp_millis();
        let done = in_tx!(self, |tx| {
            let named = ids(records.iter().map(|record| &record.id));
            lock(tx, Lock::CustomerNames, named.clone()).await?;
            // Whoever suppresses one of these addresses finds its new owner, or we find why.
            let points = records.iter().flat_map(|record| &record.contact_points);
            lock(tx, Lock::Addresses, ids(points.map(|point| point.address.compare_key()))).await?;
            lock(tx, Lock::Customers, named).await?;
            let known = load(&mut *tx, records.iter().map(|record| &record.id), now_ms).await?;
            let mut done = Imported::default();
            let mut changed: BTreeMap<String, NewCustomer> = BTreeMap::new();
            let mut new_points: BTreeMap<String, Vec<NewPoint>> = BTreeMap::new();
            let mut consents = Vec::new();
            for mut record in records {
                let id = record.id.0.clone();
                let before = known.get(&record.id);
                if let Some(before) = before {
                    own_language_and_zone(&mut record.profile, &before.chosen);
                }
                if before.is_some_and(|before| is_same(before, &record))
                    && !changed.contains_key(&id)
                {
                    done.unchanged += 1;
                    continue;
                }
                if before.is_some() || changed.contains_key(&id) {
                    done.changed += 1;
                } else {
                    done.new += 1;
                }
                let nothing = Preferences::default();
                let was = before.map_or(&nothing, |before| &before.imported);
                if *was != record.preferences {
                    let what = difference(was, &record.preferences).to_string();
                    consents.push(NewConsent { customer_id: id.clone(), what });
                }
                let revision = before.map_or(0, |before| before.revision) + 1;
                let chosen = before.map_or_else(|| "{}".to_owned(), |before| json(&before.chosen));
                let (profile, imported) = (json(&record.profile), json(&record.preferences));
                let version = Version {
                    profile: &profile,
                    chosen: &chosen,
                    imported: &imported,
                    contact_points: &record.contact_points,
                };
                let body = json(&version);
                let new = NewCustomer { id: id.clone(), revision, profile, chosen, imported, body };
                new_points.insert(id.clone(), points_of(&record));
                changed.insert(id, new);
            }
            if changed.is_empty() {
                return Ok(done);
            }
            let touched = ids(changed.keys());
            let rows = batch(changed.values());
            query(UPSERT_CUSTOMERS).bind(&rows).bind(now_ms).execute(&mut *tx).await?;
            query(INSERT_VERSIONS).bind(&rows).bind(now_ms).bind(source).execute(&mut *tx).await?;
            note(tx, consents, &Act::from_source("import"), now_ms).await?;
            query(DROP_POINTS).bind(&touched).execute(&mut *tx).await?;
            let points = batch(new_points.values().flatten());
            query(INSERT_POINTS).bind(points).execute(&mut *tx).await?;
            lock(tx, Lock::WaitingCases, touched.clone()).await?;
            let released: Vec<(String,)> =
                query(RELEASE_WAITING).bind(&touched).fetch_all(&mut *tx).await?;
            if !released.is_empty() {
                query(CLOSE_WAITING_TASKS).bind(&touched).bind(now_ms).execute(&mut *tx).await?;
            }
            done.released = !released.is_empty();
            Ok(done)
        });
        if matches!(&done, Ok(Imported { released: true, .. })) {
            self.news.there_is_work();
        }
        done
    }

    /// Changes what the customer chose. `source` says who did: centre, one-click, STOP, agent.
    ///
    /// # Errors
    /// `NotFound` when nobody told us about the customer.
    pub async fn choose(
        &self,
        id: &CustomerId,
        source: &str,
        now: Instant,
        change: impl FnOnce(&mut Preferences) + Send + 'static,
    ) -> Result<()> {
        self.choose_as(id, Act::from_source(source), now, change).await
    }

    /// The same, with who did it and which words they saw. What changed is added to the
    /// record of consent in the same transaction.
    ///
    /// # Errors
    /// `NotFound` when nobody told us about the customer.
    pub async fn choose_as(
        &self,
        id: &CustomerId,
        act: Act,
        now: Instant,
        change: impl FnOnce(&mut Preferences) + Send + 'static,
    ) -> Result<()> {
        let id = id.clone();
        let now_ms = now.timestamp_millis();
        in_tx!(self, |tx| {
            lock_customer(tx, &id).await?;
            let mut customers = load(&mut *tx, [&id], now_ms).await?;
            let mut customer = customers
                .remove(&id)
                .filter(|customer| !customer.erased)
                .ok_or_else(|| StoreError::NotFound { what: format!("the customer {id}") })?;
            let mut chosen = customer.chosen.clone();
            change(&mut chosen);
            if chosen == customer.chosen {
                return Ok(());
            }
            let what = difference(&customer.chosen, &chosen).to_string();
            own_language_and_zone(&mut customer.profile, &chosen);
            write_version(tx, customer, &chosen, &act.source, now_ms).await?;
            let line = NewConsent { customer_id: id.0.clone(), what };
            note(tx, vec![line], &act, now_ms).await?;
            look_again(tx, id.as_str(), now_ms).await
        })
    }

    /// Is a message to this customer on the wire right now?
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn any_on_the_wire(&self, id: &CustomerId) -> Result<bool> {
        let (any,): (bool,) = query(
            "SELECT EXISTS (SELECT 1 FROM notification
                            WHERE status = 'sending' AND customer_id = $1)",
        )
        .bind(id.as_str())
        .fetch_one(&self.readers)
        .await?;
        Ok(any)
    }

    /// Is a message to this address on the wire right now?
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn any_on_the_wire_to(&self, channel: Channel, address: &Address) -> Result<bool> {
        let (any,): (bool,) = query(
            "SELECT EXISTS (SELECT 1 FROM notification AS n
                            JOIN attempt AS a ON a.notification_id = n.id AND a.no = n.attempts
                            WHERE n.status = 'sending' AND a.channel = $1
                              AND lower(a.address) = $2)",
        )
        .bind(channel.as_str())
        .bind(address.compare_key())
        .fetch_one(&self.readers)
        .await?;
        Ok(any)
    }

    /// Every version of what we know about a customer, oldest first.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn customer_versions(&self, id: &CustomerId) -> Result<Vec<CustomerVersion>> {
        Ok(query(
            "SELECT revision, at_ms, source, body FROM customer_version
             WHERE customer_id = $1 ORDER BY revision",
        )
        .bind(id.as_str())
        .fetch_all(&self.readers)
        .await?)
    }

    /// Forgets a person: name, addresses, choices and facts, in every version; what is planned
    /// is cancelled. What was decided and when stays, without them.
    ///
    /// # Errors
    /// `NotFound` when nobody told us about the customer.
    pub async fn erase(&self, id: &CustomerId, who: &str, now: Instant) -> Result<()> {
        let (customer, id, who) = (id.clone(), id.0.clone(), who.to_owned());
        let now_ms = now.timestamp_millis();
        in_tx!(self, |tx| {
            lock_customer(tx, &customer).await?;
            lock(tx, Lock::CasesOf, ids([&id])).await?;
            lock(tx, Lock::NotificationsOf, ids([&id])).await?;
            let erased = query(
                "UPDATE customer SET erased = true, profile = '{\"name\":\"\"}', chosen = '{}',
                        imported = '{}', revision = revision + 1, updated_at_ms = $2
                 WHERE id = $1 AND NOT erased",
            )
            .bind(&id)
            .bind(now_ms)
            .execute(&mut *tx)
            .await?;
            if erased == 0 {
                return Err(StoreError::NotFound { what: format!("the customer {id}") });
            }
            for sql in ERASE {
                query(sql).bind(&id).execute(&mut *tx).await?;
            }
            let cancelled: Vec<(String,)> =
                query(CANCEL_ERASED).bind(&id).fetch_all(&mut *tx).await?;
            facts::notifications(tx, cancelled.iter().map(|(id,)| id), now_ms).await?;
            let cases: Vec<(String,)> =
                query("SELECT body FROM cases WHERE customer_id = $1 AND body IS NOT NULL")
                    .bind(&id)
                    .fetch_all(&mut *tx)
                    .await?;
            for (body,) in cases {
                let mut case: crate::domain::Case = serde_json::from_str(&body)?;
                case.facts.clear();
                query("UPDATE cases SET body = $2 WHERE id = $1")
                    .bind(case.id.as_str())
                    .bind(json(&case))
                    .execute(&mut *tx)
                    .await?;
            }
            query(
                "INSERT INTO customer_version (customer_id, revision, at_ms, source, body)
                 SELECT id, revision, $2, 'erased by ' || $3, '{}' FROM customer WHERE id = $1",
            )
            .bind(&id)
            .bind(now_ms)
            .bind(who)
            .execute(tx)
            .await?;
            Ok(())
        })
    }
}

/// What the customer chose wins over what a case system tells.
fn own_language_and_zone(profile: &mut Profile, chosen: &Preferences) {
    if chosen.locale.is_some() {
        profile.locale.clone_from(&chosen.locale);
    }
    if chosen.time_zone.is_some() {
        profile.time_zone.clone_from(&chosen.time_zone);
    }
}

/// Writes a customer's next version: everything as in `customer`, with these choices.
pub(super) async fn write_version(
    tx: &mut Tx,
    customer: Customer,
    chosen: &Preferences,
    source: &str,
    now_ms: i64,
) -> Result<()> {
    let (profile, chosen) = (json(&customer.profile), json(chosen));
    let imported = json(&customer.imported);
    let body = json(&Version {
        profile: &profile,
        chosen: &chosen,
        imported: &imported,
        contact_points: &customer.contact_points,
    });
    let revision = customer.revision + 1;
    let row = NewCustomer { id: customer.id.0, revision, profile, chosen, imported, body };
    let rows = batch([row]);
    query(UPSERT_CUSTOMERS).bind(&rows).bind(now_ms).execute(&mut *tx).await?;
    query(INSERT_VERSIONS).bind(&rows).bind(now_ms).bind(source).execute(tx).await?;
    Ok(())
}

/// Does the record say what we already know?
fn is_same(known: &Customer, record: &CustomerRecord) -> bool {
    let points = known.contact_points.iter();
    known.profile == record.profile
        && known.imported == record.preferences
        && !known.erased
        && known.contact_points.len() == record.contact_points.len()
        && points.zip(&record.contact_points).all(|(known, given)| {
            known.channel == given.channel
                && known.address == given.address
                && known.verified == given.verified
        })
}

fn points_of(record: &CustomerRecord) -> Vec<NewPoint> {
    record
        .contact_points
        .iter()
        .enumerate()
        .map(|(position, point)| NewPoint {
            customer_id: record.id.0.clone(),
            position,
            channel: point.channel.as_str(),
            address: point.address.expose().to_owned(),
            address_key: point.address.compare_key(),
            verified: point.verified,
        })
        .collect()
}
