//! Finding a customer, a case or a message by what somebody has at hand.

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use minijinja::context;
use minijinja::value::Serde;
use serde::Serialize;

use crate::app::console::segment;
use crate::app::console::veil::veil;
use crate::domain::customer::Address;
use crate::domain::{CaseId, Channel, CustomerId, NotificationId};
use crate::store::{Result, StoreError};
use crate::web::Web;

use super::forms::Form;
use super::{Operator, refuse, show};

/// Something that was found.
#[derive(Debug, Serialize)]
struct Hit {
    kind: &'static str,
    href: String,
    name: String,
    more: String,
}

/// `GET /console/search?q=`
pub async fn page(
    State(web): State<Web>,
    operator: Operator,
    RawQuery(query): RawQuery,
) -> Response {
    answered(&web, &operator, &Form::query(query)).await
}

/// `POST /console/search`: what is looked for stands in no address bar and no history.
pub async fn look(State(web): State<Web>, operator: Operator, body: Bytes) -> Response {
    answered(&web, &operator, &Form::read(&body)).await
}

async fn answered(web: &Web, operator: &Operator, form: &Form) -> Response {
    let wanted = form.field("q");
    let hits = if wanted.is_empty() { Ok(Vec::new()) } else { hits(web, wanted).await };
    match hits {
        Ok(hits) => {
            let values = context! { asked => veil(wanted), hits => Serde(hits) };
            show(web, operator, "search", "Search", "search.html", values, &[])
        }
        Err(error) => refuse(web, operator, error),
    }
}

async fn hits(web: &Web, wanted: &str) -> Result<Vec<Hit>> {
    let store = &web.app.engine.store;
    let now = web.app.engine.clock.now();
    let mut hits = Vec::new();
    let id = CustomerId(wanted.to_owned());
    if store.customers([&id], now).await?.contains_key(&id) {
        hits.push(customer(&id, ""));
    }
    let id = CaseId(wanted.to_owned());
    if let Some(standing) = store.cases([&id]).await?.remove(&id) {
        let case = &standing.case;
        hits.push(Hit {
            kind: "Case",
            href: format!("/console/cases/{}", segment(wanted)),
            name: case.id.0.clone(),
            more: format!("{} of {}", case.case_type, case.customer),
        });
    }
    if let Ok(id) = NotificationId::parse(wanted) {
        message(web, &id, "", &mut hits).await?;
    }
    match store.by_code(&wanted.to_lowercase()).await {
        Ok(found) => {
            if let Ok(id) = NotificationId::parse(&found.id) {
                message(web, &id, "by its code", &mut hits).await?;
            }
        }
        Err(StoreError::NotFound { .. }) => {}
        Err(error) => return Err(error),
    }
    let lines = Channel::ALL.into_iter().flat_map(|channel| web.app.engine.health.lines(channel));
    let providers: std::collections::BTreeSet<&str> =
        lines.map(|line| line.provider.name()).collect();
    for provider in providers {
        for id in store.by_reference(provider, wanted).await? {
            if let Ok(id) = NotificationId::parse(&id) {
                message(web, &id, &format!("by the reference of {provider}"), &mut hits).await?;
            }
        }
    }
    let channels: &[Channel] = match (wanted.contains('@'), wanted.starts_with('+')) {
        (true, _) => &[Channel::Email],
        (_, true) => &[Channel::Sms, Channel::Voice],
        _ => &[],
    };
    for channel in channels {
        let Ok(address) = Address::parse(*channel, wanted) else { continue };
        for id in store.customers_with(*channel, &address).await? {
            hits.push(customer(&id, &format!("{} {address}", channel.spoken())));
        }
    }
    Ok(hits)
}

fn customer(id: &CustomerId, more: &str) -> Hit {
    Hit {
        kind: "Customer",
        href: format!("/console/customers/{}", segment(id.as_str())),
        name: id.0.clone(),
        more: more.to_owned(),
    }
}

async fn message(web: &Web, id: &NotificationId, how: &str, hits: &mut Vec<Hit>) -> Result<()> {
    let n = match web.app.engine.store.one_notification(id).await {
        Ok(n) => n,
        Err(StoreError::NotFound { .. }) => return Ok(()),
        Err(error) => return Err(error),
    };
    hits.push(Hit {
        kind: "Message",
        href: format!("/console/notifications/{id}"),
        name: format!("{}/{}", n.case_type, n.notice),
        more: format!("{} of case {}, {} {how}", n.customer, n.case, n.status.as_str()),
    });
    Ok(())
}
