//! Callbacks of the provider that the settings describe.

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};

use crate::channel::http_door::NAME;
use crate::channel::http_door::receipt::{self, Callback};
use crate::channel::receipt::Word;
use crate::config::{Telephone, TelephoneProvider};
use crate::domain::http_door::{HttpDoor, Receipts, Verify};
use crate::web::error::{Problem, Result};
use crate::web::{Web, inbound};

use super::{attempt, header, pairs, take, telephones, told_by};

/// `POST /v1/receipts/http?a=<attempt>` (or GET): the report of an attempt.
pub async fn receive(
    State(web): State<Web>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode> {
    let query = query.unwrap_or_default();
    let of = attempt(&web, &query);
    let doors = proven(&web, &headers, &body)?;
    told_by(NAME, of.is_ok() && !doors.is_empty())?;
    let mut words =
        doors.iter().map(|(.., said)| receipt::read(&callback(said, &query, &body), said));
    let word = words.find(|word| *word != Word::Nothing).unwrap_or(Word::Nothing);
    take(&web, of?, NAME, String::new(), word).await
}

/// `POST /v1/inbound/http`: a text somebody sent to our number.
pub async fn text(
    State(web): State<Web>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode> {
    let query = query.unwrap_or_default();
    let doors = proven(&web, &headers, &body)?;
    let signed: Vec<_> =
        doors.iter().filter(|(.., receipts)| receipts.check.scheme().is_some()).collect();
    told_by(NAME, !signed.is_empty())?;
    let mut places =
        signed.iter().filter_map(|(_, door, said)| Some((door.inbound.as_ref()?, said)));
    let said =
        places.find_map(|(places, said)| receipt::inbound(&callback(said, &query, &body), places));
    inbound::answered_by_wire(&web, NAME, said).await
}

/// A provider, its door, and how its callbacks are read.
type Described<'w> = (&'w Telephone, &'w HttpDoor, &'w Receipts);

/// Those whose callback this may be. Where the callbacks of any are signed our own tag alone
/// proves nothing.
fn proven<'w>(web: &'w Web, headers: &HeaderMap, body: &[u8]) -> Result<Vec<Described<'w>>> {
    let all: Vec<Described<'w>> = telephones(web, TelephoneProvider::Http)
        .filter_map(|telephone| {
            let door = telephone.http.as_ref()?;
            Some((telephone, door, door.receipts.as_ref()?))
        })
        .collect();
    if all.is_empty() {
        return Err(Problem::not_found("the door"));
    }
    let bare = all.iter().all(|(.., receipts)| receipts.check.scheme().is_none());
    let may_be = |(telephone, _, receipts): &Described<'w>| {
        (bare || receipts.check.scheme().is_some())
            && signed(web, telephone, receipts, headers, body)
    };
    Ok(all.into_iter().filter(may_be).collect())
}

fn signed(
    web: &Web,
    telephone: &Telephone,
    receipts: &Receipts,
    headers: &HeaderMap,
    body: &[u8],
) -> bool {
    let Some(scheme) = receipts.check.scheme() else { return true };
    let Some(secret) = &telephone.callback_secret else { return false };
    let now = web.app.engine.clock.now();
    scheme.verify(secret, |name| header(headers, name), body, now).is_ok()
}

fn callback(receipts: &Receipts, query: &str, body: &[u8]) -> Callback {
    let json = serde_json::from_slice(body).ok();
    let mut fields = if json.is_some() { Vec::new() } else { pairs(body) };
    // A signature is over the body: the query is anybody's.
    if receipts.check.verify != Verify::Hmac {
        fields.extend(pairs(query.as_bytes()));
    }
    Callback { body: json.unwrap_or_default(), fields }
}
