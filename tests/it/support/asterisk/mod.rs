//! A double of an exchange's REST interface: HTTP and the events' WebSocket on one port, as
//! Asterisk has them, and as strict: about what it is asked for, about who is told of a channel,
//! and about when a channel is moved.

mod doors;
mod switch;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use switch::Switch;

/// How long a test waits before it says that nothing happened.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How an application begins that was set up as `tidings`: each process has one of its own.
const APPLICATION: &str = "tidings-";

pub const PASSWORD: &str = "ari-password";

/// What the exchange was asked for, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    Call { channel: String, body: Value },
    Play { channel: String, words: String },
    StopPlaying,
    HangUp { channel: String },
    Join { channels: String },
    Move { channel: String, to: String },
}

#[derive(Clone)]
pub struct AsteriskDouble {
    address: std::net::SocketAddr,
    inner: Arc<Inner>,
}

struct Inner {
    switch: Mutex<Switch>,
    /// Begins calls and answers no origination.
    mute: AtomicBool,
    /// How often it was asked which channels there are.
    looks: AtomicUsize,
    asked: mpsc::UnboundedSender<Asked>,
    heard: tokio::sync::Mutex<mpsc::UnboundedReceiver<Asked>>,
    listeners: tokio::sync::Semaphore,
}

impl AsteriskDouble {
    pub async fn start() -> Self {
        let (asked, heard) = mpsc::unbounded_channel();
        let inner = Arc::new(Inner {
            switch: Mutex::default(),
            mute: AtomicBool::new(false),
            looks: AtomicUsize::new(0),
            asked,
            heard: tokio::sync::Mutex::new(heard),
            listeners: tokio::sync::Semaphore::new(0),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(doors::open(listener, Arc::clone(&inner)));
        Self { address, inner }
    }

    pub fn url(&self) -> String {
        format!("http://{}/ari", self.address)
    }

    fn switch(&self) -> MutexGuard<'_, Switch> {
        self.inner.switch.lock().expect("lock")
    }

    /// Status codes of the next originations; 0 begins the call and says nothing.
    pub fn will(&self, answers: impl IntoIterator<Item = u16>) {
        self.switch().answers.extend(answers);
    }

    /// Answers no origination while `mute`; calls begin all the same.
    pub fn goes_mute(&self, mute: bool) {
        self.inner.mute.store(mute, Ordering::SeqCst);
    }

    /// The next move is answered and does nothing, as where the application went just before.
    pub fn moves_nothing_once(&self) {
        self.switch().moves_nothing = true;
    }

    /// Waits until somebody listens to the events.
    pub async fn listened_to(&self) {
        let listener = tokio::time::timeout(PATIENCE, self.inner.listeners.acquire()).await;
        listener.expect("nobody listens").expect("open").forget();
    }

    /// Ends the WebSocket of this process, as a network does.
    pub fn hangs_up_on(&self, process: &str) {
        let line = self.switch().lines.remove(&format!("{APPLICATION}{process}"));
        line.expect("it listens");
    }

    /// Waits until every listener has looked around again, several times.
    pub async fn looked_at(&self) {
        let until = self.inner.looks.load(Ordering::SeqCst) + 12;
        let looks = || self.inner.looks.load(Ordering::SeqCst) >= until;
        let looking = async {
            while !looks() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, looking).await.expect("nobody looks around");
    }

    /// What it is asked for next.
    pub async fn next(&self) -> Asked {
        let mut heard = self.inner.heard.lock().await;
        let asked = tokio::time::timeout(PATIENCE, heard.recv()).await;
        asked.expect("asked for nothing").expect("asked")
    }

    /// Is there nothing that it was asked for and nobody read?
    pub async fn was_asked_for_nothing(&self) {
        let asked = self.inner.heard.lock().await.try_recv();
        assert!(asked.is_err(), "{asked:?}");
    }

    /// Waits until this channel is told words with `part` in them, playing all that comes
    /// before to its end. The words up to there.
    pub async fn plays_until(&self, channel: &str, part: &str) -> String {
        let mut all = String::new();
        loop {
            match self.next().await {
                Asked::Play { channel: on, words } => {
                    assert_eq!(on, channel, "{words}");
                    all.push_str(&words);
                    all.push('\n');
                    if words.contains(part) {
                        return all;
                    }
                    self.played(channel);
                }
                Asked::StopPlaying => {}
                other => panic!("{other:?} before {part:?}: {all}"),
            }
        }
    }

    /// The sound of a channel is over.
    pub fn played(&self, channel: &str) {
        self.switch().sound_ends(channel);
    }

    /// A call without a part of the dialplan: the application gets what it was begun with.
    pub fn picks_up(&self, channel: &str) {
        let mut switch = self.switch();
        let (to, args) = switch.begun(channel);
        switch.enters(channel, &to, &args.expect("no context"));
    }

    /// A call that goes through the dialplan is picked up, and the dialplan listens to it.
    pub fn is_screened(&self, channel: &str) {
        let mut switch = self.switch();
        assert_eq!(switch.begun(channel).1, None, "it goes through the dialplan");
        switch.channel(channel).state = "Up";
    }

    /// The dialplan ends in `Stasis(${TIDINGS_APP},call,MACHINE)`.
    pub fn dialplan_finds(&self, channel: &str, machine: &str) {
        self.is_screened(channel);
        let mut switch = self.switch();
        let (to, _) = switch.begun(channel);
        switch.enters(channel, &to, &format!("call,{machine}"));
    }

    pub fn presses(&self, channel: &str, key: &str) {
        let event = json!({"type": "ChannelDtmfReceived", "digit": key, "duration_ms": 100,
            "channel": {"id": channel}});
        self.switch().tell(channel, &event);
    }

    pub fn ends(&self, channel: &str, cause: u16, text: &str) {
        self.switch().ends(channel, Some((cause, text)));
    }

    /// A call ends and nobody hears of it.
    pub fn forgets(&self, channel: &str) {
        self.switch().ends(channel, None);
    }

    /// Is there a bridge of this call?
    pub fn is_bridged(&self, channel: &str) -> bool {
        self.switch().bridges.contains_key(channel)
    }
}
