//! Kannel: text messages through a gateway of one's own (Kannel 1.4 User's Guide, "Using the
//! SMS gateway").
//!
//! It answers 202 without an id, and turns what its coding cannot hold into question marks: the
//! coding is computed before, and our signed tag in `dlr-url` is the only id there is.

pub mod receipt;

use futures::FutureExt;
use futures::future::BoxFuture;
use reqwest::StatusCode;
use reqwest::header::CONTENT_TYPE;

use crate::domain::Secret;
use crate::domain::message::Encoding;

use super::account::{Account, Senders};
use super::codes::{Class, refusal};
use super::http::{self, Answer};
use super::{HandOverWindow, Outgoing, SendError, Taken, Wire};

pub const NAME: &str = "kannel";
const BASE_URL: &str = "http://127.0.0.1:13013";

/// Reports of everything: delivered, failed, buffered, accepted and refused by the network.
const DLR_MASK: &str = "31";

#[derive(Debug)]
pub struct Kannel {
    client: reqwest::Client,
    base_url: String,
    username: String,
    password: Secret,
    senders: Senders,
}

impl Kannel {
    /// # Errors
    /// A sentence, when the password is missing or no HTTP client can be made.
    pub fn new(account: Account) -> Result<Self, String> {
        Ok(Self {
            client: http::client(account.connections).map_err(|error| error.to_string())?,
            password: account.token()?,
            base_url: account.base_url.unwrap_or_else(|| BASE_URL.into()),
            username: account.name,
            senders: account.senders,
        })
    }

    async fn post(&self, outgoing: &Outgoing, window: HandOverWindow) -> Result<Taken, SendError> {
        let sms = outgoing.text()?;
        // 0 is 7 bits, 2 is UCS-2 ("SMS Push CGI variables", coding).
        let coding = match sms.counted.encoding {
            Encoding::Gsm7 => "0",
            Encoding::Ucs2 => "2",
        };
        let request = self
            .client
            .post(format!("{}/cgi-bin/sendsms", self.base_url))
            .header("X-Kannel-Username", &self.username)
            .header("X-Kannel-Password", self.password.expose())
            .header("X-Kannel-From", self.senders.of(&outgoing.to))
            .header("X-Kannel-To", outgoing.to.expose())
            .header("X-Kannel-Coding", coding)
            .header(CONTENT_TYPE, "text/plain; charset=UTF-8");
        let request = match outgoing.receipt() {
            Some(url) => request
                .header("X-Kannel-DLR-Mask", DLR_MASK)
                .header("X-Kannel-DLR-Url", dlr_url(url)),
            None => request,
        };
        let body = sms.text.clone().into_bytes();
        let Answer { status, retry_after, body } = http::hand_over(request, body, window).await?;
        let said = String::from_utf8_lossy(&body).trim().to_owned();
        if status.is_success() {
            return Ok(Taken { provider_ref: None, detail: said });
        }
        Err(refused(status, &said, retry_after))
    }
}

/// Where the report comes, with what Kannel is to fill in: its type, and what the network said.
fn dlr_url(receipt_url: &str) -> String {
    let joint = if receipt_url.contains('?') { '&' } else { '?' };
    format!("{receipt_url}{joint}d=%d&said=%A")
}

/// 403 is a wrong login; 503 means that nothing was queued ("temporal failure").
fn refused(status: StatusCode, said: &str, retry_after: Option<chrono::TimeDelta>) -> SendError {
    match status {
        StatusCode::SERVICE_UNAVAILABLE => {
            SendError::ProviderDown { reason: format!("{status}: {said}"), retry_after }
        }
        StatusCode::FORBIDDEN => refusal(status, Some(Class::Account), said, retry_after),
        _ => refusal(status, None, said, retry_after),
    }
}

impl Wire for Kannel {
    fn name(&self) -> &'static str {
        NAME
    }

    fn send<'a>(
        &'a self,
        outgoing: &'a Outgoing,
        window: HandOverWindow,
    ) -> BoxFuture<'a, Result<Taken, SendError>> {
        self.post(outgoing, window).boxed()
    }

    fn probe(&self) -> BoxFuture<'_, Result<String, String>> {
        http::reaches(&self.client, &self.base_url).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_the_report_leaves_places_for_what_kannel_knows() {
        assert_eq!(
            dlr_url("https://tidings.example.com/v1/receipts/kannel?a=v1.x"),
            "https://tidings.example.com/v1/receipts/kannel?a=v1.x&d=%d&said=%A"
        );
    }

    #[test]
    fn nothing_was_queued_after_a_temporal_failure() {
        let read =
            |status: u16| refused(StatusCode::from_u16(status).expect("a status"), "no", None);
        assert!(matches!(read(503), SendError::ProviderDown { .. }));
        assert!(matches!(read(403), SendError::ProviderDown { .. }));
        assert!(matches!(read(400), SendError::Refused { .. }));
        assert!(matches!(read(500), SendError::Unanswered { .. }));
    }
}
