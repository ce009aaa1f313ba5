//! The inside of the exchange: its channels, who is told of them, and what each waits for.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedSender;

/// What a channel is to do next; a sound holds back what comes after it.
pub enum Order {
    Play(String),
    Move { to: String, args: String },
}

pub struct Channel {
    pub state: &'static str,
    /// The application whose it is; none while it rings and in the dialplan.
    pub within: Option<String>,
    /// The application it was begun for, and with which arguments; none for the dialplan.
    begun: (String, Option<String>),
    pub letter: Value,
    orders: VecDeque<Order>,
}

#[derive(Default)]
pub struct Switch {
    pub channels: BTreeMap<String, Channel>,
    /// How often each application asked for each channel, or came to have it.
    interest: BTreeMap<(String, String), i32>,
    /// Who listens, by application: the last one who came.
    pub lines: BTreeMap<String, UnboundedSender<String>>,
    /// Applications that somebody listened to once.
    pub known: std::collections::BTreeSet<String>,
    pub bridges: BTreeMap<String, Vec<String>>,
    pub answers: VecDeque<u16>,
    pub moves_nothing: bool,
}

impl Switch {
    pub fn channel(&mut self, id: &str) -> &mut Channel {
        self.channels.get_mut(id).expect("a channel")
    }

    /// A channel that rings.
    pub fn begins(&mut self, id: &str, begun: (String, Option<String>), letter: Value) {
        if begun.1.is_some() {
            self.ask_for(&begun.0, id, 1);
        }
        let orders = VecDeque::new();
        let channel = Channel { state: "Ringing", within: None, begun, letter, orders };
        self.channels.insert(id.to_owned(), channel);
    }

    pub fn begun(&self, id: &str) -> (String, Option<String>) {
        self.channels[id].begun.clone()
    }

    pub fn ask_for(&mut self, application: &str, id: &str, more: i32) {
        *self.interest.entry((application.to_owned(), id.to_owned())).or_default() += more;
    }

    /// Tells one application, if anybody listens to it.
    fn tell_one(&self, application: &str, event: &Value) {
        if let Some(line) = self.lines.get(application) {
            let _ = line.send(event.to_string());
        }
    }

    /// Tells every application that is interested in a channel.
    pub fn tell(&self, id: &str, event: &Value) {
        for ((application, of), count) in &self.interest {
            if of == id && *count > 0 {
                self.tell_one(application, event);
            }
        }
    }

    pub fn enters(&mut self, id: &str, application: &str, args: &str) {
        let channel = self.channel(id);
        channel.state = "Up";
        channel.within = Some(application.to_owned());
        self.ask_for(application, id, 1);
        let args: Vec<&str> = args.split(',').collect();
        let event = json!({"type": "StasisStart", "application": application, "args": args,
            "channel": {"id": id, "state": "Up"}});
        self.tell_one(application, &event);
    }

    fn leaves(&mut self, id: &str) {
        if let Some(application) = self.channel(id).within.take() {
            let event =
                json!({"type": "StasisEnd", "application": application, "channel": {"id": id}});
            self.tell_one(&application, &event);
            self.ask_for(&application, id, -1);
        }
    }

    pub fn order(&mut self, id: &str, order: Order) {
        self.channel(id).orders.push_back(order);
        self.go_on(id);
    }

    /// Does what waits, up to the next sound.
    fn go_on(&mut self, id: &str) {
        while let Some(Order::Move { to, args }) =
            self.channel(id).orders.pop_front_if(|order| matches!(order, Order::Move { .. }))
        {
            // Where nobody listens a move does nothing.
            if self.lines.contains_key(&to) {
                self.leaves(id);
                self.enters(id, &to, &args);
            }
        }
    }

    fn playing(&self, id: &str) -> Option<String> {
        match self.channels.get(id)?.orders.front() {
            Some(Order::Play(playback)) => Some(playback.clone()),
            _ => None,
        }
    }

    pub fn sound_ends(&mut self, id: &str) {
        let playback = self.playing(id).expect("a sound plays");
        self.channel(id).orders.pop_front();
        let event =
            json!({"type": "PlaybackFinished", "playback": {"id": playback, "state": "done"}});
        self.tell(id, &event);
        self.go_on(id);
    }

    /// The channel that a sound is played on, or waits on.
    pub fn channel_of(&self, playback: &str) -> Option<String> {
        let plays = |order: &Order| matches!(order, Order::Play(id) if id == playback);
        let on = self.channels.iter().find(|(_, channel)| channel.orders.iter().any(plays));
        on.map(|(id, _)| id.clone())
    }

    /// Ends a channel; without a cause nobody is told.
    pub fn ends(&mut self, id: &str, cause: Option<(u16, &str)>) {
        if cause.is_some() {
            self.leaves(id);
        }
        self.channels.remove(id).expect("a channel");
        for channels in self.bridges.values_mut() {
            channels.retain(|channel| channel != id);
        }
        if let Some((cause, text)) = cause {
            let event = json!({"type": "ChannelDestroyed", "cause": cause, "cause_txt": text,
                "channel": {"id": id}});
            self.tell(id, &event);
        }
        self.interest.retain(|(_, of), _| of != id);
    }
}
