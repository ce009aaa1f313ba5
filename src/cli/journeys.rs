//! `tidings journeys`: versions of journeys and messages, and which one is in force.

use clap::{Args, Subcommand};
use serde_json::json;

use crate::app::publishing::shown::diff;
use crate::app::publishing::{
    self, Proposal, Published, Refusal, Say, drafts, has_operators, put_in_force,
};
use crate::app::{App, AppError, content};
use crate::clock::Clock;
use crate::domain::time::from_ms;
use crate::store::journeys::Publication;

use super::{BadInput, Context, ExitCode, Outcome, print};

#[derive(Debug, Subcommand)]
pub enum Journeys {
    /// Check the files of the settings as a whole and put them in force
    Publish(Publish),
    /// What was published when, by whom and why
    List {
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// How the files differ from the version in force; exit code 1 when they do
    Diff {
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// See each journey: its states, what is said in each, and where a customer hears nothing
    Map(super::journey_map::Map),
    /// Put an earlier version in force again, for all cases
    Rollback {
        /// The version, or the beginning of its name
        version: String,
        #[arg(long, default_value = "")]
        reason: String,
        /// Who goes back; the user of this machine where nobody is named
        #[arg(long)]
        author: Option<String>,
    },
}

/// Check the files of the settings as a whole and put them in force
#[derive(Debug, Args)]
pub struct Publish {
    /// Why, for the record
    #[arg(long, default_value = "")]
    reason: String,
    /// Who wrote it; the user of this machine where nobody is named
    #[arg(long)]
    author: Option<String>,
    /// Somebody else who says yes, where the console has no operators
    #[arg(long, value_name = "NAME")]
    approved_by: Option<String>,
    /// For so many per cent of the cases first; the rest keeps the version in force
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u8).range(1..=100))]
    percent: u8,
}

fn or_user(author: Option<String>) -> String {
    author.or_else(|| std::env::var("USER").ok()).unwrap_or_else(|| "unknown".into())
}

impl Journeys {
    pub async fn run(self, context: &Context) -> Outcome {
        let settings = context.settings()?;
        let store = context.store(&settings).await?;
        match self {
            Self::List { json } => {
                let publications = store.publications().await?;
                if json {
                    print::json(&publications)?;
                } else {
                    let header = ["version", "published", "for", "by", "approved by", "because"];
                    println!("{}", print::table(&header, publications.iter().map(row)));
                }
                Ok(ExitCode::Done)
            }
            Self::Map(map) => map.run(&settings, &store).await,
            Self::Diff { json } => {
                let on_disk = content::version_files(&settings)?;
                let in_force = store.published().await?.map(|(_, files)| files).unwrap_or_default();
                let files = diff(&in_force, &on_disk);
                if json {
                    print::json(&json!({ "files": files }))?;
                } else if files.is_empty() {
                    println!("the files are the version in force");
                }
                for file in files.iter().filter(|_| !json) {
                    println!("{:<8} {}", file.what, file.name);
                    for line in file.lines.iter().filter(|_| file.what == "changed") {
                        println!("  {} {}", line.sign, line.text);
                    }
                }
                Ok(if files.is_empty() { ExitCode::Done } else { ExitCode::Failed })
            }
            Self::Publish(publish) => {
                let app = context.app(settings, Clock::System, store).await?;
                publish.run(&app).await
            }
            Self::Rollback { version, reason, author } => {
                let app = context.app(settings, Clock::System, store).await?;
                let by = or_user(author);
                told(publishing::roll_back(&app, &version, &by, &reason).await)
            }
        }
    }
}

fn row(p: &Publication) -> Vec<String> {
    let approved = p.approved_by.clone().unwrap_or_else(|| p.four_eyes.clone());
    vec![
        p.hash.clone(),
        from_ms(p.at_ms).to_rfc3339(),
        format!("{} %", p.percent),
        p.author.clone(),
        approved,
        p.reason.clone(),
    ]
}

impl Publish {
    async fn run(self, app: &App) -> Outcome {
        let files = content::version_files(&app.settings)?;
        let author = or_user(self.author);
        let console = has_operators(&app.settings);
        if self.approved_by.is_some() && console {
            let why = "--approved-by is a name anybody may type; here operators approve in the console: publish without it, and the change waits there for them";
            return Err(BadInput(why.into()).into());
        }
        let proposal = Proposal {
            files: files.clone(),
            authors: vec![author.clone()],
            reason: self.reason.clone(),
            percent: self.percent,
            draft: None,
            effect: None,
        };
        let say = Say { by: self.approved_by.as_deref(), alone_ok: false };
        let why = match put_in_force(app, proposal, say).await {
            Err(Refusal::FourEyes(why)) => why,
            done => return told(done),
        };
        eprintln!("not published: {}", Refusal::FourEyes(why));
        if console {
            let draft = drafts::begin(app, Some(&files), &author, &self.reason).await?;
            let whole = drafts::read(app, draft).await?;
            let now = app.engine.clock.now();
            app.engine.store.ask_approval(draft, whole.draft.revision, now).await?;
            eprintln!(
                "It waits as draft {draft}: an operator who may publish, and is not {author}, does it at {}/console/drafts/{draft}",
                app.settings.http.public_url.trim_end_matches('/')
            );
        } else {
            eprintln!(
                "Name who else looked at it with --approved-by NAME (not {author}), or give the console operators; [publishing] four_eyes says what needs two."
            );
        }
        Ok(ExitCode::Failed)
    }
}

fn told(done: Result<Published, Refusal>) -> Outcome {
    match done {
        Ok(Published { hash, percent: 100, .. }) => {
            println!("{hash} is in force");
            Ok(ExitCode::Done)
        }
        Ok(Published { hash, percent, .. }) => {
            println!("{hash} is in force for {percent} % of the cases");
            Ok(ExitCode::Done)
        }
        Err(Refusal::App(AppError::Findings(findings))) => {
            let errors = findings.iter().filter(|finding| finding.is_error());
            let text: Vec<String> = errors.map(print::finding).collect();
            Err(BadInput(text.join("\n")).into())
        }
        Err(error) => Err(error.into()),
    }
}
