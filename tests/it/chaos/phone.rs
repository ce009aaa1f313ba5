//! Twilio's Messages and Calls as the weather has them: raw HTTP, so that a connection can end
//! at any byte; receipts, signed, before, after, twice and late.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tidings::domain::Channel;
use tidings::domain::token::{Grant, Keyring};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::twilio::{pairs, sign};

use super::doors::Doors;
use super::ledger::{Entry, HandOver, Ledger, Word, now_ms};
use super::mail::{drip, quiet};
use super::tells;
use super::weather::{Fault, Weather};

/// How long a late receipt takes.
const LATE: Duration = Duration::from_millis(1_500);

/// Receipts of a server that is down are tried again for this long.
const RECEIPT_TRIES: u32 = 80;

/// The provider's side of the telephone.
pub struct Phone {
    ledger: Ledger,
    weather: Arc<Weather>,
    keys: Keyring,
    doors: Doors,
    sids: AtomicU64,
    /// Receipts still to be told.
    receipts: AtomicUsize,
}

/// A request for one message or call.
struct Request {
    at_ms: i64,
    channel: Channel,
    fields: BTreeMap<String, String>,
}

impl Phone {
    /// Starts the provider; answers it and its address.
    pub async fn start(
        ledger: Ledger,
        weather: Arc<Weather>,
        keys: Keyring,
        doors: Doors,
    ) -> (Arc<Self>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (sids, receipts) = (AtomicU64::new(0), AtomicUsize::new(0));
        let phone = Arc::new(Self { ledger, weather, keys, doors, sids, receipts });
        let serving = Arc::clone(&phone);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let phone = Arc::clone(&serving);
                tokio::spawn(async move {
                    let _ = phone.session(stream).await;
                });
            }
        });
        (phone, format!("http://{address}"))
    }

    /// Has every receipt been told?
    pub fn is_silent(&self) -> bool {
        self.receipts.load(Ordering::Acquire) == 0
    }

    async fn session(self: Arc<Self>, mut stream: TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let mut buffer = Vec::new();
        loop {
            let Some((head, length)) = read_head(&mut stream, &mut buffer).await? else {
                return Ok(());
            };
            // Its list is away: nobody can be asked what became of a message.
            if head.starts_with("GET ") {
                stream.write_all(&reply("503 Service Unavailable", "{}")).await?;
                continue;
            }
            let channel = if head.contains("/Calls.json") { Channel::Voice } else { Channel::Sms };
            let at_ms = now_ms();
            while buffer.len() < length {
                if stream.read_buf(&mut buffer).await? == 0 {
                    return Ok(());
                }
            }
            let body: Vec<u8> = buffer.drain(..length).collect();
            let fields = pairs(&String::from_utf8_lossy(&body)).into_iter().collect();
            let request = Request { at_ms, channel, fields };
            if !self.answer(&mut stream, request).await? {
                return Ok(());
            }
        }
    }

    /// Does what the weather says. Answers whether the connection lives on.
    async fn answer(
        self: &Arc<Self>,
        stream: &mut TcpStream,
        request: Request,
    ) -> std::io::Result<bool> {
        let fault = self.weather.next(request.channel, &request.fields["To"]);
        let taken = !matches!(
            fault,
            Fault::DropBeforeRead | Fault::Hang | Fault::Busy | Fault::FailBefore | Fault::Refuse
        );
        self.note(&request, fault, taken).await;
        let sid = self.sids.fetch_add(1, Ordering::Relaxed);
        let sid =
            format!("{}{sid:032}", if request.channel == Channel::Voice { "CA" } else { "SM" });
        let yes = format!(r#"{{"sid":"{sid}","status":"queued"}}"#);
        match fault {
            Fault::DropBeforeRead | Fault::AcceptThenDrop => return Ok(false),
            Fault::Hang => {
                quiet(stream).await?;
                return Ok(false);
            }
            Fault::Held => {
                self.weather.strike_now();
                quiet(stream).await?;
                return Ok(false);
            }
            Fault::Busy => {
                let body = r#"{"code":20429,"message":"slow down","status":429}"#;
                stream.write_all(&reply("429 Too Many\r\nRetry-After: 1", body)).await?;
            }
            Fault::FailBefore | Fault::FailAfterAccept => {
                let body = r#"{"code":20500,"message":"internal","status":500}"#;
                stream.write_all(&reply("500 Internal", body)).await?;
            }
            Fault::Refuse => {
                let body = r#"{"code":21602,"message":"no","status":400}"#;
                stream.write_all(&reply("400 Bad", body)).await?;
            }
            Fault::SlowDrip => drip(stream, &reply("201 Created", &yes)).await?,
            Fault::BadJson => stream.write_all(&reply("201 Created", "{\"sid\": oh")).await?,
            Fault::BigReply => {
                let body = format!(r#"{{"sid":"{sid}","more":"{}"}}"#, "x".repeat(20 << 20));
                stream.write_all(&reply("201 Created", &body)).await?;
            }
            Fault::ReceiptBeforeReply => {
                Arc::clone(self).tell(&request, sid, Duration::ZERO, 1, "delivered").await;
                stream.write_all(&reply("201 Created", &yes)).await?;
            }
            Fault::DupReceipt | Fault::LateReceipt | Fault::Undelivered | Fault::Accept => {
                stream.write_all(&reply("201 Created", &yes)).await?;
                let (wait, times, says) = match fault {
                    Fault::DupReceipt => (Duration::ZERO, 3, "delivered"),
                    Fault::LateReceipt => (LATE, 1, "delivered"),
                    Fault::Undelivered => (Duration::ZERO, 1, "undelivered"),
                    _ => (Duration::ZERO, 1, "sent"),
                };
                let telling = Arc::clone(self).tell(&request, sid, wait, times, says);
                tokio::spawn(telling);
            }
        }
        Ok(true)
    }

    fn attempt(&self, request: &Request) -> (String, i64) {
        let callback = request.fields["StatusCallback"].as_str();
        let token = callback.split_once("?a=").map(|(_, token)| token).unwrap_or_default();
        match self.keys.read(token, tidings::clock::Clock::System.now()) {
            Some(Grant::Receipt { notification, no }) => (notification.to_string(), no),
            other => panic!("no receipt's address: {callback}: {other:?}"),
        }
    }

    async fn note(&self, request: &Request, fault: Fault, taken: bool) {
        let (name, no) = self.attempt(request);
        let hand_over = HandOver {
            at_ms: request.at_ms,
            channel: request.channel,
            address: request.fields["To"].clone(),
            name,
            no: Some(no),
            tells: request.fields.get("Body").and_then(|text| tells(text)),
            fault: fault.name(),
            taken,
        };
        self.ledger.record(Entry::HandOver(hand_over)).await;
    }

    /// A person picks up and presses 2 to hear the message.
    async fn listen(&self, url: String, sid: &str) {
        let picked_up = [("CallSid", sid), ("CallStatus", "in-progress"), ("AnsweredBy", "human")];
        let pressed = [("CallSid", sid), ("CallStatus", "in-progress"), ("Digits", "2")];
        let signature = sign(&url, &picked_up);
        let first = self.doors.answer(&url, &picked_up, &signature, RECEIPT_TRIES).await;
        let Some(next) = first.as_deref().and_then(action) else { return };
        self.doors.answer(&next, &pressed, &sign(&next, &pressed), RECEIPT_TRIES).await;
    }

    /// Tells the receipt until it is heard; what was heard stands in the ledger.
    fn tell(
        self: Arc<Self>,
        request: &Request,
        sid: String,
        wait: Duration,
        times: u32,
        says: &'static str,
    ) -> impl Future<Output = ()> + Send + use<> {
        self.receipts.fetch_add(1, Ordering::AcqRel);
        let (name, no) = self.attempt(request);
        let callback = request.fields["StatusCallback"].clone();
        let call = request.channel == Channel::Voice;
        let url = request.fields.get("Url").cloned();
        async move {
            let status = match (call, says) {
                (true, "delivered") => "completed",
                (true, "undelivered") => "no-answer",
                (true, _) => "in-progress",
                (false, _) => says,
            };
            let (sid_name, status_name) =
                if call { ("CallSid", "CallStatus") } else { ("MessageSid", "MessageStatus") };
            let fields = [(sid_name, sid.as_str()), (status_name, status)];
            let signature = sign(&callback, &fields);
            tokio::time::timeout(wait, std::future::pending::<()>()).await.ok();
            if let (true, "delivered", Some(url)) = (call, says, url) {
                self.listen(url, &sid).await;
            }
            for _ in 0..times {
                let heard = self.doors.form(&callback, &fields, &signature, RECEIPT_TRIES).await;
                if heard {
                    let at_ms = now_ms();
                    let word = Word { at_ms, name: name.clone(), no, says };
                    self.ledger.record(Entry::Word(word)).await;
                }
            }
            self.receipts.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// Where the key that is pressed next is told.
fn action(twiml: &str) -> Option<String> {
    let (_, rest) = twiml.split_once("action=\"")?;
    Some(rest.split_once('"')?.0.replace("&amp;", "&"))
}

/// A request's head, and how long its body is. What came of the body stays in the buffer.
async fn read_head(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
) -> std::io::Result<Option<(String, usize)>> {
    loop {
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            let head: Vec<u8> = buffer.drain(..end + 4).collect();
            let head = String::from_utf8_lossy(&head).into_owned();
            let length = head
                .to_lowercase()
                .lines()
                .find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok())
                .or_else(|| head.starts_with("GET ").then_some(0));
            // The first byte of the body is the hand-over: wait for it.
            while buffer.is_empty() && length != Some(0) {
                if stream.read_buf(buffer).await? == 0 {
                    return Ok(None);
                }
            }
            return Ok(Some((head, length.expect("a body of known length"))));
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}

fn reply(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}
