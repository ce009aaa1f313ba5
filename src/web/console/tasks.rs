//! Tasks for people: the list, and one that is done.

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use minijinja::context;
use minijinja::value::Serde;
use serde_json::{Value, json};

use crate::app::centre::promised_calls::{self, Outcome};
use crate::app::console::audit;
use crate::app::console::veil::veil;
use crate::domain::plan::TaskKind;
use crate::domain::time::from_ms;
use crate::store::StoreError;
use crate::web::Web;

use super::forms::Form;
use super::{At, Editor, Operator, Said, refuse, show};

/// Tasks on a page.
const PAGE: usize = 50;

/// `GET /console/tasks?after=<number>`
pub async fn page(
    State(web): State<Web>,
    operator: Operator,
    RawQuery(query): RawQuery,
) -> Response {
    let after = Form::query(query).field("after").parse().unwrap_or(0);
    listed(&web, &operator, after, &[]).await
}

async fn listed(web: &Web, operator: &Operator, after: i64, said: &[Said]) -> Response {
    let limit = i64::try_from(PAGE + 1).expect("few");
    let mut tasks = match web.app.engine.store.open_tasks(after, limit).await {
        Ok(tasks) => tasks,
        Err(error) => return refuse(web, operator, error),
    };
    let more = tasks.len() > PAGE;
    tasks.truncate(PAGE);
    let next = tasks.last().filter(|_| more).map(|task| task.seq);
    let tasks: Vec<Value> = tasks
        .into_iter()
        .map(|task| {
            json!({
                "seq": task.seq, "kind": task.kind.replace('_', " "), "detail": veil(&task.detail),
                "notification": task.notification_id, "case": task.case_id,
                "customer": task.customer_id, "opened_at": from_ms(task.opened_at_ms).to_rfc3339(),
                "is_call": task.kind == TaskKind::CallBack.as_str(),
            })
        })
        .collect();
    let values = context! { tasks => Serde(tasks), next, after };
    show(web, operator, "tasks", "Tasks", "tasks.html", values, said)
}

/// `POST /console/tasks`: one is done, or a promised call reached nobody.
pub async fn done(State(web): State<Web>, At(operator): Editor, body: Bytes) -> Response {
    let form = Form::read(&body);
    let after = form.field("after").parse().unwrap_or(0);
    let now = web.app.engine.clock.now();
    let outcome = match form.field("do") {
        "done" => Outcome::Reached,
        "not_reached" => Outcome::NotReached,
        _ => return listed(&web, &operator, after, &[Said::unknown()]).await,
    };
    let Ok(seq) = form.field("task").parse::<i64>() else {
        return listed(&web, &operator, after, &[Said::unknown()]).await;
    };
    let finished = promised_calls::finish(&web.app, seq, &operator.name, outcome, now).await;
    let said = match finished {
        Ok(next) => {
            let detail = json!({ "outcome": form.field("do") });
            let subject = seq.to_string();
            let noted = audit::note(&web.app, &operator, "task_done", &subject, detail).await;
            if let Err(error) = noted {
                return refuse(&web, &operator, error);
            }
            match (outcome, next) {
                (Outcome::NotReached, Some(_)) => Said::done(&format!(
                    "Task {seq}: nobody was reached; the call is tried once more."
                )),
                _ => Said::done(&format!("Task {seq} is done.")),
            }
        }
        Err(StoreError::NotFound { .. }) => {
            Said::fault(&format!("Task {seq} is not open any more: somebody was quicker."))
        }
        Err(StoreError::Refused(why)) => Said::fault(&why),
        Err(error) => return refuse(&web, &operator, error),
    };
    listed(&web, &operator, after, &[said]).await
}
