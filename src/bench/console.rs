//! The console's pages on a store full of notifications: how long each takes over HTTP.

use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;
use tokio::net::TcpListener;

use crate::app::App;
use crate::clock::Clock;
use crate::config::Settings;
use crate::domain::{Case, CaseEvent};
use crate::store::Store;
use crate::store::filling::{Invented, OF_A_CASE, OF_A_CUSTOMER};
use crate::web::{Metrics, Web, router, serve};

use super::measure::percentile;
use super::reference::tempdir;

/// The figures of one page.
#[derive(Debug, Clone, Serialize)]
pub struct PageTiming {
    /// What the page is asked for.
    pub page: String,
    pub requests: usize,
    /// Answered with anything but 200.
    pub failed: usize,
    pub bytes: usize,
    pub first_ms: f64,
    pub p50_ms: f64,
    pub p95_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
}

/// All figures.
#[derive(Debug, Clone, Serialize)]
pub struct ConsoleFigures {
    pub cores: usize,
    pub notifications: i64,
    pub filled_in_s: f64,
    pub pages: Vec<PageTiming>,
}

/// Fills a store with `notifications`, asks each page `requests` times, one after the other.
///
/// # Errors
/// When the store or a port cannot be had.
pub async fn run(
    store: Option<&str>,
    notifications: i64,
    requests: usize,
    say: impl Fn(&str),
) -> Result<ConsoleFigures, anyhow::Error> {
    let folder = tempdir()?;
    let file = format!("sqlite:{}/bench.db", folder.display());
    let place = Store::scratch(store.unwrap_or(&file)).await?;
    let measured = measured(&place, notifications, requests, say).await;
    Store::drop_scratch(&place).await?;
    std::fs::remove_dir_all(&folder)?;
    measured
}

async fn measured(
    place: &str,
    notifications: i64,
    requests: usize,
    say: impl Fn(&str),
) -> Result<ConsoleFigures, anyhow::Error> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let text = format!(
        "[store]\nurl = \"{place}\"\n[http]\nlisten = \"127.0.0.1:{port}\"\npublic_url = \"http://127.0.0.1:{port}\"\n\
         [sender]\nname = \"Example Shop\"\nmail_from = \"Example Shop <service@example.com>\"\n"
    );
    let settings = Settings::read("the benchmark's settings", &text, [])
        .map_err(|finding| anyhow::anyhow!("{finding}"))?;
    let store = Store::open(&settings.store.url).await?;
    let app = Arc::new(App::build(settings, Clock::System, store).await?);
    let about = invented(&app)?;
    let began = Instant::now();
    app.engine
        .store
        .invent(notifications, &about, |n| {
            if n % 1_000_000 == 0 {
                say(&format!("{n} notifications written"));
            }
        })
        .await?;
    let filled_in_s = began.elapsed().as_secs_f64();
    let web = Web { app: Arc::clone(&app), metrics: Metrics::install() };
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(serve(listener, router(web), async {
        let _ = stopped.await;
    }));
    let base = format!("http://127.0.0.1:{port}");
    let client = reqwest::Client::new();
    let mut pages = Vec::new();
    for (page, path) in paths(notifications, &about) {
        pages.push(ask(&client, &base, &page, &*path, requests).await?);
    }
    let _ = stop.send(());
    serving.await?;
    Ok(ConsoleFigures {
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        notifications,
        filled_in_s,
        pages,
    })
}

/// Four notices of a journey in force, and a case of it.
fn invented(app: &App) -> Result<Invented, anyhow::Error> {
    let live = app.engine.live.load_full();
    let journey = live.rules.journeys.iter().max_by_key(|journey| journey.notices.len());
    let journey = journey.ok_or_else(|| anyhow::anyhow!("no journey is in force"))?;
    let notice = |n: usize| journey.notices[n % journey.notices.len()].id.clone();
    let now = app.engine.clock.now();
    let event = serde_json::json!({
        "id": "1", "source": "bench", "case": "@CASE@", "case_type": journey.case_type,
        "customer": "@CUSTOMER@", "state": journey.states[0], "facts": {"item": "bicycle"},
    });
    let event = CaseEvent::from_json(&event, "", now)
        .map_err(|faults| anyhow::anyhow!("the invented event: {faults:?}"))?;
    let (case, _) = Case::after(None, &event);
    Ok(Invented {
        case_type: journey.case_type.clone(),
        notices: [notice(0), notice(1), notice(2), notice(3)],
        case: serde_json::to_string(&case)?,
        now_ms: now.timestamp_millis(),
    })
}

type Path = Box<dyn Fn(i64) -> String>;

/// Every page by its name, and its path the n-th time it is asked for.
fn paths(notifications: i64, about: &Invented) -> Vec<(String, Path)> {
    // Scattered, so that no page is asked for twice soon.
    let any = move |n: i64, of: i64| (n * 7_919 + 13) % of.max(1);
    let (customers, cases) = (notifications / OF_A_CUSTOMER, notifications / OF_A_CASE);
    let message = format!("{}%2F{}", about.case_type, about.notices[1]);
    let list = "/console/notifications";
    let day = chrono::DateTime::from_timestamp_millis(about.now_ms - 30 * 86_400_000);
    let day = day.map(|at| at.format("%Y-%m-%d").to_string()).unwrap_or_default();
    let mut paths: Vec<(String, Path)> = Vec::new();
    for path in [
        "/console".to_owned(),
        "/console/planned".into(),
        format!("/console/planned?message={message}"),
        list.into(),
        format!("{list}?status=planned"),
        format!("{list}?status=planned&message={message}"),
        format!("{list}?status=planned&channel=sms"),
        format!("{list}?status=sent&channel=email&to={day}"),
        format!("{list}?status=failed"),
        format!("{list}?status=in_doubt"),
        format!("{list}?status=folded"),
        format!("{list}?reason=erased"),
        format!("{list}/many?do=cancel&status=planned&message={message}"),
        format!("{list}/many?do=cancel&status=planned"),
        format!("{list}/many?do=retry&status=failed"),
        "/console/tasks".into(),
        "/console/suppressions".into(),
        "/console/providers".into(),
        "/console/journeys".into(),
        format!("/console/journeys/map/{}", about.case_type),
        "/console/drafts/new".into(),
        "/console/webhooks".into(),
        "/console/audit".into(),
    ] {
        let asked = path.clone();
        paths.push((path, Box::new(move |_| asked.clone())));
    }
    paths.push((
        "/console/search?q=<customer>".into(),
        Box::new(move |n| format!("/console/search?q=C-{}", any(n, customers))),
    ));
    paths.push((
        "/console/search?q=<address>".into(),
        Box::new(move |n| format!("/console/search?q=c{}%40example.com", any(n, customers))),
    ));
    paths.push((
        "/console/search?q=<reference>".into(),
        Box::new(move |n| format!("/console/search?q=ref-{}", any(n, notifications))),
    ));
    paths.push((
        "/console/search?q=<nothing>".into(),
        Box::new(move |n| format!("/console/search?q=nobody{n}")),
    ));
    paths.push((
        "/console/customers/<id>".into(),
        Box::new(move |n| format!("/console/customers/C-{}", any(n, customers))),
    ));
    paths.push((
        "/console/customers/<id>/as".into(),
        Box::new(move |n| format!("/console/customers/C-{}/as", any(n, customers))),
    ));
    paths.push((
        "/console/cases/<id>".into(),
        Box::new(move |n| format!("/console/cases/T-{}", any(n, cases))),
    ));
    paths.push((
        "/console/notifications?customer=<id>".into(),
        Box::new(move |n| format!("{list}?customer=C-{}", any(n, customers))),
    ));
    paths.push((
        "/console/notifications/<id>".into(),
        Box::new(move |n| format!("{list}/{}", Store::invented_id(any(n, notifications)))),
    ));
    // Last: what it draws up goes on beside what is asked for next.
    paths.push(("/console/reports".into(), Box::new(|_| "/console/reports".into())));
    paths
}

async fn ask(
    client: &reqwest::Client,
    base: &str,
    page: &str,
    path: &dyn Fn(i64) -> String,
    requests: usize,
) -> Result<PageTiming, anyhow::Error> {
    let mut ms = Vec::with_capacity(requests);
    let (mut failed, mut bytes) = (0, 0);
    for n in 0..i64::try_from(requests)? {
        let began = Instant::now();
        let answer = client.get(format!("{base}{}", path(n))).send().await?;
        failed += usize::from(answer.status() != 200);
        bytes = bytes.max(answer.bytes().await?.len());
        ms.push(began.elapsed().as_secs_f64() * 1_000.0);
    }
    let first_ms = ms.first().copied().unwrap_or(0.0);
    ms.sort_by(f64::total_cmp);
    let at = |share| percentile(&ms, share);
    Ok(PageTiming {
        page: page.to_owned(),
        requests,
        failed,
        bytes,
        first_ms,
        p50_ms: at(50),
        p95_ms: at(95),
        p99_ms: at(99),
        max_ms: at(100),
    })
}
