//! An SMTP server that takes mail for real and answers as it is told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A mail that was taken.
#[derive(Debug, Clone)]
pub struct Mail {
    /// The envelope's sender.
    pub from: String,
    pub to: String,
    /// As it came over the wire, dots unstuffed.
    pub data: String,
}

/// What the server does with the next mail.
#[derive(Debug, Clone)]
pub enum Reply {
    /// Says this at RCPT.
    AtRcpt(&'static str),
    /// Reads the whole mail, then says this.
    AtDot(&'static str),
    /// Reads the whole mail, keeps it, and closes without a word.
    TakeAndVanish,
    /// Closes at DATA.
    VanishAtData,
}

#[derive(Clone)]
pub struct SmtpSink {
    address: std::net::SocketAddr,
    taken: Arc<Mutex<Vec<Mail>>>,
    replies: Arc<Mutex<VecDeque<Reply>>>,
}

impl SmtpSink {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let sink = Self { address, taken: Arc::default(), replies: Arc::default() };
        let serving = sink.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let session = serving.clone();
                tokio::spawn(async move {
                    let _ = session.serve(stream).await;
                });
            }
        });
        sink
    }

    pub fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    /// Queues what happens with the next mails, one each.
    pub fn will(&self, replies: impl IntoIterator<Item = Reply>) {
        self.replies.lock().expect("lock").extend(replies);
    }

    pub fn taken(&self) -> Vec<Mail> {
        self.taken.lock().expect("lock").clone()
    }

    async fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let mut stream = BufReader::new(stream);
        stream.write_all(b"220 sink ESMTP\r\n").await?;
        let (mut from, mut to) = (String::new(), String::new());
        let mut line = String::new();
        let mut reply: Option<Reply> = None;
        loop {
            line.clear();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            let upper = line.to_uppercase();
            let answer: &str = if upper.starts_with("EHLO") {
                "250-sink\r\n250 8BITMIME\r\n"
            } else if upper.starts_with("MAIL") {
                reply = self.replies.lock().expect("lock").pop_front();
                from = line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
                "250 2.1.0 ok\r\n"
            } else if upper.starts_with("RCPT") {
                to = line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
                match &reply {
                    Some(Reply::AtRcpt(words)) => {
                        stream.write_all(format!("{words}\r\n").as_bytes()).await?;
                        continue;
                    }
                    _ => "250 2.1.5 ok\r\n",
                }
            } else if upper.starts_with("DATA") {
                if matches!(reply, Some(Reply::VanishAtData)) {
                    return Ok(());
                }
                stream.write_all(b"354 go on\r\n").await?;
                let data = read_data(&mut stream).await?;
                let refuses = matches!(reply, Some(Reply::AtDot(words)) if !words.starts_with('2'));
                if !refuses {
                    let mail = Mail { from: from.clone(), to: to.clone(), data };
                    self.taken.lock().expect("lock").push(mail);
                }
                match &reply {
                    Some(Reply::TakeAndVanish) => return Ok(()),
                    Some(Reply::AtDot(words)) => {
                        stream.write_all(format!("{words}\r\n").as_bytes()).await?;
                        continue;
                    }
                    _ => "250 2.0.0 taken\r\n",
                }
            } else if upper.starts_with("QUIT") {
                stream.write_all(b"221 bye\r\n").await?;
                return Ok(());
            } else {
                "250 ok\r\n"
            };
            stream.write_all(answer.as_bytes()).await?;
        }
    }
}

/// Reads up to the line that holds one dot (RFC 5321 section 4.5.2).
async fn read_data(
    stream: &mut (impl AsyncReadExt + AsyncBufReadExt + Unpin),
) -> std::io::Result<String> {
    let mut data = Vec::new();
    loop {
        let mut line = Vec::new();
        if stream.read_until(b'\n', &mut line).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if line == b".\r\n" {
            return Ok(String::from_utf8_lossy(&data).into_owned());
        }
        let line = line.strip_prefix(b".").unwrap_or(&line);
        data.extend_from_slice(line);
    }
}

impl Mail {
    /// A header's value, unfolded.
    pub fn header(&self, name: &str) -> Option<String> {
        let head = self.data.split("\r\n\r\n").next()?.replace("\r\n ", " ").replace("\r\n\t", " ");
        let prefix = format!("{}:", name.to_lowercase());
        head.lines()
            .find(|line| line.to_lowercase().starts_with(&prefix))
            .map(|line| line[prefix.len()..].trim().to_owned())
    }

    /// The text part, decoded.
    pub fn text(&self) -> String {
        self.part("text/plain")
    }

    /// The HTML part, decoded.
    pub fn html(&self) -> String {
        self.part("text/html")
    }

    fn part(&self, content_type: &str) -> String {
        let at = self.data.to_lowercase().find(&format!("content-type: {content_type}"));
        let rest = &self.data[at.unwrap_or_else(|| panic!("no {content_type} in {}", self.data))..];
        let body = rest.split_once("\r\n\r\n").expect("a body").1;
        let body = body.split("\r\n--=_").next().expect("a part");
        quoted_printable(body)
    }
}

fn quoted_printable(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.replace("=\r\n", "").into_bytes().into_iter();
    while let Some(byte) = bytes.next() {
        if byte == b'=' {
            let hex: Vec<u8> = bytes.by_ref().take(2).collect();
            let hex = String::from_utf8(hex).expect("hex");
            out.push(u8::from_str_radix(&hex, 16).expect("hex"));
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).expect("UTF-8").replace("\r\n", "\n")
}
