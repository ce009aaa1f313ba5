//! `tidings ready`: the question a container engine asks, in images that hold no curl.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;

use super::{Context, ExitCode, Outcome};

/// How long the process may take to answer.
const PATIENCE: Duration = Duration::from_secs(4);

/// Ask the process that serves on this machine whether it can keep what it accepts
#[derive(Debug, Args)]
pub struct Ready {}

impl Ready {
    pub async fn run(self, context: &Context) -> Outcome {
        let listen = context.settings()?.http.listen;
        let url = format!("http://{}/readyz", reached_at(listen));
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?;
        let answer = client.get(&url).send().await.with_context(|| format!("{url}: no answer"))?;
        let (status, text) = (answer.status(), answer.text().await?);
        print!("{text}");
        Ok(if status.is_success() { ExitCode::Done } else { ExitCode::Failed })
    }
}

/// Where a process that listens at `listen` is reached from its own machine.
fn reached_at(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_everywhere_is_asked_on_loopback() {
        for (listen, reached) in [
            ("0.0.0.0:8080", "127.0.0.1:8080"),
            ("[::]:8080", "[::1]:8080"),
            ("192.0.2.7:9000", "192.0.2.7:9000"),
        ] {
            let listen = listen.parse().expect("an address");
            assert_eq!(reached_at(listen).to_string(), reached);
        }
    }
}
