//! The channels that carry messages, and the order in which they are tried.
//!
//! The webhook gets a copy of everything. Mail goes by Resend, and by SMTP when Resend is not set
//! or refuses. Errors never carry an address with a password, a key or a whole answer.

use std::time::Duration;

use lettre::transport::smtp;

use super::resend::Resend;
use super::smtp::Smtp;
use super::webhook::Webhook;
use crate::config::{AlertChannelSettings, secret_if_set};
use crate::domain::alerts::{Notice, Route};
use crate::telemetry::metrics;

/// One message on one channel takes no longer.
pub(super) const TIME_LIMIT: Duration = Duration::from_secs(10);

/// A way to tell somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Channel {
    /// Resend's HTTP API.
    Resend,
    /// A mail server.
    Smtp,
    /// JSON by POST.
    Webhook,
}

impl Channel {
    /// The stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Resend => "resend",
            Self::Smtp => "smtp",
            Self::Webhook => "webhook",
        }
    }
}

/// Why a channel did not take a message.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// No answer in time.
    #[error("no answer within {} s", TIME_LIMIT.as_secs())]
    TimeOut,
    /// The request could not be made, or its answer not be read.
    #[error("the request failed")]
    Http(#[source] reqwest::Error),
    /// An answer that is no success.
    #[error("answered {0}")]
    Status(u16),
    /// The mail server refused or is away.
    #[error("the mail server did not take it")]
    Smtp(#[source] smtp::Error),
    /// The message is none that can be mailed.
    #[error("no mail can be made of it")]
    Mail(#[source] lettre::error::Error),
    /// Nothing is set up for this route.
    #[error("no channel is set up")]
    NoChannel,
}

impl ChannelError {
    /// Of a request; its address, which may hold a token, is left out.
    pub(super) fn of_request(error: reqwest::Error) -> Self {
        match error.is_timeout() {
            true => Self::TimeOut,
            false => Self::Http(error.without_url()),
        }
    }

    /// With its causes, for a row.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        text
    }
}

/// Why the channels cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A client of HTTP cannot be made.
    #[error("an HTTP client cannot be made")]
    Client(#[source] reqwest::Error),
    /// `SMTP_URL` is not one.
    #[error("SMTP_URL is not the address of a mail server")]
    Smtp,
    /// An address is not one.
    #[error("{0} is not a mail address")]
    Address(&'static str),
    /// A channel for mail is set, and nobody to get it.
    #[error("RESEND_API_KEY or SMTP_URL is set, but not ALERT_EMAIL")]
    NoReceiver,
    /// Somebody is to get mail, and no channel carries it.
    #[error("ALERT_EMAIL is set, but neither RESEND_API_KEY nor SMTP_URL")]
    NoMailChannel,
}

/// What is set up.
#[derive(Clone, Debug, Default)]
pub struct Channels {
    resend: Option<Resend>,
    smtp: Option<Smtp>,
    webhook: Option<Webhook>,
}

impl Channels {
    /// Sets the channels up; nobody is contacted.
    ///
    /// # Errors
    /// When a setting cannot be used; never shows one.
    pub fn new(settings: &AlertChannelSettings) -> Result<Self, SetupError> {
        let client = client().map_err(SetupError::Client)?;
        let key = secret_if_set(settings.resend_api_key.as_ref());
        let smtp = secret_if_set(settings.smtp_url.as_ref());
        let receivers = settings.receivers();
        let webhook = secret_if_set(settings.alert_webhook_url.as_ref())
            .map(|url| Webhook::new(client.clone(), url));
        let Some(sender) = settings.sender().filter(|_| !receivers.is_empty()) else {
            return match key.or(smtp) {
                Some(_) => Err(SetupError::NoReceiver),
                None => Ok(Self {
                    webhook,
                    ..Self::default()
                }),
            };
        };
        if key.or(smtp).is_none() {
            return Err(SetupError::NoMailChannel);
        }
        Ok(Self {
            resend: key
                .map(|key| Resend::new(client, &settings.resend_api_url, key, sender, &receivers)),
            smtp: smtp
                .map(|url| Smtp::new(url, sender, &receivers))
                .transpose()?,
            webhook,
        })
    }

    /// The routes that lead somewhere.
    pub fn routes(&self) -> Vec<Route> {
        let mail = self.resend.is_some() || self.smtp.is_some();
        let mut routes = Vec::new();
        routes.extend(mail.then_some(Route::Email));
        routes.extend(self.webhook.as_ref().map(|_| Route::Webhook));
        routes
    }

    /// Everything that is set up, in the order in which it is tried.
    pub fn all(&self) -> Vec<Channel> {
        let mut all = self.of_route(Route::Email);
        all.extend(self.of_route(Route::Webhook));
        all
    }

    fn of_route(&self, route: Route) -> Vec<Channel> {
        let is_set = |channel: &Channel| match channel {
            Channel::Resend => self.resend.is_some(),
            Channel::Smtp => self.smtp.is_some(),
            Channel::Webhook => self.webhook.is_some(),
        };
        let channels: &[Channel] = match route {
            Route::Email => &[Channel::Resend, Channel::Smtp],
            Route::Webhook => &[Channel::Webhook],
        };
        channels.iter().copied().filter(is_set).collect()
    }

    /// Sends a message by the first channel of its route that takes it; answers which one that was.
    ///
    /// # Errors
    /// The last channel tried and why it refused, when none took it.
    pub async fn deliver(
        &self,
        route: Route,
        notice: &Notice,
    ) -> Result<Channel, (Option<Channel>, ChannelError)> {
        let mut failed = (None, ChannelError::NoChannel);
        for channel in self.of_route(route) {
            match self.send_by(channel, notice).await {
                Ok(()) => return Ok(channel),
                Err(error) => {
                    tracing::warn!(
                        alert.channel = channel.as_str(),
                        alert.message = notice.message_id,
                        error = error.chain(),
                        "Alert channel failed"
                    );
                    failed = (Some(channel), error);
                }
            }
        }
        Err(failed)
    }

    /// Sends a message by one channel.
    ///
    /// # Errors
    /// Why it did not take it.
    pub async fn send_by(&self, channel: Channel, notice: &Notice) -> Result<(), ChannelError> {
        let sending = async {
            match (channel, &self.resend, &self.smtp, &self.webhook) {
                (Channel::Resend, Some(resend), _, _) => resend.send(notice).await,
                (Channel::Smtp, _, Some(smtp), _) => smtp.send(notice).await,
                (Channel::Webhook, _, _, Some(webhook)) => webhook.send(notice).await,
                _ => Err(ChannelError::NoChannel),
            }
        };
        let ended = tokio::time::timeout(TIME_LIMIT, sending).await;
        let ended = ended.unwrap_or(Err(ChannelError::TimeOut));
        let outcome = if ended.is_ok() { "sent" } else { "failed" };
        metrics::alert_message(channel.as_str(), outcome);
        ended
    }
}

/// One that follows nobody: a message about money goes where it was told to go.
fn client() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .timeout(TIME_LIMIT)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("lunas/", env!("CARGO_PKG_VERSION")))
        .build()
}

/// Success is any 2xx. The body of an answer is of no use and not read.
pub(super) fn accepted(response: &reqwest::Response) -> Result<(), ChannelError> {
    match response.status() {
        status if status.is_success() => Ok(()),
        status => Err(ChannelError::Status(status.as_u16())),
    }
}
