//! `tidings check` and `tidings preview`: every message as its readers will get it.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::app::content::{self, Compiled};
use crate::app::sources;
use crate::clock::Clock;
use crate::config::{DEFAULTS, Settings};
use crate::domain::message::Shaped;
use crate::domain::{Channel, ChannelMap, Finding};

use super::{BadInput, Context, ExitCode, Outcome, print};

/// Check settings, journeys and every message × language × channel
#[derive(Debug, Args)]
pub struct Check {
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    /// Print every setting with its default and what it does, and nothing else
    #[arg(long)]
    defaults: bool,
}

/// See a message as it is sent, with its sample values
#[derive(Debug, Args)]
pub struct Preview {
    /// The message, such as ticket/resolved
    message: String,
    /// One channel only
    #[arg(long)]
    channel: Option<Channel>,
    /// One language only
    #[arg(long)]
    locale: Option<String>,
    /// Write the mail as HTML and open it in a browser
    #[arg(long)]
    open: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

fn compile(settings: &Settings) -> Result<Compiled, anyhow::Error> {
    let files = content::version_files(settings).map_err(|error| BadInput(error.to_string()))?;
    let layouts = content::layouts(settings).map_err(|error| BadInput(error.to_string()))?;
    let all = ChannelMap { email: true, sms: true, voice: true };
    let zones = crate::clock::newest_zones();
    let mut compiled =
        content::compile(&content::hash(&files), &files, &layouts, settings, all, &zones)
            .map_err(|error| BadInput(error.to_string()))?;
    let journeys = &compiled.live.rules.journeys;
    let old = content::ageing(journeys, &files, Clock::System.now());
    compiled.findings.extend(old);
    Ok(compiled)
}

impl Check {
    pub fn run(self, context: &Context) -> Outcome {
        if self.defaults {
            print!("{DEFAULTS}");
            return Ok(ExitCode::Done);
        }
        let settings = context.settings()?;
        let mut compiled = compile(&settings)?;
        let journeys = &compiled.live.rules.journeys;
        let of_sources =
            sources::check(&settings, journeys).map_err(|error| BadInput(error.to_string()))?;
        compiled.findings.extend(of_sources);
        let errors = compiled.findings.iter().filter(|finding| finding.is_error()).count();
        if self.json {
            let findings: Vec<_> = compiled.findings.iter().map(as_json).collect();
            print::json(&json!({
                "errors": errors,
                "findings": findings,
                "messages": compiled.readings.iter().map(|r| json!({
                    "message": r.message, "locale": r.locale, "channel": r.channel,
                    "sample": r.sample + 1, "parts": r.shaped.parts(),
                })).collect::<Vec<_>>(),
            }))?;
        } else {
            for finding in &compiled.findings {
                eprint!("{}", print::finding(finding));
            }
            print_readings(&compiled);
            let warnings = compiled.findings.len() - errors;
            println!("{errors} errors, {warnings} warnings");
        }
        Ok(if errors > 0 { ExitCode::BadInput } else { ExitCode::Done })
    }
}

/// A row per message and language: how long it is on each channel.
fn print_readings(compiled: &Compiled) {
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut seen = std::collections::BTreeMap::new();
    for reading in &compiled.readings {
        let key = (reading.message.clone(), reading.locale.clone());
        let of = seen.entry(key).or_insert_with(|| [String::new(), String::new(), String::new()]);
        match &reading.shaped {
            Shaped::Email(email) => of[0] = format!("{:.1} kB", kilobytes(email.html.len())),
            Shaped::Sms(sms) => {
                let now = format!("{} × {:?}", sms.counted.parts, sms.counted.encoding);
                if of[1].is_empty() || of[1] < now {
                    of[1] = now;
                }
            }
            Shaped::Voice(script) => {
                let words: usize =
                    script.paragraphs.iter().map(|p| p.split_whitespace().count()).sum();
                // About 150 words a minute.
                of[2] = format!("{} s", words * 60 / 150);
            }
        }
    }
    for ((message, locale), [email, sms, voice]) in seen {
        rows.push(vec![message, locale, email, sms, voice]);
    }
    println!(
        "{}",
        print::table(&["message", "language", "e-mail", "text parts", "call, about"], rows)
    );
}

#[allow(clippy::cast_precision_loss, reason = "a size for people")]
fn kilobytes(bytes: usize) -> f64 {
    bytes as f64 / 1024.0
}

fn as_json(finding: &Finding) -> serde_json::Value {
    json!({
        "severity": if finding.is_error() { "error" } else { "warning" },
        "file": finding.file(), "line": finding.line(), "message": finding.message,
    })
}

impl Preview {
    pub fn run(self, context: &Context) -> Outcome {
        let settings = context.settings()?;
        let compiled = compile(&settings)?;
        let wanted: Vec<_> = compiled
            .readings
            .iter()
            .filter(|r| r.message == self.message)
            .filter(|r| self.channel.is_none_or(|channel| r.channel == channel))
            .filter(|r| self.locale.as_ref().is_none_or(|locale| r.locale == *locale))
            .collect();
        if wanted.is_empty() {
            let mut known: Vec<String> = compiled
                .readings
                .iter()
                .map(|r| format!("{} ({}, {})", r.message, r.locale, r.channel))
                .collect();
            known.dedup();
            for finding in compiled.findings.iter().filter(|finding| finding.is_error()) {
                eprint!("{}", print::finding(finding));
            }
            let why = format!("there is no such message; there are:\n  {}", known.join("\n  "));
            return Err(BadInput(why).into());
        }
        if self.json {
            let readings: Vec<_> = wanted.iter().map(|r| json!({
                "message": r.message, "locale": r.locale, "channel": r.channel, "sample": r.sample + 1,
                "parts": r.shaped.parts(), "text": r.shaped.words(),
                "html": match &r.shaped { Shaped::Email(email) => Some(&email.html), _ => None },
            })).collect();
            print::json(&readings)?;
            return Ok(ExitCode::Done);
        }
        for reading in &wanted {
            println!(
                "── {} · {} · {} · sample {}{} ──\n{}\n",
                reading.message,
                reading.locale,
                reading.channel.spoken(),
                reading.sample + 1,
                match &reading.shaped {
                    Shaped::Sms(sms) =>
                        format!(" · {} parts, {:?}", sms.counted.parts, sms.counted.encoding),
                    _ => String::new(),
                },
                reading.shaped.words().trim_end()
            );
        }
        if self.open {
            let html = wanted.iter().find_map(|r| match &r.shaped {
                Shaped::Email(email) => Some(&email.html),
                _ => None,
            });
            open(html.map(String::as_str), &self.message)?;
        }
        Ok(ExitCode::Done)
    }
}

fn open(html: Option<&str>, message: &str) -> Result<(), anyhow::Error> {
    let Some(html) = html else { anyhow::bail!("only e-mail can be opened in a browser") };
    let name = format!("tidings-{}.html", message.replace('/', "-"));
    let path: PathBuf = std::env::temp_dir().join(name);
    std::fs::write(&path, html)?;
    println!("{}", path.display());
    let opened = std::process::Command::new("xdg-open").arg(&path).status();
    if !opened.is_ok_and(|status| status.success()) {
        println!("no browser could be started; open the file above");
    }
    Ok(())
}
