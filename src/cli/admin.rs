//! `tidings doctor` and `key new`.

use clap::{Args, Subcommand};
use serde_json::json;

use crate::app::doctor;
use crate::app::send_test::{Target, Tested, send_test};
use crate::config::Settings;
use crate::web::auth::new_key;

use super::{BadInput, Context, ExitCode, Outcome, print};

/// Say what is wrong with this installation, and how to mend it
#[derive(Debug, Args)]
pub struct Doctor {
    /// Send a message that says it is a test, by every provider of its channel: ADDRESS is
    /// ada@example.com, +447700900123 (a text) or voice:+447700900123
    #[arg(long, value_name = "ADDRESS")]
    send_test: Vec<Target>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

impl Doctor {
    pub async fn run(self, context: &Context) -> Outcome {
        let settings = match Settings::load(context.config.as_deref(), std::env::vars()) {
            Ok(settings) => settings,
            Err(finding) => return Err(BadInput(print::finding(&finding)).into()),
        };
        if !self.send_test.is_empty() {
            return tested(&send_test(&settings, &self.send_test).await?, self.json);
        }
        let checks = doctor::examine(&settings).await;
        let failed = checks.iter().filter(|check| check.state == doctor::State::Bad).count();
        if self.json {
            print::json(&json!({ "failed": failed, "checks": checks }))?;
        } else {
            let rows = checks.iter().map(|check| {
                vec![
                    check.state.sign().to_owned(),
                    check.what.to_owned(),
                    check.found.clone(),
                    check.mend.clone(),
                ]
            });
            println!("{}", print::table(&["", "what", "found", "how to mend it"], rows));
        }
        Ok(if failed > 0 { ExitCode::Failed } else { ExitCode::Done })
    }
}

fn tested(tested: &[Tested], json: bool) -> Outcome {
    let failed = tested.iter().filter(|test| !test.taken).count();
    if json {
        print::json(&json!({ "failed": failed, "tests": tested }))?;
    } else if tested.is_empty() {
        println!("no provider is configured for this channel");
    } else {
        let rows = tested.iter().map(|test| {
            vec![
                if test.taken { "ok" } else { "BAD" }.to_owned(),
                test.channel.to_string(),
                test.provider.clone(),
                format!("{} ms", test.took_ms),
                test.answer.clone(),
            ]
        });
        println!("{}", print::table(&["", "channel", "provider", "took", "answer"], rows));
    }
    Ok(if failed > 0 || tested.is_empty() { ExitCode::Failed } else { ExitCode::Done })
}

#[derive(Debug, Subcommand)]
pub enum Key {
    /// Make an API key; the settings keep only its hash
    New {
        /// Who will use it: letters, digits and -
        #[arg(default_value = "desk")]
        name: String,
        /// What it may do: ingest, read, manage
        #[arg(long, value_delimiter = ',', default_value = "ingest")]
        scopes: Vec<String>,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
}

impl Key {
    pub fn run(self) -> Outcome {
        let Self::New { name, scopes, json } = self;
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return Err(BadInput("a key's name is made of letters, digits and -".into()).into());
        }
        for scope in &scopes {
            if !["ingest", "read", "manage"].contains(&scope.as_str()) {
                return Err(
                    BadInput(format!("{scope:?} is no scope; use ingest, read or manage")).into()
                );
            }
        }
        let (key, hash) = new_key(&name);
        if json {
            print::json(&json!({ "key": key, "name": name, "hash": hash, "scopes": scopes }))?;
        } else {
            println!("The key, shown only now:\n  {key}\n\nFor the settings, under [auth]:");
            println!(
                "  api_keys = [{{ name = \"{name}\", hash = \"{hash}\", scopes = {scopes:?} }}]"
            );
        }
        Ok(ExitCode::Done)
    }
}
