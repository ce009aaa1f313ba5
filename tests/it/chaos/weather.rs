//! How providers misbehave: which fault comes next is a function of the seed, the address and
//! how often that address was seen, so that a seed can be played again.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tidings::domain::Channel;
use tokio::sync::Notify;

/// What a provider does with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Accept,
    /// Takes it and closes without a word.
    AcceptThenDrop,
    /// Closes before it is read.
    DropBeforeRead,
    /// Reads it, says nothing for long, closes. Not taken.
    Hang,
    /// Too busy, come again: 429 with Retry-After, 450.
    Busy,
    /// Fails before taking it: 500, 451.
    FailBefore,
    /// Takes it and answers 500.
    FailAfterAccept,
    /// Never: a 4xx or 550 that no repetition mends.
    Refuse,
    /// Takes it and answers one byte at a time.
    SlowDrip,
    /// Takes it and answers what no parser reads.
    BadJson,
    /// Takes it and answers 20 MB.
    BigReply,
    /// The receipt overtakes the answer.
    ReceiptBeforeReply,
    DupReceipt,
    LateReceipt,
    /// Takes it, and says later that it could not deliver.
    Undelivered,
    /// Reads it and waits for the one who strikes.
    Held,
}

impl Fault {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::AcceptThenDrop => "accept_then_drop",
            Self::DropBeforeRead => "drop_before_read",
            Self::Hang => "hang",
            Self::Busy => "busy",
            Self::FailBefore => "500_before",
            Self::FailAfterAccept => "500_after_accept",
            Self::Refuse => "4xx_perm",
            Self::SlowDrip => "slow_drip",
            Self::BadJson => "bad_json",
            Self::BigReply => "20MB_reply",
            Self::ReceiptBeforeReply => "receipt_before_reply",
            Self::DupReceipt => "dup_receipt",
            Self::LateReceipt => "late_receipt",
            Self::Undelivered => "undelivered",
            Self::Held => "held",
        }
    }
}

/// Faults of mail servers, with how many of a thousand messages they meet in rough weather.
const MAIL: [(Fault, u32); 7] = [
    (Fault::AcceptThenDrop, 20),
    (Fault::DropBeforeRead, 25),
    (Fault::Hang, 5),
    (Fault::Busy, 25),
    (Fault::FailBefore, 20),
    (Fault::Refuse, 10),
    (Fault::SlowDrip, 5),
];

/// The same for telephone providers.
const PHONE: [(Fault, u32); 14] = [
    (Fault::AcceptThenDrop, 15),
    (Fault::DropBeforeRead, 15),
    (Fault::Hang, 5),
    (Fault::Busy, 20),
    (Fault::FailBefore, 15),
    (Fault::FailAfterAccept, 15),
    (Fault::Refuse, 10),
    (Fault::SlowDrip, 5),
    (Fault::BadJson, 10),
    (Fault::BigReply, 1),
    (Fault::ReceiptBeforeReply, 30),
    (Fault::DupReceipt, 30),
    (Fault::LateReceipt, 30),
    (Fault::Undelivered, 10),
];

/// The weather of one run.
pub struct Weather {
    seed: u64,
    rough: bool,
    seen: Mutex<HashMap<String, u64>>,
    /// Counts down to the message that is held; negative: none.
    until_held: AtomicI64,
    held: Notify,
}

impl Weather {
    pub fn fair(seed: u64) -> Self {
        Self::new(seed, false)
    }

    pub fn rough(seed: u64) -> Self {
        Self::new(seed, true)
    }

    fn new(seed: u64, rough: bool) -> Self {
        let (seen, held) = (Mutex::default(), Notify::new());
        Self { seed, rough, seen, until_held: AtomicI64::new(-1), held }
    }

    /// What happens to the next message to this address.
    pub fn next(&self, channel: Channel, address: &str) -> Fault {
        if self.until_held.load(Ordering::Acquire) >= 0
            && self.until_held.fetch_sub(1, Ordering::AcqRel) == 0
        {
            return Fault::Held;
        }
        let nth = {
            let mut seen = self.seen.lock().expect("lock");
            let nth = seen.entry(address.to_owned()).or_default();
            *nth += 1;
            *nth
        };
        if !self.rough {
            return Fault::Accept;
        }
        let mut hasher = DefaultHasher::new();
        (self.seed, channel, address, nth).hash(&mut hasher);
        let mut roll = SmallRng::seed_from_u64(hasher.finish()).random_range(0..1_000);
        let faults: &[(Fault, u32)] = if channel == Channel::Email { &MAIL } else { &PHONE };
        for (fault, share) in faults {
            if roll < *share {
                return *fault;
            }
            roll -= share;
        }
        Fault::Accept
    }

    /// Holds the `n`th message from now (0: the next) after it was read.
    pub fn hold(&self, n: i64) {
        self.until_held.store(n, Ordering::Release);
    }

    /// A message is being held.
    pub fn strike_now(&self) {
        self.held.notify_one();
    }

    /// Completes when a message is held.
    pub async fn held(&self) {
        self.held.notified().await;
    }
}
