//! E-mail against what it meets in the world: replies, signatures, TLS, bounces, real servers.

mod calendar;
mod examples;
mod inbound;
mod replies;
mod servers;
mod signature;
mod transport;
mod verp;
