//! The outbox: messages become files, nothing leaves. For trying out, for tests and demos.

use std::io::Write;
use std::path::{Path, PathBuf};

use futures::FutureExt;
use futures::future::BoxFuture;

use crate::domain::message::Shaped;

use super::{HandOverWindow, MailIdentity, Outgoing, SendError, Taken, Wire};

#[derive(Debug)]
pub struct Outbox {
    pub dir: PathBuf,
    pub identity: MailIdentity,
}

impl Wire for Outbox {
    fn name(&self) -> &'static str {
        "outbox"
    }

    fn send<'a>(
        &'a self,
        outgoing: &'a Outgoing,
        window: HandOverWindow,
    ) -> BoxFuture<'a, Result<Taken, SendError>> {
        std::future::ready(self.keep(outgoing, window)).boxed()
    }

    fn tells_of_delivery(&self) -> bool {
        false
    }

    fn probe(&self) -> BoxFuture<'_, Result<String, String>> {
        let made = std::fs::create_dir_all(&self.dir)
            .map(|()| format!("messages become files in {}; nothing leaves", self.dir.display()))
            .map_err(|error| format!("{}: {error}", self.dir.display()));
        std::future::ready(made).boxed()
    }
}

impl Outbox {
    fn keep(&self, outgoing: &Outgoing, window: HandOverWindow) -> Result<Taken, SendError> {
        if window.is_past() {
            let reason = "the hand-over window was past".into();
            return Err(SendError::NotStarted { reason });
        }
        let (kind, bytes) = match &outgoing.shaped {
            Shaped::Email(_) => ("email.eml", self.identity.build(outgoing)?.1),
            Shaped::Sms(sms) => ("sms.txt", addressed(outgoing, &sms.text)),
            Shaped::Voice(script) => ("voice.txt", addressed(outgoing, &script.words())),
        };
        let when = outgoing.at.format("%Y%m%dT%H%M%S%3fZ");
        let file = format!("{when}-{}-{}-{kind}", outgoing.notification, outgoing.no);
        let detail = file.clone();
        write_whole(&self.dir, &file, &bytes).map_err(|error| SendError::ProviderDown {
            reason: format!("{}: {error}", self.dir.join(&file).display()),
            retry_after: None,
        })?;
        Ok(Taken { provider_ref: None, detail })
    }
}

fn addressed(outgoing: &Outgoing, text: &str) -> Vec<u8> {
    format!("To: {}\nCase: {}\n\n{text}\n", outgoing.to.expose(), outgoing.case).into_bytes()
}

/// A file is there whole or not at all.
fn write_whole(dir: &Path, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    std::fs::create_dir_all(dir)?;
    let partial = dir.join(format!(".{name}.part"));
    std::fs::File::create(&partial)?.write_all(bytes)?;
    std::fs::rename(partial, dir.join(name))
}
