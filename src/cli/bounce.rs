//! `tidings bounce`: mail that came back, from the pipe of a mail server.

use std::io::Read;
use std::path::PathBuf;

use clap::Args;

use crate::app::inbound;
use crate::clock::Clock;

use super::{BadInput, Context, ExitCode, Outcome, print};

/// The most that is read of a mail, in bytes.
const MAX_MAIL: u64 = 5 * 1024 * 1024;

/// Take in mail that came back: a bounce, a complaint, a reply. Exits 75 when it could not be
/// kept, so that a mail server tries again
#[derive(Debug, Args)]
pub struct Bounce {
    /// The mail; - for standard input
    #[arg(default_value = "-")]
    file: PathBuf,
    /// The address it was delivered to: in a Postfix pipe `${original_recipient}`
    #[arg(long, value_name = "ADDRESS")]
    to: Option<String>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

impl Bounce {
    pub async fn run(self, context: &Context) -> Outcome {
        let mail = self.read()?;
        // Whatever is wrong here is mended sooner or later; a mail server that is told so keeps
        // the mail until then.
        let taken = match self.take(context, &mail).await {
            Ok(taken) => taken,
            Err(error) => {
                eprintln!("tidings: the mail was not kept: {error:#}");
                return Ok(ExitCode::TryAgain);
            }
        };
        if self.json {
            print::json(&taken)?;
        } else {
            println!("{}: {}", taken.result.as_str(), taken.detail);
        }
        Ok(ExitCode::Done)
    }

    async fn take(&self, context: &Context, mail: &[u8]) -> anyhow::Result<inbound::Taken> {
        let settings = context.settings()?;
        let store = context.store(&settings).await?;
        let (clock, now) = (Clock::System, Clock::System.now());
        let app = context.app(settings, clock, store).await?;
        Ok(inbound::take(&app, mail, self.to.as_deref(), now).await?)
    }

    fn read(&self) -> Result<Vec<u8>, BadInput> {
        let mut mail = Vec::new();
        let read = if self.file.as_os_str() == "-" {
            std::io::stdin().lock().take(MAX_MAIL).read_to_end(&mut mail)
        } else {
            std::fs::File::open(&self.file)
                .and_then(|file| file.take(MAX_MAIL).read_to_end(&mut mail))
        };
        match read {
            Ok(_) => Ok(mail),
            Err(error) => Err(BadInput(format!("{}: {error}", self.file.display()))),
        }
    }
}
