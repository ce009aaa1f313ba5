//! The bare loop: render the same message, hand it over with lettre and reqwest over
//! connections kept open. What Tidings is measured against.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::extension::ClientId;
use tokio::net::TcpStream;

use crate::app::content;
use crate::channel::{MailIdentity, Outgoing};
use crate::domain::message::Shaped;
use crate::domain::{Channel, ChannelMap, NotificationId, Zones};
use crate::render::message::Scene;
use crate::render::sample::{self, Sample};
use crate::render::{Company, Manner, write};
use crate::worker::Live;

use super::{Sinks, Throughput, measure};

/// Connections of each kind, as many as Tidings has.
const CONNECTIONS: usize = 8;

pub async fn run(sinks: &Sinks, messages: usize) -> Result<Throughput, anyhow::Error> {
    let folder = tempdir()?;
    let settings = sinks.settings(&folder, 0)?;
    let files = content::version_files(&settings)?;
    let layouts = content::layouts(&settings)?;
    let offered = ChannelMap { email: true, sms: true, voice: true };
    let zones = Zones::bundled();
    let compiled = content::compile("bench", &files, &layouts, &settings, offered, &zones)?;
    let live = Arc::new(compiled.live);
    let from = settings.sender.mail_from.parse()?;
    let identity = Arc::new(MailIdentity { from, reply_to: None, bounce_to: None, signer: None });
    let mails = messages * 6 / 10;
    let (next_mail, next_text) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));

    let (began, cpu) = (Instant::now(), measure::cpu_us());
    let mut tasks = Vec::new();
    for _ in 0..CONNECTIONS {
        let (live, identity, next) =
            (Arc::clone(&live), Arc::clone(&identity), Arc::clone(&next_mail));
        let address = sinks.smtp.trim_start_matches("smtp://").to_owned();
        tasks.push(tokio::spawn(async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let hello = ClientId::default();
            let mut connection =
                AsyncSmtpConnection::connect_with_transport(Box::new(stream), &hello).await?;
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= mails {
                    return anyhow::Ok(());
                }
                let outgoing = outgoing(&live, n, Channel::Email)?;
                let (envelope, mail) = identity.build(&outgoing)?;
                connection.send(&envelope, &mail).await?;
            }
        }));
    }
    let client = reqwest::Client::new();
    for _ in 0..CONNECTIONS {
        let (live, next, client) = (Arc::clone(&live), Arc::clone(&next_text), client.clone());
        let url = format!("{}/2010-04-01/Accounts/AC1/Messages.json", sinks.http);
        tasks.push(tokio::spawn(async move {
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= messages - mails {
                    return anyhow::Ok(());
                }
                let outgoing = outgoing(&live, n, Channel::Sms)?;
                let Shaped::Sms(sms) = &outgoing.shaped else { continue };
                let form =
                    [("To", "+447911120000"), ("From", "+442079460001"), ("Body", &sms.text)];
                client
                    .post(&url)
                    .basic_auth("AC1", Some("secret"))
                    .form(&form)
                    .send()
                    .await?
                    .bytes()
                    .await?;
            }
        }));
    }
    for task in tasks {
        task.await??;
    }
    let throughput = throughput(messages, began, cpu);
    std::fs::remove_dir_all(&folder)?;
    Ok(throughput)
}

/// What was done since `began`, at which `cpu` had been used.
#[allow(clippy::cast_precision_loss, reason = "a rate for people")]
pub fn throughput(messages: usize, began: Instant, cpu: f64) -> Throughput {
    let seconds = began.elapsed().as_secs_f64();
    Throughput {
        messages,
        seconds,
        per_second: messages as f64 / seconds,
        cpu_us_each: (measure::cpu_us() - cpu) / messages as f64,
    }
}

/// Renders the message of the benchmark.
fn outgoing(live: &Live, n: usize, channel: Channel) -> Result<Outgoing, anyhow::Error> {
    let values = measure::event("ref", n, "take_in_charge_ticket");
    let sample = Sample::new(&values, "ticket", "take_in_charge_ticket");
    let (sender, links) = (sample::sender(), sample::links("http://127.0.0.1:8080"));
    let scene = Scene {
        case: &sample.case,
        customer: &sample.customer,
        sender: &sender,
        links: &links,
        skipped: &[],
        now: sample.now,
        next_word: None,
        wait_min: None,
        zone: live.rules.zone_of(&sample.customer),
        locale: "en-GB".into(),
    };
    let manner = Manner {
        channel,
        code: sample::CODE,
        replies: true,
        discreet: false,
        answers: &[],
        company: Company::default(),
    };
    let written =
        write(&live.messages, &live.presentation, "ticket/taken-in-charge", &scene, manner)?;
    let notification = NotificationId::derive("ref", "taken-in-charge", &n.to_string(), 0);
    Ok(Outgoing {
        notification,
        no: 1,
        case: sample.case.id.clone(),
        to: crate::domain::customer::Address::stored(format!(
            "c{}@example.com",
            n % measure::CUSTOMERS
        )),
        to_name: format!("Customer {n}"),
        shaped: written.shaped,
        message_id: format!("n.{}@example.com", notification.0.simple()),
        thread_id: format!("c.{n}@example.com"),
        unsubscribe: Some(links.unsubscribe),
        topic: "status".into(),
        receipt_url: String::new(),
        call_url: None,
        at: sample.now,
        mail: crate::channel::MailParts::default(),
    })
}

/// A folder of this run's own.
pub fn tempdir() -> Result<std::path::PathBuf, std::io::Error> {
    let name: [u8; 6] = rand::random();
    let name = format!("tidings-bench-{}", data_encoding::HEXLOWER.encode(&name));
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}
