//! The customers' pages beside a dispatcher at work: how quickly they come, how quickly an
//! opt-out is confirmed, how much each weighs with its stylesheet.

use serde::Serialize;

use crate::app::App;
use crate::config::Settings;
use crate::domain::token::Grant;
use crate::domain::{Channel, CustomerId};
use crate::store::Store;

use super::here::Here;
use super::latency::Load;
use super::measure::CUSTOMERS;
use super::reference::tempdir;
pub use super::visits::Timing;
use super::visits::Visits;
use super::{Engines, Latency, Sinks};

const PAGES: [&str; 6] = [
    "/centre",
    "/centre/choices",
    "/centre/history",
    "/centre/addresses",
    "/centre/call",
    "/centre/data",
];

/// Opt-outs a second.
const OPT_OUTS_PER_S: u32 = 20;

/// All figures of the pages.
#[derive(Debug, Clone, Serialize)]
pub struct PageFigures {
    pub cores: usize,
    /// Pages, while events come in and are told.
    pub pages: Timing,
    pub beside_pages: Latency,
    /// One-click opt-outs, from the click to the page that confirms them, likewise.
    pub opt_outs: Timing,
    pub beside_opt_outs: Latency,
    pub weights: Vec<Weight>,
}

/// How much a page weighs, in bytes.
#[derive(Debug, Clone, Serialize)]
pub struct Weight {
    pub path: String,
    pub bytes: usize,
    /// With its stylesheet: everything it loads.
    pub with_style: usize,
}

/// Takes the figures: `visits` pages a second for `seconds`, beside `events` a second.
///
/// # Errors
/// When a store, a sink or a process cannot be had.
pub async fn run(
    engines: &Engines,
    (visits, events): (u32, u32),
    seconds: u32,
    say: impl Fn(&str),
) -> Result<PageFigures, anyhow::Error> {
    let sinks = Sinks::start().await?;
    let folder = tempdir()?;
    let file = format!("sqlite:{}/bench.db", folder.display());
    let place = Store::scratch(engines.store.as_deref().unwrap_or(&file)).await?;
    let here = Here::start(|port| {
        let text = sinks.settings_on(&folder, port, &place, "embedded")?;
        Settings::read("the benchmark's settings", &text, [])
            .map_err(|finding| anyhow::anyhow!("{finding}"))
    })
    .await?;
    let (app, port) = (&here.app, here.port);
    let base = format!("http://127.0.0.1:{port}");
    let load = Load { sinks: &sinks, rate: events, seconds };

    say("pages, beside a dispatcher at work");
    let cookies: Vec<String> = (0..CUSTOMERS).map(|n| cookie(app, n)).collect();
    let requests = cookies.iter().enumerate();
    let requests = requests.map(|(n, cookie)| (PAGES[n % PAGES.len()].into(), cookie.clone()));
    let requests: Vec<(String, String)> = requests.collect();
    let look =
        Visits { base: base.clone(), requests, form: None, rate: visits, total: visits * seconds };
    let (beside_pages, pages) = tokio::join!(load.on(port), sinks.visit(look));

    say("opt-outs, beside a dispatcher at work");
    let total = (OPT_OUTS_PER_S * seconds).min(u32::try_from(CUSTOMERS)?);
    let links = (0..total as usize).map(|n| (opt_out(app, n), String::new()));
    let form = Some("List-Unsubscribe=One-Click".to_owned());
    let requests = links.collect();
    let stop_it = Visits { base: base.clone(), requests, form, rate: OPT_OUTS_PER_S, total };
    let (beside_opt_outs, opt_outs) = tokio::join!(load.on(port), sinks.visit(stop_it));

    let weights = weights(&base, &cookies[0]).await?;
    here.end().await?;
    Store::drop_scratch(&place).await?;
    std::fs::remove_dir_all(&folder)?;
    Ok(PageFigures {
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        pages: pages?,
        beside_pages: beside_pages?,
        opt_outs: opt_outs?,
        beside_opt_outs: beside_opt_outs?,
        weights,
    })
}

fn customer(n: usize) -> CustomerId {
    CustomerId(format!("C-{n}"))
}

/// The cookie of a visit of this customer.
fn cookie(app: &App, n: usize) -> String {
    let until_s = app.engine.clock.now().timestamp() + 60 * 60;
    let grant = Grant::Visit { customer: customer(n), until_s, proven_until_s: until_s };
    format!("tidings={}", app.engine.keys.token(&grant))
}

/// The one click that stops what this customer gets.
fn opt_out(app: &App, n: usize) -> String {
    let channel = [Channel::Email, Channel::Sms, Channel::Voice][match n % 10 {
        0..=5 => 0,
        6..=8 => 1,
        _ => 2,
    }];
    let grant = Grant::Unsubscribe { customer: customer(n), topic: "status".into(), channel };
    format!("/u/{}", app.engine.keys.token(&grant))
}

async fn weights(base: &str, cookie: &str) -> Result<Vec<Weight>, anyhow::Error> {
    let client = reqwest::Client::new();
    let bytes = async |path: &str| -> Result<usize, anyhow::Error> {
        let request = client.get(format!("{base}{path}")).header("cookie", cookie);
        Ok(request.send().await?.bytes().await?.len())
    };
    let style = bytes("/centre/style.css").await?;
    let mut weights = Vec::new();
    for path in PAGES.into_iter().chain(["/centre/sign-in"]) {
        let bytes = bytes(path).await?;
        weights.push(Weight { path: path.into(), bytes, with_style: bytes + style });
    }
    Ok(weights)
}
