//! E-mail by SMTP: builds the mail and hands it to the pool.

use futures::FutureExt;
use futures::future::BoxFuture;

use super::{HandOverWindow, MailIdentity, Outgoing, SendError, SmtpPool, Taken, Wire};

#[derive(Debug)]
pub struct EmailSender {
    pub identity: MailIdentity,
    pub pool: SmtpPool,
}

impl Wire for EmailSender {
    fn name(&self) -> &'static str {
        "smtp"
    }

    fn send<'a>(
        &'a self,
        outgoing: &'a Outgoing,
        window: HandOverWindow,
    ) -> BoxFuture<'a, Result<Taken, SendError>> {
        async move {
            let (envelope, mail) = self.identity.build(outgoing)?;
            self.pool.send(&envelope, &mail, window).await
        }
        .boxed()
    }

    fn probe(&self) -> BoxFuture<'_, Result<String, String>> {
        self.pool.probe().boxed()
    }
}
