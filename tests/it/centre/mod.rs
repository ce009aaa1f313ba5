//! The customer's own pages, without a script: the ways in, what one can do there, what one
//! can see, and what is kept of it.

mod addresses;
mod barrier;
mod brand;
mod calls;
mod choices;
mod data;
mod guesses;
mod matters;
mod message_page;
mod own_word;
mod promised_calls;
mod race;
mod wait;
mod ways_in;
