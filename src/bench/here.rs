//! The whole program in this process, at work and serving on a port of its own.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::app::roles::Roles;
use crate::app::{App, Workers};
use crate::clock::Clock;
use crate::config::Settings;
use crate::store::Store;
use crate::web::{Metrics, Web, router, serve};

use super::pipeline::import;

pub(super) struct Here {
    pub app: Arc<App>,
    pub port: u16,
    workers: Workers,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Here {
    /// Starts with the settings for its port, and the customers of the benchmark.
    pub async fn start(
        settings: impl FnOnce(u16) -> Result<Settings, anyhow::Error>,
    ) -> Result<Self, anyhow::Error> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let settings = settings(port)?;
        let store = Store::open(&settings.store.url).await?;
        let app = Arc::new(App::build(settings, Clock::System, store).await?);
        import(&app).await?;
        let workers = app.start(Roles::ALL);
        let web = Web { app: Arc::clone(&app), metrics: Metrics::install() };
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(serve(listener, router(web), async {
            let _ = stopped.await;
        }));
        Ok(Self { app, port, workers, stop, serving })
    }

    pub async fn end(self) -> Result<(), anyhow::Error> {
        let _ = self.stop.send(());
        self.serving.await?;
        self.workers.stop().await;
        Ok(())
    }
}
