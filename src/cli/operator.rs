//! `tidings operator new`: an entry of the settings for somebody who uses the console.

use std::io::{BufRead, IsTerminal};

use clap::Subcommand;
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use serde_json::json;

use crate::app::console::{fresh_salt, fresh_secret};
use crate::config::{Settings, operator_name};
use crate::domain::password::{MAX_PASSWORD_BYTES, MIN_PASSWORD_CHARS};
use crate::domain::{OneTimeSecret, PasswordHash, Role};

use super::{BadInput, Context, ExitCode, Outcome, print};

#[derive(Debug, Subcommand)]
pub enum Operator {
    /// Make an entry for the settings: the hash of a password, and a secret for one-time codes
    New {
        /// What they sign in as: letters, digits and . _ - @ +
        name: String,
        /// What they may do: viewer, editor, publisher or admin
        #[arg(long)]
        role: Role,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
}

impl Operator {
    /// The password is asked for on the terminal, or is the first line of standard input.
    pub fn run(self, context: &Context) -> Outcome {
        let Self::New { name, role, json } = self;
        operator_name(&name).map_err(|why| BadInput(format!("the name {why}")))?;
        let settings = context.settings_if_any()?;
        let taken = |settings: &Settings| {
            let names = settings.console.operators.iter().map(|it| it.name.to_lowercase());
            names.into_iter().any(|taken| taken == name.to_lowercase())
        };
        if settings.as_ref().is_some_and(taken) && !json {
            eprintln!(
                "{name} is in the settings already; this entry is to take the place of that one."
            );
        }
        let password = password()?;
        let hash = PasswordHash::of(&password, fresh_salt());
        let secret = OneTimeSecret::new(fresh_secret());
        let issuer = settings.map_or_else(|| "Tidings".into(), |it| it.sender.name);
        let uri = secret.uri(&issuer, &name);
        let totp = secret.base32();
        if json {
            print::json(&json!({
                "name": name, "role": role, "hash": hash.as_str(), "totp": totp, "uri": uri,
            }))?;
            return Ok(ExitCode::Done);
        }
        println!("For the authenticator app of {name}, shown only now:\n  {uri}\n");
        if std::io::stdout().is_terminal()
            && let Ok(code) = QrCode::new(&uri)
        {
            // Light on dark: most terminals are dark.
            let mut picture = code.render::<Dense1x2>();
            let picture = picture.dark_color(Dense1x2::Light).light_color(Dense1x2::Dark);
            println!("{}\n", picture.build());
        }
        println!("For the settings:\n  [[console.operators]]\n  name = \"{name}\"");
        println!("  role = \"{role}\"\n  hash = \"{}\"\n  totp = \"{totp}\"", hash.as_str());
        println!(
            "\nThe secret may lie in a file of its own: totp_secret_file = \"/run/credentials/tidings/{name}\"."
        );
        Ok(ExitCode::Done)
    }
}

fn password() -> Result<String, anyhow::Error> {
    let password = if std::io::stdin().is_terminal() {
        let terminal = console::Term::stderr();
        terminal.write_str("Password: ")?;
        let password = terminal.read_secure_line()?;
        terminal.write_str("The same again: ")?;
        if terminal.read_secure_line()? != password {
            return Err(BadInput("the two are not the same; nothing was made".into()).into());
        }
        password
    } else {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line)?;
        line.trim_end_matches(['\r', '\n']).to_owned()
    };
    if password.chars().count() < MIN_PASSWORD_CHARS {
        let why = format!(
            "a password has at least {MIN_PASSWORD_CHARS} characters; several words are easier to keep in mind than signs"
        );
        return Err(BadInput(why).into());
    }
    if password.len() > MAX_PASSWORD_BYTES {
        return Err(BadInput(format!("a password has at most {MAX_PASSWORD_BYTES} bytes")).into());
    }
    Ok(password)
}
