//! The way out that lets nothing out: for an installation that runs beside the system which
//! still speaks, decides as it would, and compares.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::{Gateways, HandOverWindow, Outgoing, SendError, Taken, Wire};
use crate::domain::ChannelMap;

/// What an attempt says that was not handed over.
const KEPT_BACK: &str = "not handed over: this installation runs in shadow mode";

/// Stands before a provider and tells it nothing.
#[derive(Debug)]
struct Shadow {
    provider: Arc<dyn Wire>,
}

impl Wire for Shadow {
    fn name(&self) -> &'static str {
        self.provider.name()
    }

    fn send<'a>(
        &'a self,
        _outgoing: &'a Outgoing,
        window: HandOverWindow,
    ) -> BoxFuture<'a, Result<Taken, SendError>> {
        let kept = if window.is_past() {
            Err(SendError::NotStarted { reason: "the hand-over window was past".into() })
        } else {
            Ok(Taken { provider_ref: None, detail: KEPT_BACK.into() })
        };
        std::future::ready(kept).boxed()
    }

    fn tells_of_delivery(&self) -> bool {
        false
    }

    fn probe(&self) -> BoxFuture<'_, Result<String, String>> {
        let provider = self.provider.name();
        let said = format!("shadow mode: nothing is handed to {provider}, which was not asked");
        std::future::ready(Ok(said)).boxed()
    }
}

/// The same channels, with nothing behind them.
#[must_use]
pub fn in_shadow(gateways: Gateways) -> Gateways {
    let shadow = |gateway: super::Gateway| super::Gateway {
        provider: Arc::new(Shadow { provider: gateway.provider }),
        ..gateway
    };
    let all = |gateways: Vec<super::Gateway>| gateways.into_iter().map(shadow).collect();
    ChannelMap { email: all(gateways.email), sms: all(gateways.sms), voice: all(gateways.voice) }
}
