//! Mail by a mail server. A repeated message carries the same `Message-ID`.

use std::fmt;

use lettre::message::header::ContentType;
use lettre::message::{Mailbox, MessageBuilder};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};

use super::channels::{ChannelError, SetupError, TIME_LIMIT};
use crate::domain::alerts::Notice;

#[derive(Clone)]
pub(super) struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    /// Sender and receivers are in it already.
    letter: MessageBuilder,
    domain: String,
}

impl fmt::Debug for Smtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Smtp")
    }
}

impl Smtp {
    pub(super) fn new(url: &str, from: &str, to: &[&str]) -> Result<Self, SetupError> {
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url)
            .map_err(|_| SetupError::Smtp)?
            .timeout(Some(TIME_LIMIT))
            .build();
        let from = mailbox(from, "RESEND_FROM_EMAIL")?;
        let domain = from.email.domain().to_owned();
        let mut letter = Message::builder().from(from);
        for receiver in to {
            letter = letter.to(mailbox(receiver, "ALERT_EMAIL")?);
        }
        Ok(Self {
            transport,
            letter,
            domain,
        })
    }

    pub(super) async fn send(&self, notice: &Notice) -> Result<(), ChannelError> {
        let letter = self
            .letter
            .clone()
            .subject(notice.subject())
            .message_id(Some(format!("<{}@{}>", notice.message_id, self.domain)))
            .header(ContentType::TEXT_PLAIN)
            .body(notice.text())
            .map_err(ChannelError::Mail)?;
        self.transport
            .send(letter)
            .await
            .map(|_| ())
            .map_err(ChannelError::Smtp)
    }
}

/// `Name <address>` or an address alone.
fn mailbox(text: &str, setting: &'static str) -> Result<Mailbox, SetupError> {
    text.parse()
        .or_else(|_| {
            text.parse::<Address>()
                .map(|address| Mailbox::new(None, address))
        })
        .map_err(|_| SetupError::Address(setting))
}
