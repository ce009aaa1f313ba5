//! A mail server that does what the weather says and writes down what it saw.

use std::sync::Arc;
use std::time::Duration;

use tidings::domain::Channel;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::ledger::{Entry, HandOver, Ledger, now_ms};
use super::tells;
use super::weather::{Fault, Weather};

/// How long a server that hangs says nothing.
pub const HANGS_FOR: Duration = Duration::from_secs(3);

/// Starts the server; answers its address as a URL.
pub async fn start(ledger: Ledger, weather: Arc<Weather>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (ledger, weather) = (ledger.clone(), Arc::clone(&weather));
            tokio::spawn(async move {
                let _ = session(stream, &ledger, &weather).await;
            });
        }
    });
    format!("smtp://{address}")
}

async fn session(stream: TcpStream, ledger: &Ledger, weather: &Weather) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 mock ESMTP\r\n").await?;
    let mut address = String::new();
    let mut fault = Fault::Accept;
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let command = line.to_uppercase();
        let answer: &[u8] = if command.starts_with("EHLO") {
            b"250-mock\r\n250 8BITMIME\r\n"
        } else if command.starts_with("RCPT") {
            line.split(['<', '>']).nth(1).unwrap_or_default().clone_into(&mut address);
            fault = weather.next(Channel::Email, &address);
            match fault {
                Fault::Busy => b"450 4.3.2 come again\r\n",
                Fault::Refuse => b"550 5.6.0 not this one\r\n",
                _ => b"250 2.1.5 ok\r\n",
            }
        } else if command.starts_with("DATA") {
            let at_ms = now_ms();
            if fault == Fault::DropBeforeRead {
                return Ok(());
            }
            stream.write_all(b"354 go on\r\n").await?;
            let Some(mail) = read_mail(&mut stream).await? else {
                note(ledger, at_ms, &address, "", fault, false).await;
                return Ok(());
            };
            let taken = !matches!(fault, Fault::Hang | Fault::FailBefore);
            note(ledger, at_ms, &address, &mail, fault, taken).await;
            match fault {
                Fault::AcceptThenDrop => return Ok(()),
                Fault::Hang => return quiet(&mut stream).await,
                Fault::Held => {
                    weather.strike_now();
                    return quiet(&mut stream).await;
                }
                Fault::SlowDrip => {
                    drip(&mut stream, b"250 2.0.0 taken\r\n").await?;
                    continue;
                }
                Fault::FailBefore => b"451 4.3.0 local error\r\n",
                _ => b"250 2.0.0 taken\r\n",
            }
        } else if command.starts_with("QUIT") {
            stream.write_all(b"221 bye\r\n").await?;
            return Ok(());
        } else {
            b"250 ok\r\n"
        };
        stream.write_all(answer).await?;
    }
}

/// Says nothing until the other side leaves, or for as long as a server hangs.
pub async fn quiet(stream: &mut (impl AsyncReadExt + Unpin)) -> std::io::Result<()> {
    let mut nothing = [0; 64];
    let leaves = async { while stream.read(&mut nothing).await.is_ok_and(|n| n > 0) {} };
    let _ = tokio::time::timeout(HANGS_FOR, leaves).await;
    Ok(())
}

/// One byte every 20 ms.
pub async fn drip(stream: &mut (impl AsyncWriteExt + Unpin), text: &[u8]) -> std::io::Result<()> {
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    for byte in text {
        ticks.tick().await;
        stream.write_all(&[*byte]).await?;
        stream.flush().await?;
    }
    Ok(())
}

/// The mail up to the lone dot; `None` when the sender broke off.
async fn read_mail(stream: &mut (impl AsyncBufReadExt + Unpin)) -> std::io::Result<Option<String>> {
    let mut mail = Vec::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        if stream.read_until(b'\n', &mut line).await? == 0 {
            return Ok(None);
        }
        if line == b".\r\n" {
            return Ok(Some(String::from_utf8_lossy(&mail).into_owned()));
        }
        mail.extend_from_slice(&line);
    }
}

async fn note(ledger: &Ledger, at_ms: i64, address: &str, mail: &str, fault: Fault, taken: bool) {
    let header = |name: &str| {
        let found = mail.lines().find_map(|line| line.strip_prefix(name));
        found.map(|value| value.trim().trim_matches(['<', '>']).to_owned())
    };
    let hand_over = HandOver {
        at_ms,
        channel: Channel::Email,
        address: address.to_owned(),
        name: header("Message-ID:").unwrap_or_default(),
        no: None,
        tells: header("Subject:").as_deref().and_then(tells),
        fault: fault.name(),
        taken,
    };
    ledger.record(Entry::HandOver(hand_over)).await;
}
