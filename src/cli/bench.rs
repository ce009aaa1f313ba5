//! `tidings bench`: figures, printed.

use std::path::PathBuf;

use clap::Args;

use crate::bench::console::{self, ConsoleFigures};
use crate::bench::pages::{self, PageFigures, Timing};
use crate::bench::{Engines, Latency, Size, run, sinks};

use super::{ExitCode, Outcome, print};

/// Measure rate, cost, latency and memory on this machine
#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools, reason = "flags of a command")]
pub struct Bench {
    /// Messages of the throughput figures
    #[arg(long, default_value_t = 30_000)]
    messages: usize,
    /// Events a second of the latency figure
    #[arg(long, default_value_t = 500)]
    rate: u32,
    /// How long the latency is watched, in seconds
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// Planned notifications of the memory figure; 0 leaves it out
    #[arg(long, default_value_t = 0)]
    planned: usize,
    /// Measure only how quickly one core decides about the case events of this file
    #[arg(long, value_name = "FILE")]
    decisions: Option<PathBuf>,
    /// Measure only a what-if: so many made-up events under two versions of the journeys
    #[arg(long, value_name = "EVENTS")]
    simulate: Option<usize>,
    /// Measure only the customers' pages and their opt-outs, beside a dispatcher at work
    #[arg(long)]
    pages: bool,
    /// Measure only the console's pages, on a store full of invented notifications
    #[arg(long)]
    console: bool,
    /// How many notifications that store holds
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(i64).range(1_000..=100_000_000))]
    notifications: i64,
    /// How often each of the console's pages is asked for
    #[arg(long, default_value_t = 200)]
    requests: usize,
    /// Pages a second of that figure
    #[arg(long, default_value_t = 200)]
    visits: u32,
    /// Measure on this PostgreSQL, in a schema of its own, instead of on a SQLite file
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// Hand work round through this Redis, instead of inside the process
    #[arg(long, value_name = "URL")]
    queue: Option<String>,
    /// Workers that share the work
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    /// Be the other side of the wire
    #[arg(long, hide = true)]
    sinks: bool,
    /// Print what working on this folder's store holds in memory
    #[arg(long, hide = true)]
    resident: Option<PathBuf>,
    #[arg(long, hide = true, default_value = "")]
    smtp: String,
    #[arg(long, hide = true, default_value = "")]
    http: String,
}

impl Bench {
    pub async fn run(self) -> Outcome {
        if self.sinks {
            sinks::serve().await?;
            return Ok(ExitCode::Done);
        }
        if let Some(folder) = &self.resident {
            println!("{}", crate::bench::resident(self.smtp, self.http, folder).await?);
            return Ok(ExitCode::Done);
        }
        if let Some(file) = &self.decisions {
            let figures = crate::bench::decisions::run(crate::app::files::open(file)?)?;
            if self.json {
                print::json(&figures)?;
            } else {
                println!(
                    "{} events, {} decisions on one core in {:.2} s: {:.0} a second",
                    figures.events, figures.decisions, figures.seconds, figures.per_second
                );
            }
            return Ok(ExitCode::Done);
        }
        if let Some(events) = self.simulate {
            let f = crate::bench::what_if::run(events)?;
            if self.json {
                print::json(&f)?;
            } else {
                println!(
                    "{} events of {} customers in {} groups under {} versions: {:.1} s ({:.1} s to read), {:.1} s of CPU on {} cores, {:.0} events/s, at most {:.0} MB",
                    f.events,
                    f.customers,
                    f.groups,
                    f.versions,
                    f.seconds,
                    f.read_s,
                    f.cpu_s,
                    f.cores,
                    f.per_second,
                    f.peak_mb
                );
            }
            return Ok(ExitCode::Done);
        }
        let size = Size {
            messages: self.messages,
            rate: self.rate,
            seconds: self.seconds,
            planned: self.planned,
        };
        let engines = Engines { store: self.store, queue: self.queue, workers: self.workers };
        if self.console {
            let say = |what: &str| eprintln!("… {what}");
            let store = engines.store.as_deref();
            let figures = console::run(store, self.notifications, self.requests, say).await?;
            return show_console(&figures, self.json);
        }
        if self.pages {
            let pace = (self.visits, self.rate);
            let say = |what: &str| eprintln!("… {what}");
            let figures = Box::pin(pages::run(&engines, pace, self.seconds, say)).await?;
            return show_pages(&figures, self.json);
        }
        let figures = Box::pin(run(size, &engines, |what| eprintln!("… {what}"))).await?;
        if self.json {
            print::json(&figures)?;
            return Ok(ExitCode::Done);
        }
        let rate = |t: &crate::bench::Throughput| {
            vec![format!("{:.0}", t.per_second), format!("{:.0} µs", t.cpu_us_each)]
        };
        let row = |name: &str, cells: Vec<String>| [vec![name.to_owned()], cells].concat();
        let rows = [
            row("bare loop: render, hand over", rate(&figures.reference)),
            row("Tidings: everything durable", rate(&figures.tidings)),
            row(
                "Tidings against the loop",
                vec![
                    format!("{:.2} of it", figures.rate_share),
                    format!("{:.2} times", figures.cpu_times),
                ],
            ),
        ];
        println!("{} cores", figures.cores);
        println!("{}", print::table(&["", "messages/s", "CPU each"], rows));
        let l = &figures.latency;
        println!(
            "accepted → first byte at the provider, {} of {} events seen, at {}/s: p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms",
            l.events,
            l.events + l.missing,
            l.per_second,
            l.p50_ms,
            l.p99_ms,
            l.max_ms
        );
        if let Some(m) = &figures.memory {
            println!(
                "{} planned notifications: {:.0} MB resident, store {:.0} MB, filled in {:.0} s",
                m.planned, m.resident_mb, m.store_mb, m.filled_in_s
            );
        }
        Ok(ExitCode::Done)
    }
}

fn show_console(figures: &ConsoleFigures, json: bool) -> Outcome {
    if json {
        print::json(figures)?;
        return Ok(ExitCode::Done);
    }
    println!(
        "{} notifications, written in {:.0} s; {} cores",
        figures.notifications, figures.filled_in_s, figures.cores
    );
    let rows = figures.pages.iter().map(|page| {
        let ms = |ms: f64| format!("{ms:.1} ms");
        vec![
            page.page.clone(),
            page.failed.to_string(),
            page.bytes.to_string(),
            ms(page.first_ms),
            ms(page.p50_ms),
            ms(page.p95_ms),
            ms(page.p99_ms),
            ms(page.max_ms),
        ]
    });
    let header = ["page", "failed", "bytes", "first", "p50", "p95", "p99", "max"];
    println!("{}", print::table(&header, rows));
    Ok(ExitCode::Done)
}

fn show_pages(figures: &PageFigures, json: bool) -> Outcome {
    if json {
        print::json(figures)?;
        return Ok(ExitCode::Done);
    }
    let row = |name: &str, t: &Timing, beside: &Latency| {
        vec![
            name.to_owned(),
            format!("{} at {}/s", t.requests, t.per_second),
            format!("{}", t.failed),
            format!("{:.1} ms", t.p50_ms),
            format!("{:.1} ms", t.p99_ms),
            format!("{:.1} ms", t.max_ms),
            format!(
                "{} of {} seen, at {}/s, p99 {:.1} ms",
                beside.events,
                beside.events + beside.missing,
                beside.per_second,
                beside.p99_ms
            ),
        ]
    };
    let rows = [
        row("pages", &figures.pages, &figures.beside_pages),
        row("opt-outs confirmed", &figures.opt_outs, &figures.beside_opt_outs),
    ];
    println!("{} cores", figures.cores);
    let header = ["", "requests", "failed", "p50", "p99", "max", "beside events"];
    println!("{}", print::table(&header, rows));
    let weights = figures.weights.iter().map(|weight| {
        vec![weight.path.clone(), weight.bytes.to_string(), weight.with_style.to_string()]
    });
    println!("{}", print::table(&["page", "bytes", "with its stylesheet"], weights));
    Ok(ExitCode::Done)
}
