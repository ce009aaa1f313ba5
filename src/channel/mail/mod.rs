//! E-mail by SMTP: builds the mail and hands it to the pool, each recipient domain at its pace.

mod dkim;
mod domains;
pub mod inbound;
mod mime;
pub mod reply;
mod smtp;

use futures::FutureExt;
use futures::future::BoxFuture;

use crate::domain::customer::Address;
use crate::domain::time::Instant;

use super::{Gate, HandOverWindow, Outgoing, SendError, Taken, Wire};

pub use dkim::Signer;
pub use domains::{DomainLimit, DomainLimits, Domains};
pub use mime::MailIdentity;
pub use smtp::{SmtpPool, SmtpServer};

#[derive(Debug)]
pub struct EmailSender {
    pub identity: MailIdentity,
    pub pool: SmtpPool,
    pub domains: Domains,
}

impl Wire for EmailSender {
    fn name(&self) -> &'static str {
        "smtp"
    }

    fn gate(&self, to: &Address, now: Instant) -> Gate {
        self.domains.gate(&domain(to), now)
    }

    fn send<'a>(
        &'a self,
        outgoing: &'a Outgoing,
        window: HandOverWindow,
    ) -> BoxFuture<'a, Result<Taken, SendError>> {
        async move {
            let (envelope, mail) = self.identity.build(outgoing)?;
            let domain = domain(&outgoing.to);
            let Some(_place) = self.domains.place(&domain, window.left(), outgoing.at).await else {
                let reason = format!("all connections that {domain} may have are busy");
                return Err(SendError::NotStarted { reason });
            };
            let sent = self.pool.send(&envelope, &mail, window).await;
            let (said, sent) = match sent {
                Ok(taken) => (None, Ok(taken)),
                Err(failed) => (failed.said, Err(failed.error)),
            };
            // Without a word of the server nothing is learned of the domain.
            if sent.is_ok() || said.is_some() {
                self.domains.note(&domain, said, outgoing.at);
            }
            sent
        }
        .boxed()
    }

    fn tells_of_delivery(&self) -> bool {
        false
    }

    fn probe(&self) -> BoxFuture<'_, Result<String, String>> {
        self.pool.probe().boxed()
    }
}

/// The domain of an address, in lower case.
fn domain(address: &Address) -> String {
    let address = address.expose();
    address.rsplit_once('@').map_or(address, |(_, domain)| domain).to_lowercase()
}
