//! `tidings doctor`, `key new` and `journeys`.

use clap::{Args, Subcommand};
use serde_json::json;

use crate::app::{content, doctor, publish};
use crate::clock::Clock;
use crate::config::Settings;
use crate::web::auth::new_key;

use super::{BadInput, Context, ExitCode, Outcome, print};

/// Say what is wrong with this installation, and how to mend it
#[derive(Debug, Args)]
pub struct Doctor {
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

#[derive(Debug, Subcommand)]
pub enum Journeys {
    /// Check the files of the settings as a whole and put them in force
    Publish {
        /// Why, for the record
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// What was published when
    List {
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// How the files differ from the version in force; exit code 1 when they do
    Diff,
    /// See each journey: its states, what is said in each, and where a customer hears nothing
    Map(super::journey_map::Map),
    /// Put an earlier version in force again
    Rollback {
        /// The version, or the beginning of its name
        version: String,
        #[arg(long, default_value = "")]
        reason: String,
    },
}

impl Journeys {
    pub async fn run(self, context: &Context) -> Outcome {
        let settings = context.settings()?;
        let store = context.store(&settings).await?;
        let author = std::env::var("USER").unwrap_or_else(|_| "unknown".into());
        match self {
            Self::List { json } => {
                let publications = store.publications().await?;
                if json {
                    print::json(&publications)?;
                } else {
                    let rows = publications.iter().map(|p| {
                        let at = crate::domain::time::from_ms(p.at_ms).to_rfc3339();
                        vec![p.hash.clone(), at, p.author.clone(), p.reason.clone()]
                    });
                    println!("{}", print::table(&["version", "published", "by", "because"], rows));
                }
                Ok(ExitCode::Done)
            }
            Self::Map(map) => map.run(&settings, &store).await,
            Self::Diff => {
                let on_disk = content::version_files(&settings)?;
                let in_force = store.published().await?.map(|(_, files)| files).unwrap_or_default();
                let mut differ = false;
                let names: std::collections::BTreeSet<&String> =
                    on_disk.files.keys().chain(in_force.files.keys()).collect();
                for name in names {
                    let (disk, force) = (on_disk.files.get(name), in_force.files.get(name));
                    if disk == force {
                        continue;
                    }
                    differ = true;
                    match (disk, force) {
                        (Some(_), None) => println!("new      {name}"),
                        (None, _) => println!("removed  {name}"),
                        (Some(disk), Some(force)) => {
                            println!("changed  {name}");
                            for line in
                                force.lines().filter(|line| !disk.lines().any(|l| l == *line))
                            {
                                println!("  - {line}");
                            }
                            for line in
                                disk.lines().filter(|line| !force.lines().any(|l| l == *line))
                            {
                                println!("  + {line}");
                            }
                        }
                    }
                }
                if !differ {
                    println!("the files are the version in force");
                }
                Ok(if differ { ExitCode::Failed } else { ExitCode::Done })
            }
            Self::Publish { reason } => {
                let files = content::version_files(&settings)?;
                let app = context.app(settings, Clock::System, store).await?;
                put_in_force(&app, &files, &author, &reason).await
            }
            Self::Rollback { version, reason } => {
                let (_, files) = store.version(&version).await?;
                let app = context.app(settings, Clock::System, store).await?;
                put_in_force(&app, &files, &author, &reason).await
            }
        }
    }
}

async fn put_in_force(
    app: &crate::app::App,
    files: &crate::store::journeys::VersionFiles,
    author: &str,
    reason: &str,
) -> Outcome {
    match publish(app, files, author, reason).await {
        Ok(hash) => {
            println!("{hash} is in force");
            Ok(ExitCode::Done)
        }
        Err(crate::app::AppError::Findings(findings)) => {
            let errors = findings.iter().filter(|finding| finding.is_error());
            let text: Vec<String> = errors.map(print::finding).collect();
            Err(BadInput(text.join("\n")).into())
        }
        Err(error) => Err(error.into()),
    }
}
