//! Addresses that must not be used: the list, and letting one be used again.

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use minijinja::context;
use minijinja::value::Serde;
use serde_json::{Value, json};

use crate::app::console::audit;
use crate::app::console::veil::veil;
use crate::domain::Channel;
use crate::domain::customer::Address;
use crate::domain::time::from_ms;
use crate::store::StoreError;
use crate::store::suppressions::Suppressed;
use crate::web::Web;

use super::forms::Form;
use super::{Admin, At, Operator, Said, refuse, show};

/// Addresses on a page.
const PAGE: usize = 50;

/// The farthest page of addresses that were stopped in one and the same millisecond.
const MAX_SKIP: i64 = 100_000;

/// Which page: since when, and how many of that instant are on pages before.
#[derive(Debug, Clone, Copy)]
struct Place {
    until_ms: i64,
    skip: i64,
}

impl Place {
    fn of(form: &Form) -> Self {
        let until_ms = form.field("until").parse().unwrap_or(i64::MAX);
        let skip = form.field("skip").parse().unwrap_or(0).clamp(0, MAX_SKIP);
        Self { until_ms, skip }
    }
}

/// `GET /console/suppressions`
pub async fn page(
    State(web): State<Web>,
    operator: Operator,
    RawQuery(query): RawQuery,
) -> Response {
    listed(&web, &operator, Place::of(&Form::query(query)), &[]).await
}

/// Stands for an address where the page must not say it.
fn mark(web: &Web, row: &Suppressed) -> String {
    web.app.engine.keys.fingerprint(&format!("{}/{}", row.channel, row.address))
}

async fn listed(web: &Web, operator: &Operator, place: Place, said: &[Said]) -> Response {
    let now = web.app.engine.clock.now();
    let store = &web.app.engine.store;
    let mut rows = match store.suppressed_addresses(now, place.until_ms, place.skip).await {
        Ok(rows) => rows,
        Err(error) => return refuse(web, operator, error),
    };
    let more = rows.len() > PAGE;
    rows.truncate(PAGE);
    let next = rows.last().filter(|_| more).map(|last| {
        let same = rows.iter().filter(|row| row.since_ms == last.since_ms).count();
        let before = if last.since_ms == place.until_ms { place.skip } else { 0 };
        (last.since_ms, before + i64::try_from(same).unwrap_or(0))
    });
    let rows: Vec<Value> = rows
        .iter()
        .map(|row| {
            let channel: Option<Channel> = row.channel.parse().ok();
            json!({
                "channel": row.channel, "spoken": channel.map_or("", Channel::spoken),
                "address": Address::stored(row.address.clone()).to_string(),
                "since": from_ms(row.since_ms).to_rfc3339(), "since_ms": row.since_ms,
                "reason": veil(&row.reason), "source": row.source,
                "own": row.is_own_word(), "mark": mark(web, row),
            })
        })
        .collect();
    let (until_ms, skip) = (place.until_ms, place.skip);
    let values = context! { rows => Serde(rows), next, until_ms, skip };
    show(web, operator, "suppressions", "Suppressed addresses", "suppressions.html", values, said)
}

/// `POST /console/suppressions`: an address may be used again.
pub async fn lift(State(web): State<Web>, At(operator): Admin, body: Bytes) -> Response {
    let form = Form::read(&body);
    let place = Place::of(&form);
    let said = match lifted(&web, &operator, &form).await {
        Ok(said) => said,
        Err(error) => return refuse(&web, &operator, error),
    };
    listed(&web, &operator, place, &[said]).await
}

async fn lifted(web: &Web, operator: &Operator, form: &Form) -> Result<Said, StoreError> {
    let Some(why) = form.given("why") else {
        return Ok(Said::fault(
            "Say why the address may be used again: it is kept in the audit log.",
        ));
    };
    let Ok(since_ms) = form.field("since").parse::<i64>() else { return Ok(Said::unknown()) };
    let store = &web.app.engine.store;
    let now = web.app.engine.clock.now();
    let mut skip = 0;
    let row = loop {
        let rows = store.suppressed_addresses(now, since_ms, skip).await?;
        let same: Vec<&Suppressed> = rows.iter().filter(|row| row.since_ms == since_ms).collect();
        if let Some(row) = same.iter().find(|row| mark(web, row) == form.field("mark")) {
            break (*row).clone();
        }
        skip += i64::try_from(same.len()).unwrap_or(0);
        if same.is_empty() || same.len() < rows.len() || skip > MAX_SKIP {
            return Ok(Said::fault("The address is not suppressed any more."));
        }
    };
    if row.is_own_word() {
        let why = "Its owner refused it: only they can take that back, by START or on their pages.";
        return Ok(Said::fault(why));
    }
    let Ok(channel) = row.channel.parse::<Channel>() else { return Ok(Said::unknown()) };
    let address = Address::stored(row.address.clone());
    if !store.lift_found(channel, &address, &operator.name, now).await? {
        return Ok(Said::fault("The address is not suppressed any more."));
    }
    let detail = json!({ "address": row.address, "was": row.reason, "reason": why });
    audit::note(&web.app, operator, "lift_suppression", &address.to_string(), detail).await?;
    Ok(Said::done(&format!("{address} may be used again for a {}.", channel.spoken())))
}
