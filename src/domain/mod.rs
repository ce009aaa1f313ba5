//! VOCABULARY: the values everything else talks about, how they are parsed, and the
//! status machine of a notification. No IO, no async, no clock.

pub mod case;
pub mod channel;
pub mod customer;
pub mod fault;
pub mod finding;
pub mod hours;
pub mod id;
pub mod message;
pub mod notification;
pub mod one_time;
pub mod operator;
pub mod password;
pub mod plan;
pub mod preference;
pub mod reason;
pub mod redis_url;
pub mod secret;
pub mod share;
pub mod signature;
pub mod span;
pub mod time;
pub mod token;
pub mod webhook;

pub use case::{Case, CaseEvent, OrderKey};
pub use channel::{Channel, ChannelMap, Rest};
pub use customer::{ContactPoint, Customer};
pub use fault::{Fault, Fields};
pub use finding::Finding;
pub use hours::{Hours, QuietHours, Window};
pub use id::{CaseId, CustomerId, EventKey, NotificationId};
pub use message::Message;
pub use notification::{Held, Notification, Sign, Status, Urgency};
pub use one_time::OneTimeSecret;
pub use operator::{Operator, Role};
pub use password::PasswordHash;
pub use plan::{Decision, Outcome, Plan};
pub use preference::{CaseChoice, Preferences};
pub use reason::Reason;
pub use redis_url::RedisUrl;
pub use secret::Secret;
pub use span::Span;
pub use time::{Instant, Zones};
