//! Vonage's events of calls.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};

use crate::app::phone;
use crate::channel::vonage::receipt::verify;
use crate::channel::vonage_voice::callback::Told;
use crate::channel::vonage_voice::{NAME, ncco};
use crate::config::TelephoneProvider;
use crate::domain::call::{PickedUp, Progress, Stage};
use crate::store::StoreError;
use crate::web::Web;
use crate::web::error::Result;
use crate::web::phone::picked_up;

use super::{attempt, header, take, telephones, told_by};

/// `POST /v1/receipts/vonage_voice?a=<attempt>`: states of calls. Where it says who picked up,
/// the answer is what that one hears from now on (Vonage, "Advanced Machine Detection").
pub async fn receive(
    State(web): State<Web>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response> {
    let told = verified(&web, &headers, &body)?;
    let of = attempt(&web, &query.unwrap_or_default())?;
    let kept = take(&web, of, NAME, told.uuid.clone(), told.word()).await?;
    let Some(by) = told.picked_up() else { return Ok(kept.into_response()) };
    let progress = match web.app.engine.store.phone_call(&of.0, of.1).await {
        Ok(call) => call.progress,
        Err(StoreError::NotFound { .. }) => return Ok(kept.into_response()),
        Err(error) => return Err(error.into()),
    };
    // Told twice, or late: what is said goes on.
    let news = match by {
        PickedUp::Machine | PickedUp::Fax => progress < Progress::Machine,
        PickedUp::Person => progress < Progress::Greeted,
    };
    if !news {
        return Ok(kept.into_response());
    }
    let heard = picked_up(Some(by));
    let said = phone::turn(&web.app, NAME, of, Stage::Answered, heard).await?;
    Ok(Json(ncco::turn(&said, vonage_from(&web))).into_response())
}

/// The number that calls by Vonage come from.
pub fn vonage_from(web: &Web) -> &str {
    let mut voices = web.app.settings.channels.voice.each().iter();
    let by_vonage = voices.find(|voice| voice.provider == TelephoneProvider::Vonage);
    by_vonage.map_or("", |voice| voice.from.as_str())
}

/// What Vonage tells, once its signature is found to be right.
///
/// # Errors
/// 401 when it is not.
pub fn verified(web: &Web, headers: &HeaderMap, body: &[u8]) -> Result<Told> {
    let authorization = header(headers, "authorization");
    let now = web.app.engine.clock.now();
    let fits = telephones(web, TelephoneProvider::Vonage)
        .filter_map(|telephone| telephone.callback_secret.as_ref())
        .any(|secret| verify(secret.expose(), authorization, body, now));
    told_by(NAME, fits)?;
    Ok(serde_json::from_slice(body).unwrap_or_default())
}
