//! The real app driven from outside. One behaviour per file; the file names are the
//! specification. Nothing sleeps: time is a manual clock, and `drain` works until nothing
//! is left.

mod support;

mod answers;
mod answers_to_bad_input;
mod api_keys;
mod backup_and_restore;
mod balance;
mod calendars;
mod case_moves_on;
mod centre;
mod chaos;
mod cloud_events;
mod command_line;
mod consent;
mod console;
mod content_of_a_mail;
mod crash_and_recover;
mod deploy;
mod erase;
mod events_in_order;
mod failures_of_a_provider;
mod house;
mod idempotency;
mod import_and_preferences;
mod in_doubt;
mod journeys_of_a_stranger;
mod kill_nine;
mod learning;
mod life_under_faults;
mod links;
mod lives;
mod messages_as_read;
mod messages_together;
mod moving_between_engines;
mod open_cases;
mod operators;
mod play;
mod provider_rests;
mod publishing;
mod queue_on_redis;
mod quiet_hours;
mod rate_limits;
mod receipts;
mod reports;
mod resolved_again;
mod same_on_every_engine;
mod shadow;
mod simulate;
mod sources;
mod store_contract;
mod stream_door;
mod unknown_customer;
mod webhooks;
