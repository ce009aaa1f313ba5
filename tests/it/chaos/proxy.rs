//! A wire that can stop passing bytes without closing: what a process sees that is cut off.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Passes bytes to one port until it is cut, and again from when it is mended.
pub struct Proxy {
    port: u16,
    passes: watch::Sender<bool>,
}

impl Proxy {
    pub async fn to(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (passes, gate) = watch::channel(true);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let gate = gate.clone();
                tokio::spawn(async move {
                    let _ = connect(stream, target, gate).await;
                });
            }
        });
        Self { port, passes }
    }

    /// The same address, through this wire.
    pub fn instead(&self, url: &str, target: u16) -> String {
        url.replace(&format!(":{target}"), &format!(":{}", self.port))
    }

    pub fn cut(&self) {
        self.passes.send_replace(false);
    }

    pub fn mend(&self) {
        self.passes.send_replace(true);
    }
}

async fn connect(
    stream: TcpStream,
    target: u16,
    mut gate: watch::Receiver<bool>,
) -> std::io::Result<()> {
    open(&mut gate).await;
    let there = TcpStream::connect(("127.0.0.1", target)).await?;
    stream.set_nodelay(true)?;
    there.set_nodelay(true)?;
    let (our_read, our_write) = stream.into_split();
    let (their_read, their_write) = there.into_split();
    tokio::select! {
        done = pass(our_read, their_write, gate.clone()) => done,
        done = pass(their_read, our_write, gate) => done,
    }
}

/// Nothing is lost while the wire is cut; it only does not arrive.
async fn pass(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mut gate: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let length = from.read(&mut buffer).await?;
        open(&mut gate).await;
        if length == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..length]).await?;
    }
}

async fn open(gate: &mut watch::Receiver<bool>) {
    let _ = gate.wait_for(|passes| *passes).await;
}
