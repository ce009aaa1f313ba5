//! From accepted to the first byte at the provider, through the real server.

use std::sync::Arc;

use crate::app::App;
use crate::app::roles::Roles;
use crate::clock::Clock;
use crate::store::Store;
use crate::web::{Metrics, Web, router, serve};

use super::pipeline::import;
use super::reference::tempdir;
use super::{Latency, Sinks};

pub async fn run(sinks: &Sinks, rate: u32, seconds: u32) -> Result<Latency, anyhow::Error> {
    let folder = tempdir()?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let settings = sinks.settings(&folder, port)?;
    let store = Store::open(&settings.store.url).await?;
    let app = Arc::new(App::build(settings, Clock::System, store).await?);
    import(&app).await?;
    let workers = app.start(Roles::ALL);
    let web = Web { app: Arc::clone(&app), metrics: Metrics::install() };
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(serve(listener, router(web), async {
        let _ = stopped.await;
    }));
    let load = reqwest::Url::parse_with_params(
        &format!("{}/load", sinks.http),
        [
            ("url", format!("http://127.0.0.1:{port}/v1/events")),
            ("rate", rate.to_string()),
            ("seconds", seconds.to_string()),
        ],
    )?;
    let latency = reqwest::get(load).await?.bytes().await?;
    let latency = serde_json::from_slice(&latency)?;
    let _ = stop.send(());
    serving.await?;
    workers.stop().await;
    drop(app);
    std::fs::remove_dir_all(&folder)?;
    Ok(latency)
}
