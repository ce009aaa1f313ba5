//! Pages of one customer and of one case, and the customer's own pages as they see them.

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use minijinja::Value;
use minijinja::value::Serde;
use serde_json::json;

use crate::app::centre::person;
use crate::app::console::{audit, people, segment};
use crate::domain::{CaseId, CustomerId};
use crate::store::StoreError;
use crate::web::{Web, centre};

use super::forms::Form;
use super::{Admin, At, Operator, Said, refuse, show};

/// `GET /console/customers/{id}`
pub async fn customer(
    State(web): State<Web>,
    operator: Operator,
    Path(id): Path<String>,
) -> Response {
    customer_page(&web, &operator, id, false, &[]).await
}

async fn customer_page(
    web: &Web,
    operator: &Operator,
    id: String,
    shown: bool,
    said: &[Said],
) -> Response {
    let title = format!("Customer {id}");
    let now = web.app.engine.clock.now();
    match people::customer(&web.app, &CustomerId(id), shown, now).await {
        Ok(page) => {
            let values = Value::from(Serde(page));
            show(web, operator, "search", &title, "customer.html", values, said)
        }
        Err(error) => refuse(web, operator, error),
    }
}

/// `POST /console/customers/{id}`: shows the addresses in this one answer.
pub async fn unmask(
    State(web): State<Web>,
    At(operator): Admin,
    Path(id): Path<String>,
    body: Bytes,
) -> Response {
    let form = Form::read(&body);
    let Some(why) = form.given("why") else {
        let said = [Said::fault("Say why you need the addresses: it is kept in the audit log.")];
        return customer_page(&web, &operator, id, false, &said).await;
    };
    let store = &web.app.engine.store;
    let done = async {
        store.customer(&CustomerId(id.clone()), web.app.engine.clock.now()).await?;
        audit::note(&web.app, &operator, "unmask", &id, json!({ "reason": why })).await
    };
    match done.await {
        Ok(()) => {
            let said = [Said::done("Shown this once; who saw them is in the audit log.")];
            customer_page(&web, &operator, id, true, &said).await
        }
        Err(error) => refuse(&web, &operator, error),
    }
}

/// `GET /console/cases/{id}`
pub async fn case(State(web): State<Web>, operator: Operator, Path(id): Path<String>) -> Response {
    let title = format!("Case {id}");
    match people::case(&web.app, &CaseId(id)).await {
        Ok(page) => {
            let values = Value::from(Serde(page));
            show(&web, &operator, "search", &title, "case.html", values, &[])
        }
        Err(error) => refuse(&web, &operator, error),
    }
}

/// `GET /console/customers/{id}/as`: the customer's first page as they see it.
pub async fn overview_as(
    state: State<Web>,
    operator: Operator,
    Path(id): Path<String>,
    query: RawQuery,
) -> Response {
    room_as(state, operator, Path((id, "overview".into())), query).await
}

/// `GET /console/customers/{id}/as/{room}`: another of their pages. Nothing can be changed, and
/// it is no visit of theirs. That somebody looked is in the audit log.
pub async fn room_as(
    State(web): State<Web>,
    operator: Operator,
    Path((id, room)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Response {
    let now = web.app.engine.clock.now();
    let seen = async {
        let person = person(&web.app, &CustomerId(id.clone()), now).await?;
        let base = format!("/console/customers/{}", segment(&id));
        let page = centre::as_seen_by(&web, person, &room, query, &base, now).await?;
        let page =
            page.ok_or_else(|| StoreError::NotFound { what: format!("the page {room:?}") })?;
        audit::note(&web.app, &operator, "view_as", &id, json!({ "page": room })).await?;
        Ok(page)
    };
    seen.await.unwrap_or_else(|error| refuse(&web, &operator, error))
}
