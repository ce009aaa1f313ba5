//! Notifications: the list by whatever is asked for, and one with its whole story.

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use minijinja::context;
use minijinja::value::Serde;
use serde_json::{Value, json};

use crate::app::console::audit;
use crate::app::console::veil::veil_all;
use crate::app::explain;
use crate::domain::time::from_ms;
use crate::domain::{NotificationId, Status};
use crate::store::StoreError;
use crate::store::console::NotificationView;
use crate::store::operations::OnMany;
use crate::web::Web;

use super::filters::{Filter, instant_name, position};
use super::forms::Form;
use super::{At, Editor, Operator, Said, refuse, show};

/// Which acts are offered on what stands at a status.
pub fn acts(status: &str) -> &'static [&'static str] {
    match Status::from_name(status) {
        Some(Status::Planned) => &["cancel"],
        Some(Status::Failed | Status::Quarantined) => &["retry"],
        Some(Status::Unknown) => &["retry", "arrived"],
        Some(Status::InDoubt) => &["arrived", "not_sent"],
        _ => &[],
    }
}

/// An act by its name in a form.
pub fn act(name: &str) -> Option<OnMany> {
    Some(match name {
        "cancel" => OnMany::Cancel,
        "retry" => OnMany::Retry,
        "arrived" => OnMany::Arrived,
        "not_sent" => OnMany::NotSent,
        _ => return None,
    })
}

/// What was done, for people.
pub const fn done_word(act: OnMany) -> &'static str {
    match act {
        OnMany::Cancel => "cancelled",
        OnMany::Retry => "planned again",
        OnMany::Arrived => "noted as sent",
        OnMany::NotSent => "noted as not sent, and planned again",
    }
}

/// A row of a list.
pub fn row(n: &NotificationView) -> Value {
    json!({
        "id": n.id, "message": format!("{}/{}", n.case_type, n.notice), "case": n.case_id,
        "customer": n.customer_id, "status": n.status.replace('_', " "), "reason": n.reason,
        "channel": n.channel, "planned_at": from_ms(n.planned_at_ms).to_rfc3339(),
        "next_at": from_ms(n.next_at_ms).to_rfc3339(),
        "told_at": n.told_at_ms.map(|ms| from_ms(ms).to_rfc3339()),
    })
}

/// `GET /console/notifications?status=&reason=&message=&channel=&customer=&case=&from=&to=`
pub async fn list(
    State(web): State<Web>,
    operator: Operator,
    RawQuery(query): RawQuery,
) -> Response {
    let form = Form::query(query);
    let filter = Filter::read(&form);
    listed(&web, &operator, &filter, form.field("after"), Vec::new()).await
}

/// The list, with what was done or could not be.
pub async fn listed(
    web: &Web,
    operator: &Operator,
    filter: &Filter,
    after: &str,
    mut said: Vec<Said>,
) -> Response {
    let statuses = Status::ALL.map(Status::as_str);
    let wanted = match filter.wanted(&web.app.console.zone) {
        Ok(wanted) => wanted,
        Err(why) => {
            said.push(Said::fault(&why));
            let values = context! { filter => Serde(filter), statuses, unread => true };
            let page = show(
                web,
                operator,
                "notifications",
                "Messages",
                "notifications.html",
                values,
                &said,
            );
            return (StatusCode::BAD_REQUEST, page).into_response();
        }
    };
    let listed = match web.app.engine.store.list(&wanted, position(after).as_ref()).await {
        Ok(listed) => listed,
        Err(error) => return refuse(web, operator, error),
    };
    let next = listed.next.map(|next| {
        let at = format!("{}.{}", next.at_ms, next.id);
        json!({ "query": filter.query(&[("after", &at)]), "at": from_ms(next.at_ms).to_rfc3339() })
    });
    let rows: Vec<Value> = listed.rows.iter().map(row).collect();
    let acts = acts(&filter.status).iter();
    let acts: Vec<(&str, String)> =
        acts.map(|name| (*name, filter.query(&[("do", name)]))).collect();
    let values = context! {
        filter => Serde(filter), statuses, rows => Serde(rows), next => Serde(next), acts,
        by => instant_name(wanted.instant()), full => listed.rows.len() == crate::store::listing::PAGE,
    };
    show(web, operator, "notifications", "Messages", "notifications.html", values, &said)
}

/// `GET /console/notifications/{id}`
pub async fn one(State(web): State<Web>, operator: Operator, Path(id): Path<String>) -> Response {
    one_page(&web, &operator, &id, &[]).await
}

async fn one_page(web: &Web, operator: &Operator, id: &str, said: &[Said]) -> Response {
    let known = async {
        let id = NotificationId::parse(id)
            .map_err(|_| StoreError::NotFound { what: format!("the notification {id:?}") })?;
        let mut story = explain::notification(&web.app, &id).await?.json;
        // What a provider answered may name the address.
        veil_all(&mut story);
        let riders = web.app.engine.store.riders_of(&id).await?;
        let riders: Vec<Value> = riders.iter().map(row).collect();
        Ok((story, riders))
    };
    match known.await {
        Ok((story, riders)) => {
            let message = |name: &str| story[name].as_str().unwrap_or_default().to_owned();
            let title = format!("{}/{}", message("case_type"), message("notice"));
            let acts = acts(&message("status")).to_vec();
            let values = context! { n => Serde(story), riders => Serde(riders), acts };
            show(web, operator, "notifications", &title, "notification.html", values, said)
        }
        Err(error) => refuse(web, operator, error),
    }
}

/// `POST /console/notifications/{id}`: cancel, retry, or settle a doubt.
pub async fn act_on_one(
    State(web): State<Web>,
    At(operator): Editor,
    Path(id): Path<String>,
    body: Bytes,
) -> Response {
    let form = Form::read(&body);
    let Some(wanted) = act(form.field("do")) else {
        return one_page(&web, &operator, &id, &[Said::unknown()]).await;
    };
    let engine = &web.app.engine;
    let done = engine.act_on_many(std::slice::from_ref(&id), wanted, &operator.name).await;
    let said = match done {
        Ok(0) => {
            Said::fault("Nothing was done: it does not stand as it did. This is how it stands now.")
        }
        Ok(_) => {
            let detail = json!({ "reason": form.given("why") });
            let action = audit_word(wanted);
            if let Err(error) = audit::note(&web.app, &operator, action, &id, detail).await {
                return refuse(&web, &operator, error);
            }
            Said::done(&format!("The message is {}.", done_word(wanted)))
        }
        Err(error) => return refuse(&web, &operator, error),
    };
    one_page(&web, &operator, &id, &[said]).await
}

/// The name of an act in the audit log.
pub const fn audit_word(act: OnMany) -> &'static str {
    match act {
        OnMany::Cancel => "cancel",
        OnMany::Retry => "retry",
        OnMany::Arrived => "doubt_sent",
        OnMany::NotSent => "doubt_not_sent",
    }
}
