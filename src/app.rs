//! Composition root: builds every part once, starts the roles, shuts down.

pub mod adaptive;
pub mod answers;
pub mod balance;
pub mod barrier;
pub mod centre;
pub mod console;
pub mod content;
pub mod demo;
pub mod doctor;
pub mod drift;
pub mod explain;
pub mod files;
mod gateways;
pub mod guesses;
pub mod inbound;
pub mod journey_map;
pub mod moving;
pub mod pages;
pub mod phone;
pub mod play;
pub mod publishing;
mod queue;
pub mod redis;
pub mod reports;
pub mod restored;
pub mod roles;
pub mod send_test;
pub mod simulate;
pub mod sources;
pub mod staff;
pub mod stream;
pub mod texted;
pub mod times_by_text;
pub mod webhooks;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use chrono::TimeDelta;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::channel::health::Connect;
use crate::channel::{Gateway, Gateways, Way, offered};
use crate::clock::Clock;
use crate::config::{DispatchMode, Settings};
use crate::domain::token::Keyring;
use crate::domain::{ChannelMap, Finding, RedisUrl, Zones};
use crate::queue::Receivers;
use crate::store::{DispatchLock, Store, StoreError};
use crate::worker::lane::{self, LaneEnd, LaneHandle};
pub use crate::worker::seams::Seam;
use crate::worker::seams::Seams;
use crate::worker::webhooks::Outlet;
use crate::worker::{Behaviour, Engine, Stopping, doubts, reconcile, scheduler};

use console::shelf::Shelf;
use gateways::{gateways, health, identity, senders};
use publishing::in_force;
pub use publishing::publish;
use roles::Roles;

use stream::StreamDoor;

/// Why Tidings could not be built.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Content(#[from] content::ContentError),
    /// Something in the files must be mended first.
    #[error("{} faults in journeys and messages; `tidings check` shows them", .0.iter().filter(|f| f.is_error()).count())]
    Findings(Vec<Finding>),
    #[error("{0}")]
    Settings(String),
}

/// Every part, built and not yet running.
#[derive(Debug)]
pub struct App {
    pub engine: Arc<Engine>,
    pub settings: Arc<Settings>,
    pub zones: Zones,
    /// The customer's pages.
    pub pages: pages::Pages,
    /// The console's pages.
    pub console: console::Pages,
    /// How help desks' own webhooks are read.
    pub sources: sources::Sources,
    /// Who may see them.
    pub door: console::Door,
    /// The reports shown there.
    pub reports: Shelf<serde_json::Value>,
    pub traffic: Shelf<journey_map::Month>,
    /// Who guesses their links.
    pub guesses: guesses::Guesses,
    /// The hooks of other systems.
    pub outlets: Vec<Arc<Outlet>>,
    /// Held while a what-if is played for somebody who waits for it.
    pub what_if: Arc<tokio::sync::Mutex<()>>,
    /// The files on disk differ from the version in force.
    pub files_differ: bool,
    parts: Mutex<Option<Parts>>,
}

/// What the workers take with them when they start.
#[derive(Debug)]
struct Parts {
    receivers: Receivers,
    /// The workers and the lanes they send through.
    crew: Vec<(Arc<Engine>, Vec<LaneEnd>)>,
}

/// Workers that run until they are stopped.
#[derive(Debug)]
pub struct Workers {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    senders: Vec<JoinHandle<()>>,
}

impl App {
    /// Builds everything on an open store. A store nothing was ever published in gets the
    /// files of the settings.
    ///
    /// # Errors
    /// What cannot be used as it is, and how to mend it.
    pub async fn build(settings: Settings, clock: Clock, store: Store) -> Result<Self, AppError> {
        let gateways = gateways(&settings)?;
        let seams = Seams::from_env().map_err(AppError::Settings)?;
        // Much is built at once: not on the stack of whoever waits.
        Box::pin(Self::build_with(settings, clock, store, gateways, seams)).await
    }

    /// The same with ways out of the caller's, and its eyes on the seams: for tests.
    ///
    /// # Errors
    /// As [`App::build`].
    pub async fn build_with(
        settings: Settings,
        clock: Clock,
        store: Store,
        gateways: Gateways,
        seams: Seams,
    ) -> Result<Self, AppError> {
        let zones = crate::clock::newest_zones();
        let house_zone = zones
            .get(&settings.locales.time_zone)
            .map_err(|why| AppError::Settings(format!("[locales] time_zone: {why}")))?;
        let lease_ms = i64::from(settings.dispatch.lease_s) * 1_000;
        let found_for_ms = match settings.limits.unusable_for_days {
            0 => i64::MAX,
            days => i64::from(days) * 86_400_000,
        };
        let store = store
            .with_found_for(found_for_ms)
            .with_leases_of(lease_ms)
            .with_outbound(settings.outbound());
        let outlets = webhooks::outlets(&settings)?;
        if let Some(ahead_ms) = store.clock_ahead_ms(|| Clock::System.now()).await? {
            clock.correct_by(ahead_ms);
        }
        let now = clock.now();
        if store.mark_if_a_backup(now).await? {
            tracing::warn!("this store is a copy that was made by `tidings backup`");
        }
        if let Some(waiting) = restored::waiting(&store).await? {
            tracing::warn!(
                restored_at = %waiting.restored_at,
                messages = waiting.messages,
                "the store was restored: what was due before waits for `tidings restore --confirm`"
            );
        }
        let keys = keyring(&settings, &store).await?;
        let (fingerprint, body) = settings.fingerprint();
        store.note_settings(&fingerprint, &body, now.timestamp_millis()).await?;

        let on_disk = content::version_files(&settings)?;
        let layouts = content::layouts(&settings)?;
        let pages = pages::Pages::load(&settings)?;
        let console = console::Pages::load(&settings, house_zone)?;
        let sources = sources::Sources::load(&settings)?;
        let door = console::Door::new(&settings)?;
        let on_disk_hash = content::hash(&on_disk);
        let in_force = match in_force::read(&store).await? {
            Some(in_force) => in_force,
            None => in_force::Files::of(on_disk_hash.clone(), on_disk.clone()),
        };
        let files_differ = !in_force.is(&on_disk_hash);
        let live = in_force.compile(&layouts, &settings, offered(&gateways), &zones)?;
        if store.published().await?.is_none() {
            let why = "the files of the settings";
            store.publish(&on_disk_hash, &on_disk, "first start", why, now).await?;
        }

        let behaviour = behaviour(&settings);
        let (queue, receivers) = queue::queue(&settings, &behaviour.owner).await?;
        let (lanes, ends) = lanes(&gateways);
        let health = health(&settings, &gateways, &clock)?;
        let engine = Engine {
            store,
            queue,
            clock,
            live: Arc::new(ArcSwap::from_pointee(live)),
            keys,
            gateways,
            behaviour,
            activity: crate::worker::activity::Activity::default(),
            held: crate::worker::held::Held::default(),
            desk: Arc::default(),
            lessons: Arc::default(),
            resolved_with: Arc::default(),
            wake: Arc::default(),
            lanes,
            health: Arc::new(health),
            seams,
        };
        crate::worker::drains::run_once(&engine).await?;
        let engine = Arc::new(engine);
        let crew = vec![(Arc::clone(&engine), ends)];
        Ok(Self {
            engine,
            settings: Arc::new(settings),
            zones,
            pages,
            console,
            sources,
            door,
            reports: Shelf::default(),
            traffic: Shelf::default(),
            guesses: guesses::Guesses::default(),
            outlets,
            what_if: Arc::default(),
            files_differ,
            parts: Mutex::new(Some(Parts { receivers, crew })),
        })
    }

    /// The same with `count` workers in this process, who take turns at the tickets and each
    /// claim and send for themselves.
    #[must_use]
    pub fn with_workers(self, count: usize) -> Self {
        if let Some(parts) = &mut *self.parts.lock().expect("no panic while held") {
            while parts.crew.len() < count {
                let (lanes, ends) = lanes(&self.engine.gateways);
                let colleague = self.engine.colleague(random_owner(), lanes);
                parts.crew.push((Arc::new(colleague), ends));
            }
        }
        self
    }

    /// Takes back what a process held that is gone. Where nobody else can be at work that is
    /// everything held; beside others, what their leases no longer cover.
    ///
    /// # Errors
    /// `Unavailable` when the store is away.
    pub async fn recover(&self, lock: &DispatchLock) -> Result<(), StoreError> {
        let engine = &self.engine;
        let now = engine.clock.now();
        let settle_by = reconcile::settle_by(engine, now);
        let store = &engine.store;
        let (planned_again, doubtful) = if lock.is_alone() {
            store.reap_all(now, settle_by).await?
        } else {
            store.reap(now, settle_by).await?
        };
        if planned_again + doubtful > 0 {
            tracing::warn!(
                planned_again,
                doubtful,
                "took back what a process before this one held"
            );
        }
        Ok(())
    }

    /// Opens the stream door, where there is a Redis and a stream is named.
    ///
    /// # Errors
    /// `Settings` when `[queue] url` is wrong.
    pub fn open_stream_door(&self) -> Result<Option<StreamDoor>, AppError> {
        let (url, intake) = (&self.settings.queue.url, &self.settings.intake);
        if intake.stream.is_empty() || !RedisUrl::is_meant(url) {
            return Ok(None);
        }
        let connect = connector(url)?;
        let (stream, group) = (&intake.stream, &intake.stream_group);
        tracing::info!(stream, group, "events are read from the stream");
        Ok(Some(StreamDoor::open(&self.engine, connect, stream, group)))
    }

    /// Starts planning and dispatch, to be driven by the caller: a play, a test.
    ///
    /// # Panics
    /// When the workers were started before.
    #[must_use]
    pub fn start_driven(&self) -> Workers {
        let (stop, stopping) = watch::channel(false);
        let (tasks, senders) = self.start_work(&stopping);
        Workers { stop, tasks, senders }
    }

    /// Starts what these roles do by themselves, until they are stopped.
    ///
    /// # Panics
    /// When the workers were started before.
    #[must_use]
    pub fn start(self: &Arc<Self>, roles: Roles) -> Workers {
        let (stop, stopping) = watch::channel(false);
        let engine = || Arc::clone(&self.engine);
        let (mut tasks, senders) =
            if roles.worker { self.start_work(&stopping) } else { (Vec::new(), Vec::new()) };
        if roles.worker {
            tasks.push(tokio::spawn(reconcile::renew(engine(), stopping.clone())));
            for outlet in &self.outlets {
                let Engine { store, clock, .. } = &*self.engine;
                let (store, clock, outlet) = (store.clone(), clock.clone(), Arc::clone(outlet));
                let serving = crate::worker::webhooks::run(store, clock, outlet, stopping.clone());
                tasks.push(tokio::spawn(serving));
            }
            if let Some(board) = phone::switchboard(self) {
                tasks.push(tokio::spawn(board.run(stopping.clone())));
            }
        }
        if roles.scheduler {
            tasks.push(tokio::spawn(scheduler::run(engine(), stopping.clone())));
            tasks.push(tokio::spawn(reconcile::run(engine(), stopping.clone())));
            tasks.push(tokio::spawn(doubts::run(engine(), stopping.clone())));
            let calls = centre::promised_calls::run(Arc::clone(self), stopping.clone());
            tasks.push(tokio::spawn(calls));
            let ringing = phone::promised::run(Arc::clone(self), stopping.clone());
            tasks.push(tokio::spawn(ringing));
            let Engine { store, clock, .. } = &*self.engine;
            let (store, clock) = (store.clone(), clock.clone());
            let forgetting = crate::worker::webhooks::forget(store, clock, stopping.clone());
            tasks.push(tokio::spawn(forgetting));
        }
        tasks.push(tokio::spawn(roles::keep_clock(engine(), stopping.clone())));
        // Every role sends letters, or shows what is stopped and withdrawn.
        tasks.push(tokio::spawn(crate::worker::drains::run(engine(), stopping.clone())));
        let (settings, zones) = (Arc::clone(&self.settings), self.zones.clone());
        tasks.push(tokio::spawn(follow_publications(engine(), settings, zones, stopping)));
        Workers { stop, tasks, senders }
    }

    fn start_work(&self, stopping: &Stopping) -> (Vec<JoinHandle<()>>, Vec<JoinHandle<()>>) {
        let parts = self.parts.lock().expect("no panic while held").take();
        let Parts { receivers, crew } = parts.expect("workers start once");
        let mut senders = Vec::new();
        let mut workers = Vec::with_capacity(crew.len());
        for (engine, lanes) in crew {
            let (outcomes, to_record) = mpsc::channel(2_000);
            for end in lanes {
                senders.extend(lane::start(&engine, end, &outcomes, stopping));
            }
            drop(outcomes);
            senders.push(tokio::spawn(lane::record_outcomes(Arc::clone(&engine), to_record)));
            workers.push(engine);
        }
        let working = run_queue(workers, receivers, stopping.clone());
        (vec![tokio::spawn(working)], senders)
    }
}

async fn run_queue(crew: Vec<Arc<Engine>>, receivers: Receivers, mut stopping: Stopping) {
    let turn = AtomicUsize::new(0);
    let handler: crate::queue::Handler = Arc::new(move |ticket| {
        let turn = turn.fetch_add(1, Ordering::Relaxed) % crew.len();
        Box::pin(Arc::clone(&crew[turn]).handle(ticket))
    });
    let stop = async move {
        let _ = stopping.wait_for(|stop| *stop).await;
    };
    if let Err(error) = crate::queue::run(receivers, handler, stop).await {
        tracing::error!(%error, "the queue did not stop in good order");
    }
}

impl Workers {
    /// Stops at once, wherever the work stands, as a crash would: for tests.
    pub fn abort(self) {
        for task in self.tasks.iter().chain(&self.senders) {
            task.abort();
        }
    }

    /// Stops taking up work, finishes what is on the wire and records it.
    pub async fn stop(self) {
        let _ = self.stop.send(true);
        for task in self.tasks.into_iter().chain(self.senders) {
            if let Err(error) = task.await {
                tracing::error!(%error, "a worker ended badly");
            }
        }
    }
}

/// Takes up versions that other processes publish.
async fn follow_publications(
    engine: Arc<Engine>,
    settings: Arc<Settings>,
    zones: Zones,
    mut stopping: watch::Receiver<bool>,
) {
    let mut publications = engine.store.foreign_publications();
    loop {
        tokio::select! {
            Ok(()) = publications.changed() => {}
            () = crate::worker::stopped(&mut stopping) => return,
        }
        if let Err(error) = take_up(&engine, &settings, &zones).await {
            tracing::error!(%error, "the published version cannot be used; the one before goes on");
        }
    }
}

async fn take_up(engine: &Engine, settings: &Settings, zones: &Zones) -> Result<(), AppError> {
    let known = engine.live.load().rules.journeys.in_force();
    let stored = engine.store.in_force().await?;
    if stored.is_none_or(|stored| in_force::name(&stored) == known) {
        return Ok(());
    }
    let Some(files) = in_force::read(&engine.store).await? else { return Ok(()) };
    let layouts = content::layouts(settings)?;
    let live = files.compile(&layouts, settings, offered(&engine.gateways), zones)?;
    let version = live.rules.journeys.in_force();
    tracing::info!(version, "a new version of the journeys is in force");
    engine.live.store(Arc::new(live));
    Ok(())
}

async fn keyring(settings: &Settings, store: &Store) -> Result<Keyring, AppError> {
    let key = match &settings.auth.key_file {
        None => store.installation_key().await?,
        Some(file) => {
            let wrong = |why: &str| {
                AppError::Settings(format!("[auth] key_file {}: {why}", file.display()))
            };
            let text = std::fs::read_to_string(file).map_err(|error| wrong(&error.to_string()))?;
            data_encoding::HEXLOWER_PERMISSIVE
                .decode(text.trim().as_bytes())
                .ok()
                .and_then(|bytes| bytes.try_into().ok())
                .ok_or_else(|| wrong("expected 32 bytes in hex"))?
        }
    };
    Ok(Keyring::new(key))
}

fn connector(url: &str) -> Result<Connect, AppError> {
    redis::connector(url).map_err(|why| AppError::Settings(format!("[queue] url {why}")))
}

/// A lane per provider, and their other ends.
fn lanes(gateways: &Gateways) -> (ChannelMap<Vec<LaneHandle>>, Vec<LaneEnd>) {
    let mut ends = Vec::new();
    let lanes = ChannelMap::from_fn(|channel| {
        let mut lane = |(place, gateway): (usize, &Gateway)| {
            let (handle, end) = lane::lane(Way { channel, place }, gateway.clone());
            ends.push(end);
            handle
        };
        gateways.get(channel).iter().enumerate().map(&mut lane).collect()
    });
    (lanes, ends)
}

/// A name nobody had before.
pub(super) fn random_owner() -> String {
    let owner: [u8; 8] = rand::random();
    data_encoding::HEXLOWER.encode(&owner)
}

fn behaviour(settings: &Settings) -> Behaviour {
    Behaviour {
        owner: random_owner(),
        public_url: settings.http.public_url.trim_end_matches('/').to_owned(),
        mail_domain: identity(settings, &settings.channels.email).domain().to_owned(),
        mail_from: identity(settings, &settings.channels.email).from.email.to_string(),
        sender: content::sender(settings),
        sms_replies: settings.channels.sms.each().iter().all(|one| one.replies),
        senders: settings.channels.sms.each().iter().map(senders).collect(),
        wait_for_customer: settings.intake.wait_for_customer,
        hand_over_window: Duration::from_secs_f64(settings.dispatch.hand_over_window_s),
        renew_every: Duration::from_secs(u64::from(settings.dispatch.lease_s)) / 3,
        settle_doubt_after: TimeDelta::seconds(i64::from(settings.dispatch.settle_doubt_after_s)),
        retry: settings.retry.clone(),
        targets: settings.channels.targets(),
        shadow: settings.dispatch.mode == DispatchMode::Shadow,
        default_locale: settings.locales.default.clone(),
    }
}
