//! E-mail by SMTP: builds the mail and hands it to the pool.

use super::{HandOverWindow, MailIdentity, Outgoing, SendError, SmtpPool, Taken};

#[derive(Debug)]
pub struct EmailSender {
    pub identity: MailIdentity,
    pub pool: SmtpPool,
}

impl EmailSender {
    pub(super) async fn send(
        &self,
        outgoing: &Outgoing,
        window: HandOverWindow,
    ) -> Result<Taken, SendError> {
        let (envelope, mail) = self.identity.build(outgoing)?;
        self.pool.send(&envelope, &mail, window).await
    }

    pub(super) async fn probe(&self) -> Result<String, String> {
        self.pool.probe().await
    }
}
