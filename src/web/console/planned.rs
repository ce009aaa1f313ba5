//! `GET /console/planned`: a week ahead.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use minijinja::context;
use minijinja::value::Serde;

use crate::app::console::planned::planned;
use crate::web::Web;

use super::forms::Form;
use super::{Operator, refuse, show};

/// `GET /console/planned?message=<case type>/<notice>`
pub async fn page(
    State(web): State<Web>,
    operator: Operator,
    RawQuery(query): RawQuery,
) -> Response {
    let message = Form::query(query).given("message");
    match planned(&web.app, message.as_deref(), web.app.engine.clock.now()).await {
        Ok(planned) => {
            let values = context! { message, ..minijinja::Value::from(Serde(planned)) };
            show(&web, &operator, "planned", "Planned", "planned.html", values, &[])
        }
        Err(error) => refuse(&web, &operator, error),
    }
}
