//! Real Redis servers on loopback, and Sentinels that watch them.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use tempfile::TempDir;

/// How long a server may take to answer a test. Longer than it ever does.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server on a port of its own, its files in a temporary folder; stopped when dropped.
pub struct RedisServer {
    child: Child,
    port: u16,
    arguments: Vec<String>,
    folder: TempDir,
}

impl RedisServer {
    /// A server that keeps nothing over a restart.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// The same with more of `redis-server`'s arguments.
    pub fn with(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let port = free_port();
        let arguments: Vec<String> = arguments.iter().map(|it| (*it).to_owned()).collect();
        let child = spawn(&folder, port, &arguments);
        Self { child, port, arguments, folder }
    }

    /// A Sentinel that watches `leader` under this name, alone: it fails over at a word.
    pub fn sentinel(service: &str, leader: &Self) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let settings = format!(
            "sentinel monitor {service} 127.0.0.1 {} 1\n\
             sentinel down-after-milliseconds {service} 1000\n\
             sentinel failover-timeout {service} 5000\n",
            leader.port
        );
        let file = folder.path().join("sentinel.conf");
        std::fs::write(&file, settings).expect("a file");
        let port = free_port();
        let arguments = vec![file.display().to_string(), "--sentinel".to_owned()];
        let child = spawn(&folder, port, &arguments);
        Self { child, port, arguments, folder }
    }

    pub const fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// A connection for the test's own words.
    pub async fn connection(&self) -> MultiplexedConnection {
        self.try_to_connect().await.expect("the server answers")
    }

    async fn try_to_connect(&self) -> redis::RedisResult<MultiplexedConnection> {
        let patient = redis::AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        let client = redis::Client::open(self.url()).expect("an address");
        client.get_multiplexed_async_connection_with_config(&patient).await
    }

    /// What the server answers to a command.
    pub async fn ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        self.try_to_ask(words).await.unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    /// The same of a server that may hang up, as those that change places do.
    pub async fn try_to_ask<T: redis::FromRedisValue>(
        &self,
        words: &[&str],
    ) -> redis::RedisResult<T> {
        let (name, arguments) = words.split_first().expect("a command");
        let mut connection = self.try_to_connect().await?;
        redis::cmd(name).arg(arguments).query_async(&mut connection).await
    }

    /// Ends it as `kill -9` does.
    pub fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ended");
    }

    /// Starts it again where it was.
    pub fn start_again(&mut self) {
        self.child = spawn(&self.folder, self.port, &self.arguments);
    }

    /// Stops it in its tracks, as a network that swallows everything does, or lets it go on.
    pub fn freeze(&self, freeze: bool) {
        let signal = if freeze { "-STOP" } else { "-CONT" };
        let pid = self.child.id().to_string();
        let done = Command::new("kill").args([signal, &pid]).status().expect("kill runs");
        assert!(done.success(), "kill {signal} {pid}");
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port nobody listens on, below those the system gives to connections on their way out: a
/// server that is killed and comes back finds it free.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let n = NEXT.fetch_add(1, Ordering::Relaxed) + std::process::id() * 97;
        let port = 12_000 + u16::try_from(n % 18_000).expect("below 18,000");
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Starts a server and waits until it says that it serves.
fn spawn(folder: &TempDir, port: u16, arguments: &[String]) -> Child {
    let is_sentinel = arguments.iter().any(|it| it == "--sentinel");
    let keeps_nothing = ["--save", "", "--repl-diskless-sync-delay", "0"];
    let mut child = Command::new("redis-server")
        .args(arguments)
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(keeps_nothing.iter().filter(|_| !is_sentinel))
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("redis-server is installed");
    let mut said = BufReader::new(child.stdout.take().expect("piped")).lines();
    let heard: Vec<String> = said
        .by_ref()
        .map_while(Result::ok)
        .take_while(|line| !line.contains("eady to accept") && !line.contains("Sentinel ID is"))
        .collect();
    if let Some(ended) = child.try_wait().expect("its state") {
        panic!("redis-server ended: {ended}: {heard:#?}");
    }
    // What it says later is read and forgotten, so that it never waits for a reader.
    std::thread::spawn(move || said.for_each(drop));
    child
}
