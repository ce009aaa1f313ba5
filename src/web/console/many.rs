//! An act on many notifications: first how many and which, then the act itself, which is
//! refused where many more fit than were shown.

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use minijinja::context;
use minijinja::value::Serde;
use serde_json::{Value, json};

use crate::app::console::audit;
use crate::app::console::now::thousands;
use crate::store::listing::{LOOK_TO_ACT, Wanted};
use crate::store::{Result, StoreError};
use crate::web::Web;

use super::filters::Filter;
use super::forms::Form;
use super::notifications::{act, acts, audit_word, done_word, listed, row};
use super::{At, Editor, Operator, Said, refuse, show};

/// By how much more than was shown there may be, in percent.
const MAX_GROWN: usize = 10;

/// `GET /console/notifications/many?do=&status=&…`: how many an act would be about.
pub async fn ask(
    State(web): State<Web>,
    operator: Operator,
    RawQuery(query): RawQuery,
) -> Response {
    asked(&web, &operator, &Form::query(query), &[]).await
}

/// What is asked for, where the act can be done on it.
fn wanted(web: &Web, form: &Form) -> Option<(Filter, Wanted)> {
    let filter = Filter::read(form);
    if !acts(&filter.status).contains(&form.field("do")) {
        return None;
    }
    let wanted = filter.wanted(&web.app.console.zone).ok()?;
    Some((filter, wanted))
}

async fn asked(web: &Web, operator: &Operator, form: &Form, said: &[Said]) -> Response {
    match asking(web, operator, form, said).await {
        Ok(page) => page,
        Err(error) => refuse(web, operator, error),
    }
}

async fn asking(web: &Web, operator: &Operator, form: &Form, said: &[Said]) -> Result<Response> {
    let Some((filter, wanted)) = wanted(web, form) else {
        return Ok(listed(web, operator, &Filter::read(form), "", vec![Said::unknown()]).await);
    };
    let found = web.app.engine.store.size(&wanted).await?;
    let sample: Vec<Value> = found.sample.iter().map(row).collect();
    let values = context! {
        act => form.field("do"), count => found.count,
        counted => thousands(i64::try_from(found.count).unwrap_or(i64::MAX)),
        more => found.more, look => thousands(i64::try_from(LOOK_TO_ACT).unwrap_or(0)),
        sample => Serde(sample), pairs => filter.pairs().map(|(name, value)| (name, value.to_owned())).to_vec(), back => filter.query(&[]),
    };
    Ok(show(web, operator, "notifications", "Many at once", "many.html", values, said))
}

/// `POST /console/notifications/many`: does it, to as many as were shown.
pub async fn confirm(State(web): State<Web>, At(operator): Editor, body: Bytes) -> Response {
    let form = Form::read(&body);
    match confirmed(&web, &operator, &form).await {
        Ok(page) => page,
        Err(error) => refuse(&web, &operator, error),
    }
}

async fn confirmed(web: &Web, operator: &Operator, form: &Form) -> Result<Response> {
    let shown: Option<usize> = form.field("count").parse().ok();
    let (Some(what), Some(shown)) = (act(form.field("do")), shown) else {
        return Ok(asked(web, operator, form, &[Said::unknown()]).await);
    };
    let Some(why) = form.given("why") else {
        let said = [Said::fault("Say why: it is kept in the audit log.")];
        return Ok(asked(web, operator, form, &said).await);
    };
    let Some((filter, wanted)) = wanted(web, form) else {
        return Ok(asked(web, operator, form, &[Said::unknown()]).await);
    };
    let found = web.app.engine.store.find(&wanted).await?;
    if found.ids.len() * 100 > shown * (100 + MAX_GROWN) {
        let said = format!(
            "Nothing was done: {} fit now, and you saw {}. Look again.",
            found.ids.len(),
            shown
        );
        return Ok(asked(web, operator, form, &[Said::fault(&said)]).await);
    }
    let engine = &web.app.engine;
    let done = engine.act_on_many(&found.ids, what, &operator.name).await;
    // Pages before a fault are done: what was tried is noted either way.
    let filter_said: serde_json::Map<String, Value> = filter
        .pairs()
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    let detail = json!({
        "filter": filter_said, "shown": shown, "found": found.ids.len(),
        "done": done.as_ref().ok(), "reason": why,
    });
    audit::note(&web.app, operator, audit_word(what), "", detail).await?;
    let done = done.map_err(|error| match error {
        StoreError::Unavailable { detail } => StoreError::Unavailable {
            detail: format!("{detail}; some may be done, the list shows which are not"),
        },
        other => other,
    })?;
    let count = |n: usize| thousands(i64::try_from(n).unwrap_or(i64::MAX));
    let mut said = vec![Said::done(&format!("{} {}.", count(done), done_word(what)))];
    if done < found.ids.len() {
        let gone = count(found.ids.len() - done);
        said.push(Said::fault(&format!("{gone} did not stand any more as they did: left alone.")));
    }
    Ok(listed(web, operator, &filter, "", said).await)
}
