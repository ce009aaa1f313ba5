//! Tidings: the proactive notification dispatcher for customer service.
//!
//! A case system says that a case changed; Tidings reads the customer's choices and tells them
//! what matters, when it matters, on the channel they chose. It promises: never lost, never on
//! a refused channel, never twice in silence, never stale, always explained, never silent.
//!
//! # The rooms, in reading order
//!
//! | room | what it is | what it deliberately does not know |
//! | --- | --- | --- |
//! | [`domain`] | the words: case event, customer, preference, notification, reason | everything else |
//! | [`planning`] | what to say, to whom, when and by which channel: pure functions of values and `now` | text, SQL, HTTP |
//! | [`render`] | a message, a customer and facts become a mail, a text or a call | whether and when it is sent |
//! | [`store`] | the facts, and the only SQL; every move of a notification is conditional on what it leaves | rules |
//! | [`queue`] | tickets of ids, handed round in this process or through Redis | what a ticket means |
//! | [`channel`] | providers: SMTP, Twilio, an outbox of files; their limits and health | cases and consent |
//! | [`worker`] | the desk that plans, the lanes that dispatch, the scheduler, the reconciler | HTTP |
//! | [`simulate`] | a recorded history decided again in memory, for what-if | stores, queues, wires |
//! | [`config`] | the settings, each with its default in one file | what the settings do |
//! | [`web`] | the HTTP door: API, receipts, one-click, the customer's pages | rules and SQL |
//! | [`app`] | puts the rooms together; what the doors have in common | the command line |
//! | [`cli`] | the commands | |
//! | [`clock`] | the one place with a wall clock; a manual one for plays and tests | |
//! | [`mod@bench`] | measures this machine, with sinks of its own | |
//!
//! # The main path
//!
//! 1. `POST /v1/events` → [`store::intake`] writes the events and only then answers 202.
//! 2. A bell rings ([`queue`]); the desk ([`worker`]) reads case, customer and journey, asks
//!    [`planning::plan`] and stores what it planned with its reasons and the versions it read.
//! 3. When a notification falls due the scheduler rings; a lane claims it, reads everything
//!    afresh, asks [`planning::eligibility`], and renders.
//! 4. The attempt is written down in one transaction that compares consent, case and epoch with
//!    what was read; only then does the provider hear of it ([`channel`]).
//! 5. What the provider said closes the attempt: sent, retry, next channel, task for a person,
//!    or in doubt; receipts settle the rest.
//!
//! A process may die between any two of these: each step starts from what is stored.
pub mod app;
pub mod bench;
pub mod channel;
pub mod cli;
pub mod clock;
pub mod config;
pub mod domain;
pub mod planning;
pub mod queue;
pub mod render;
pub mod simulate;
pub mod store;
pub mod web;
pub mod worker;
