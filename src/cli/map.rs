//! `tidings map test`: what becomes of a help desk's payload, without keeping anything.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::app::sources::{Payload, Sources, read_headers};
use crate::app::{AppError, files};
use crate::clock::{Clock, newest_zones};
use crate::planning::source::{Failing, Mapped};

use super::{BadInput, Context, ExitCode, Outcome, print};

/// Try how a help desk's own webhook is read
#[derive(Debug, Subcommand)]
pub enum Map {
    /// Print the event a payload becomes, and each key that fails with what there is instead
    Test(Test),
}

#[derive(Debug, Args)]
pub struct Test {
    /// A source of config/sources, such as zendesk
    #[arg(long)]
    source: String,
    /// The payload as the vendor sends it; - for standard input
    #[arg(long, value_name = "FILE")]
    payload: PathBuf,
    /// Its headers, as lines of `Name: value` [default: the payload's name with .headers, where
    /// there is one]
    #[arg(long, value_name = "FILE")]
    headers: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

impl Map {
    pub fn run(self, context: &Context) -> Outcome {
        match self {
            Self::Test(test) => test.run(context),
        }
    }
}

impl Test {
    fn run(self, context: &Context) -> Outcome {
        let settings = context.settings()?;
        let sources = Sources::load(&settings).map_err(|error| match error {
            AppError::Findings(findings) => {
                BadInput(findings.iter().map(print::finding).collect::<Vec<_>>().join("\n"))
            }
            error => BadInput(error.to_string()),
        })?;
        let source = sources.get(&self.source).ok_or_else(|| {
            let known = sources.names().join(", ");
            BadInput(format!("there is no source {:?}; there are {known}", self.source))
        })?;
        let payload = self.payload()?;
        let mapped = payload.map(source, &newest_zones(), Clock::System.now());
        let (mut told, mut failing, mut ignored) = (Vec::new(), Vec::new(), None);
        match mapped {
            Mapped::Ignored(why) => ignored = Some(why),
            Mapped::Unknown(key) => failing.push(key),
            Mapped::Told(all) => {
                for one in all {
                    let view = one.view();
                    if view.as_object().is_some_and(|view| !view.is_empty()) {
                        told.push(view);
                    }
                    failing.extend(one.failing);
                }
            }
        }
        let end = if failing.is_empty() { ExitCode::Done } else { ExitCode::BadInput };
        if self.json {
            let failing: Vec<_> = failing
                .iter()
                .map(|key: &Failing| {
                    let mut shown = json!(key);
                    shown["line"] = json!(key.finding(source).line());
                    shown
                })
                .collect();
            print::json(&json!({
                "source": source.name, "file": source.file, "told": told,
                "failing": failing, "ignored": ignored,
            }))?;
            return Ok(end);
        }
        if let Some(why) = ignored {
            println!("ignored: {why}");
        }
        for told in &told {
            println!("{}", serde_json::to_string_pretty(told)?);
        }
        for key in &failing {
            eprint!("{}", print::finding(&key.finding(source)));
        }
        if !failing.is_empty() {
            eprintln!("{} failing keys", failing.len());
        }
        Ok(end)
    }

    fn payload(&self) -> Result<Payload, anyhow::Error> {
        let wrong = |path: &PathBuf, error: std::io::Error| {
            BadInput(format!("{} cannot be read: {error}", path.display()))
        };
        let mut body = Vec::new();
        files::open(&self.payload)
            .and_then(|mut file| std::io::Read::read_to_end(&mut file, &mut body))
            .map_err(|error| wrong(&self.payload, error))?;
        let beside = self.payload.with_extension("headers");
        let path = self.headers.clone().or_else(|| beside.is_file().then_some(beside));
        let headers = match path {
            None => std::collections::BTreeMap::new(),
            Some(path) => {
                let text = std::fs::read_to_string(&path).map_err(|error| wrong(&path, error))?;
                read_headers(&text).map_err(|why| BadInput(format!("{}: {why}", path.display())))?
            }
        };
        Ok(Payload { body, headers })
    }
}
