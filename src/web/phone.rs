//! Calls while they last: providers ask what is said next and tell which key was pressed. The
//! address is ours, signed, and says where the call stands; the request is signed by them.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::app::phone;
use crate::channel::twilio::{receipt, twiml};
use crate::channel::vonage_voice::{NAME, ncco};
use crate::domain::call::{Heard, PickedUp, Said, Stage};
use crate::domain::token::Grant;
use crate::domain::{CustomerId, NotificationId};

use super::Web;
use super::answers::xml;
use super::error::{Problem, Result};
use super::receipts::twilio::verified;
use super::receipts::vonage_voice::{self, vonage_from};
use super::receipts::{field, pairs};

/// Which call a request is about, and where it stands.
struct Asked {
    of: Of,
    stage: Stage,
}

enum Of {
    Attempt((NotificationId, i64)),
    Promised((CustomerId, i64)),
}

/// `?a=<token>`.
fn asked(web: &Web, query: &str) -> Result<Asked> {
    let token = field(&pairs(query.as_bytes()), "a").unwrap_or_default();
    match web.app.engine.keys.read(&token, web.app.engine.clock.now()) {
        Some(Grant::Call { notification, no, stage, .. }) => {
            Ok(Asked { of: Of::Attempt((notification, no)), stage })
        }
        Some(Grant::Promised { customer, seq, stage, .. }) => {
            Ok(Asked { of: Of::Promised((customer, seq)), stage })
        }
        _ => Err(Problem::not_found("the call")),
    }
}

impl Asked {
    async fn turn(self, web: &Web, provider: &str, heard: Heard) -> Result<Said> {
        let app = &web.app;
        Ok(match self.of {
            Of::Attempt(of) => phone::turn(app, provider, of, self.stage, heard).await?,
            Of::Promised(of) => phone::promised::turn(app, provider, of, self.stage, heard).await?,
        })
    }
}

/// `POST /v1/inbound/twilio/call?a=<call>`: somebody picked up, pressed a key or said nothing,
/// or the other party's call is over (Twilio, "TwiML: Gather", "TwiML: Dial").
pub async fn twilio(
    State(web): State<Web>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response> {
    let query = query.unwrap_or_default();
    let path = format!("/v1/inbound/twilio/call?{query}");
    let fields = verified(&web, &path, &headers, &body)?;
    let asked = asked(&web, &query)?;
    let heard = heard_by_twilio(asked.stage, |name| field(&fields, name));
    let said = asked.turn(&web, "twilio", heard).await?;
    Ok(xml(&twiml::turn(&said)))
}

/// `POST /v1/inbound/vonage_voice/call?a=<call>`: the same of Vonage, which asks with GET what
/// the other party hears (Vonage, "NCCO reference").
pub async fn vonage(
    State(web): State<Web>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response> {
    let told = vonage_voice::verified(&web, &headers, &body)?;
    let asked = asked(&web, &query.unwrap_or_default())?;
    let Some(heard) = told.heard(asked.stage) else {
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    let said = asked.turn(&web, NAME, heard).await?;
    Ok(Json(ncco::turn(&said, vonage_from(&web))).into_response())
}

/// What a request of Twilio says was heard.
fn heard_by_twilio(stage: Stage, field: impl Fn(&str) -> Option<String>) -> Heard {
    match stage {
        Stage::Answered => picked_up(receipt::picked_up(&field)),
        Stage::Desk => Heard::Person,
        Stage::Transfer => match field("DialCallStatus").as_deref() {
            Some("completed" | "answered") => Heard::Talked,
            _ => Heard::NobodyCame,
        },
        Stage::Greeting { .. } | Stage::Message { .. } | Stage::Offer { .. } => {
            let key = field("Digits").and_then(|digits| digits.chars().next());
            key.map_or(Heard::Silence, Heard::Key)
        }
    }
}

/// Who picked up, for the machine: nobody knows is a person.
pub fn picked_up(by: Option<PickedUp>) -> Heard {
    match by {
        Some(PickedUp::Machine) => Heard::Machine,
        Some(PickedUp::Fax) => Heard::Fax,
        Some(PickedUp::Person) | None => Heard::Person,
    }
}
