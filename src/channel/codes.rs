//! What providers' statuses and error codes come to. Each provider keeps its own tables; what
//! follows from an entry is written once, here.

use chrono::TimeDelta;
use reqwest::StatusCode;
use serde::{Deserialize, Serialize};

use crate::domain::customer::AddressFault;

use super::SendError;
use super::receipt::{Word, said};

/// How far a message has come, whatever its provider calls that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The provider has it.
    Queued,
    /// The network has it.
    Sent,
    Delivered,
    Failed,
}

/// What an error code says, as far as something different follows from it: by [`refusal`] where
/// a request is refused. What was taken and is reported as not delivered goes by the next channel,
/// whichever it is, and [`Class::address`] says what becomes of the number. A code of no class
/// keeps the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Nobody can be reached there: the address is suppressed.
    BadNumber,
    /// Its owner, or the network for them, lets nothing of ours through: kept as a STOP.
    OptedOut,
    /// The network refuses our words or our sender.
    Blocked,
    /// Not now, perhaps later: a refused request is made again.
    Unreachable,
    /// Too much at once: a refused request is made again.
    Rate,
    /// The account may not send there.
    Region,
    /// Our request is wrong.
    Request,
    /// The account is wrong, empty or closed: nobody is served, and a refusal rests the provider.
    Account,
    /// The provider's own trouble, or its full queue, after a definite no: that rests it.
    Provider,
}

impl Class {
    /// What it says about the address.
    #[must_use]
    pub const fn address(self) -> Option<AddressFault> {
        match self {
            Self::BadNumber => Some(AddressFault::Unusable),
            Self::OptedOut => Some(AddressFault::OptedOut),
            _ => None,
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::BadNumber => "no such number",
            Self::OptedOut => "stopped at the carrier",
            Self::Blocked => "blocked by the network",
            Self::Unreachable => "not reachable now",
            Self::Rate => "too much at once",
            Self::Region => "the account may not send there",
            Self::Request => "the request is wrong",
            Self::Account => "the account is refused",
            Self::Provider => "the provider failed",
        }
    }
}

/// The entry of a table. A code that is not in it counts, so that the table can grow.
pub fn look_up<'t, K: PartialEq + ?Sized + 't, V: Copy>(
    provider: &'static str,
    table: &[(&'t K, V)],
    code: &K,
) -> Option<V> {
    let found = table.iter().find(|(known, _)| *known == code).map(|(_, value)| *value);
    if found.is_none() {
        metrics::counter!("tidings_unknown_provider_codes_total", "provider" => provider)
            .increment(1);
    }
    found
}

/// What a callback comes to. An unknown status says nothing; a failure with an unknown code
/// says nothing about the number.
#[must_use]
pub fn word(stage: Option<Stage>, code: &str, class: Option<Class>) -> Word {
    match stage {
        None => Word::Nothing,
        Some(Stage::Queued | Stage::Sent) => Word::Taken,
        Some(Stage::Delivered) => Word::Delivered,
        Some(Stage::Failed) => {
            let (code, said) = (said(code), class.map(Class::words));
            let detail = match (code.as_str(), said) {
                ("", said) => said.unwrap_or_default().to_owned(),
                (code, None) => format!("code {code}"),
                (code, Some(said)) => format!("code {code}: {said}"),
            };
            Word::Undelivered { detail, address: class.and_then(Class::address) }
        }
    }
}

/// What a refused request comes to. A server error says nothing about whether the message was
/// taken (RFC 9110, section 15.6), so it is never a definite no.
#[must_use]
pub fn refusal(
    status: StatusCode,
    class: Option<Class>,
    said: &str,
    retry_after: Option<TimeDelta>,
) -> SendError {
    let reason = format!("{status}: {said}");
    if status.is_server_error() {
        return SendError::Unanswered { reason };
    }
    if status == StatusCode::TOO_MANY_REQUESTS {
        return SendError::ProviderDown { reason, retry_after };
    }
    match class {
        Some(Class::Account | Class::Provider) => SendError::ProviderDown { reason, retry_after },
        Some(Class::Rate | Class::Unreachable) => SendError::Deferred { reason, retry_after },
        Some(class) => SendError::Refused { reason, address: class.address() },
        None if matches!(
            status,
            StatusCode::UNAUTHORIZED | StatusCode::PAYMENT_REQUIRED | StatusCode::FORBIDDEN
        ) =>
        {
            SendError::ProviderDown { reason, retry_after }
        }
        None => SendError::Refused { reason, address: None },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_error_is_a_doubt_and_an_account_that_is_refused_rests_the_provider() {
        let read = |status: u16, class| {
            refusal(StatusCode::from_u16(status).expect("a status"), class, "no", None)
        };
        assert!(matches!(read(500, Some(Class::BadNumber)), SendError::Unanswered { .. }));
        assert!(matches!(read(429, None), SendError::ProviderDown { .. }));
        for status in [401, 402, 403] {
            assert!(matches!(read(status, None), SendError::ProviderDown { .. }), "{status}");
        }
        assert!(matches!(read(400, Some(Class::Account)), SendError::ProviderDown { .. }));
        assert!(matches!(read(400, Some(Class::Rate)), SendError::Deferred { .. }));
        let address = |class| match read(400, class) {
            SendError::Refused { address, .. } => address,
            other => panic!("{other:?}"),
        };
        assert_eq!(address(Some(Class::BadNumber)), Some(AddressFault::Unusable));
        assert_eq!(address(Some(Class::OptedOut)), Some(AddressFault::OptedOut));
        assert_eq!(address(Some(Class::Blocked)), None);
        assert_eq!(address(None), None);
    }

    #[test]
    fn a_failure_names_its_code_and_keeps_the_number_unless_the_code_says_otherwise() {
        let undelivered =
            |detail: &str, address| Word::Undelivered { detail: detail.into(), address };
        let failed = Some(Stage::Failed);
        assert_eq!(word(failed, "7", None), undelivered("code 7", None));
        assert_eq!(
            word(failed, "50", Some(Class::BadNumber)),
            undelivered("code 50: no such number", Some(AddressFault::Unusable))
        );
        assert_eq!(word(failed, "", None), undelivered("", None));
        assert_eq!(word(None, "1", None), Word::Nothing);
        assert_eq!(word(Some(Stage::Sent), "", None), Word::Taken);
    }
}
