//! The ways out, made from the settings: who sends for each channel, and within which limits.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use crate::channel::account::{Account, Senders};
use crate::channel::asterisk::{Asterisk, Exchange};
use crate::channel::health::{Allowance, Health, Line, Rate};
use crate::channel::http_door::HttpProvider;
use crate::channel::kannel::Kannel;
use crate::channel::plivo::Plivo;
use crate::channel::sinch::Sinch;
use crate::channel::vonage::Vonage;
use crate::channel::vonage_voice::{Application, VonageVoice};
use crate::channel::{
    DomainLimit, DomainLimits, Domains, EmailSender, Gateway, Gateways, MailIdentity, Outbox,
    Signer, SmtpPool, SmtpServer, Twilio, Wire, in_shadow,
};
use crate::clock::Clock;
use crate::config::{
    Channels, DispatchMode, Email, EmailProvider, RecipientDomain, Settings, Telephone,
    TelephoneProvider,
};
use crate::domain::{Channel, ChannelMap, Provider, RedisUrl, Secret};

use super::AppError;

/// What this process is called among others at an exchange.
pub fn process() -> &'static str {
    static PROCESS: LazyLock<String> = LazyLock::new(super::random_owner);
    &PROCESS
}

/// Who mail comes from, by one of the ways mail goes.
pub fn identity(settings: &Settings, email: &Email) -> MailIdentity {
    let mailbox = |text: &String| text.parse().expect("checked when the settings were read");
    MailIdentity {
        from: mailbox(&settings.sender.mail_from),
        reply_to: settings.sender.reply_to.as_ref().map(mailbox),
        bounce_to: email.bounce_to.as_ref().and_then(|to| to.parse().ok()),
        // What is wrong with it is said where the ways out are made.
        signer: signer(email).ok().flatten(),
    }
}

/// Who signs mails.
fn signer(email: &Email) -> Result<Option<Signer>, AppError> {
    let Some(dkim) = &email.dkim else { return Ok(None) };
    let key =
        |key: &Option<Secret>| key.as_ref().map(Secret::expose).unwrap_or_default().to_owned();
    let signer = Signer::new(&dkim.domain, &dkim.selector, &key(&dkim.key));
    let signer = match &dkim.second {
        Some(second) => {
            signer.and_then(|one| one.and(&dkim.domain, &second.selector, &key(&second.key)))
        }
        None => signer,
    };
    let wrong = |why| AppError::Settings(format!("[channels.email.dkim] key_file {why}"));
    signer.map(Some).map_err(wrong)
}

/// How quickly each recipient domain is served.
fn domains(email: &Email, several_relays: bool) -> Domains {
    let named = email.domains.iter().map(|(name, domain)| {
        let RecipientDomain { rate_per_s, max_connections } = *domain;
        (name.clone(), DomainLimit { rate_per_s, max_connections })
    });
    let max_connections = email.max_connections_per_domain;
    Domains::new(DomainLimits { max_connections, named: named.collect(), several_relays })
}

/// What the settings say of an account.
fn account(telephone: &Telephone) -> Account {
    Account {
        base_url: telephone.own_base_url(),
        name: telephone.account.clone(),
        token: telephone.token.clone(),
        application: telephone.application.clone(),
        private_key: telephone.private_key.clone(),
        senders: senders(telephone),
        connections: telephone.max_connections,
        door: telephone.http.clone(),
    }
}

/// What texts come from.
pub fn senders(telephone: &Telephone) -> Senders {
    Senders { from: telephone.from.clone(), by_country: telephone.senders.clone() }
}

fn wire(made: Result<impl Wire + 'static, String>) -> Result<Arc<dyn Wire>, AppError> {
    let provider = made.map_err(|why| AppError::Settings(format!("[channels]: {why}")))?;
    Ok(Arc::new(provider))
}

/// The ways out that the settings name.
///
/// # Errors
/// When one of them cannot be made.
pub fn gateways(settings: &Settings) -> Result<Gateways, AppError> {
    let Channels { email, sms, voice } = &settings.channels;
    for entry in email.each() {
        signer(entry)?;
    }
    let each = |channel, telephone: &Telephone| -> Result<Vec<Gateway>, AppError> {
        let all = telephone.each().iter();
        all.filter_map(|entry| by_telephone(settings, channel, entry).transpose()).collect()
    };
    let emails = email.each().iter();
    let gateways = ChannelMap {
        email: emails
            .filter_map(|entry| by_email(settings, entry).transpose())
            .collect::<Result<_, _>>()?,
        sms: each(Channel::Sms, sms)?,
        voice: each(Channel::Voice, voice)?,
    };
    Ok(match settings.dispatch.mode {
        DispatchMode::Live => gateways,
        DispatchMode::Shadow => in_shadow(gateways),
    })
}

fn outbox(settings: &Settings, email: &Email, dir: &Path) -> Arc<dyn Wire> {
    Arc::new(Outbox { dir: dir.to_owned(), identity: identity(settings, email) })
}

fn by_email(settings: &Settings, email: &Email) -> Result<Option<Gateway>, AppError> {
    let provider: Arc<dyn Wire> = match email.provider {
        EmailProvider::None => return Ok(None),
        EmailProvider::Outbox => outbox(settings, email, &email.dir),
        EmailProvider::Smtp => {
            let server = SmtpServer::parse(&email.url, email.hello_name.as_deref())
                .map_err(|why| AppError::Settings(format!("[channels.email] url {why}")))?;
            let pool = SmtpPool::new(server);
            Arc::new(EmailSender {
                identity: identity(settings, email),
                pool,
                domains: domains(email, settings.channels.email.each().len() > 1),
            })
        }
    };
    Ok(Some(Gateway {
        name: Provider::new(email.name.as_deref(), provider.name()),
        provider,
        connections: email.max_connections,
        weight: email.weight(),
    }))
}

fn by_telephone(
    settings: &Settings,
    channel: Channel,
    telephone: &Telephone,
) -> Result<Option<Gateway>, AppError> {
    let provider: Arc<dyn Wire> = match telephone.provider {
        TelephoneProvider::None => return Ok(None),
        TelephoneProvider::Outbox => outbox(settings, &settings.channels.email, &telephone.dir),
        TelephoneProvider::Twilio => {
            let twilio = Twilio::new(account(telephone));
            wire(twilio.map(|twilio| twilio.speaking(telephone.speech.clone())))?
        }
        TelephoneProvider::Vonage if channel == Channel::Voice => {
            Arc::new(vonage_voice(telephone)?)
        }
        TelephoneProvider::Vonage => wire(Vonage::new(account(telephone)))?,
        TelephoneProvider::Asterisk => Arc::new(exchange(telephone, process())?),
        TelephoneProvider::Plivo => wire(Plivo::new(account(telephone)))?,
        TelephoneProvider::Sinch => wire(Sinch::new(account(telephone)))?,
        TelephoneProvider::Kannel => wire(Kannel::new(account(telephone)))?,
        TelephoneProvider::Http => wire(HttpProvider::new(account(telephone)))?,
    };
    Ok(Some(Gateway {
        name: Provider::new(telephone.name.as_deref(), provider.name()),
        provider,
        connections: telephone.max_connections,
        weight: telephone.weight(),
    }))
}

/// The exchange that calls go by.
pub(super) fn exchange(telephone: &Telephone, process: &str) -> Result<Asterisk, AppError> {
    let exchange = Exchange {
        base_url: telephone.base_url.clone(),
        user: telephone.account.clone(),
        password: telephone.token.clone().expect("checked when the settings were read"),
        application: format!(
            "{}-{}",
            telephone.application.as_deref().unwrap_or_default(),
            process
        ),
        context: telephone.context.clone(),
        endpoint: telephone.endpoint.clone(),
        from: telephone.from.clone(),
    };
    Asterisk::new(exchange, telephone.max_connections)
        .map_err(|error| AppError::Settings(error.to_string()))
}

fn vonage_voice(telephone: &Telephone) -> Result<VonageVoice, AppError> {
    let application = Application {
        base_url: telephone.own_base_url(),
        id: telephone.application.as_deref().unwrap_or_default(),
        private_key: telephone.private_key.as_ref().expect("checked when the settings were read"),
        from: &telephone.from,
        speech: telephone.speech.clone(),
        connections: telephone.max_connections,
    };
    VonageVoice::new(application)
        .map_err(|why| AppError::Settings(format!("[channels.voice] {why}")))
}

/// Limits and breakers: shared by all processes where they share a Redis. On a manual clock
/// there are no limits, and breakers go by that clock.
pub fn health(settings: &Settings, gateways: &Gateways, clock: &Clock) -> Result<Health, AppError> {
    let channels = &settings.channels;
    let telephone = |t: &Telephone| t.each().iter().map(|t| (t.rate_per_s, t.burst)).collect();
    let limits: ChannelMap<Vec<(f64, u32)>> = ChannelMap {
        email: channels.email.each().iter().map(|e| (e.rate_per_s, e.burst)).collect(),
        sms: telephone(&channels.sms),
        voice: telephone(&channels.voice),
    };
    let lines = ChannelMap::from_fn(|channel| {
        let limit = |place: usize| {
            let (per_s, burst) = limits.get(channel).get(place)?;
            Rate::new(*per_s, *burst).filter(|_| !clock.is_manual())
        };
        let line = |(place, gateway): (usize, &Gateway)| Line {
            provider: gateway.name.clone(),
            rate: limit(place),
            weight: gateway.weight,
        };
        gateways.get(channel).iter().enumerate().map(line).collect()
    });
    let url = &settings.queue.url;
    let retries = Allowance {
        percent: settings.limits.retries_percent,
        floor: settings.limits.retries_floor,
    };
    if clock.is_manual() || !RedisUrl::is_meant(url) {
        return Ok(Health::in_process(lines).allowing(retries));
    }
    Ok(Health::shared(lines, super::connector(url)?).allowing(retries))
}
