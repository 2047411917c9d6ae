//! Alerts: which conditions need somebody, how bad each is, and what is said about it.
//!
//! What the store finds becomes [`Finding`]s in [`judge`]; [`plan()`] compares them with the alerts
//! that are open and says what is opened, repeated and resolved; [`wording`] makes the messages.
//! Looking and sending happen elsewhere (`store`, `alerts`).

pub mod judge;

mod plan;

pub mod wording;

mod limits;

pub use judge::{Case, Finding, Found, Tally};
pub use limits::Limits;
pub use plan::{OpenAlert, Plan, plan};
pub use wording::{AlertText, Notice};

use serde::Serialize;

/// Where the runbook is; its sections are named as the rules are.
pub const RUNBOOK: &str = "deploy/RUNBOOK.md";

macro_rules! rules {
    ($($(#[doc = $about:literal])+ $name:ident = $text:literal, $severity:ident;)+) => {
        /// A condition that needs somebody.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule {
            $($(#[doc = $about])+ $name,)+
        }

        impl Rule {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The stable name: in rows, messages, metrics, filters and the runbook.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// How bad it is.
            pub const fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)+ }
            }
        }
    };
}

rules! {
    /// Money is there, and the order neither has it nor waits for a decision about it.
    PaidNotApplied = "paid_not_applied", Critical;
    /// An order waits for somebody's decision.
    OrderInReview = "order_in_review", Critical;
    /// An order was paid after what it held was given to others; it waits in review.
    PaidAfterRelease = "paid_after_release", Critical;
    /// More is sold or reserved than there is.
    StockOversold = "stock_oversold", Critical;
    /// An order is paid more than once.
    DuplicatePayment = "duplicate_payment", Critical;
    /// The scheduler that led cannot reach the database.
    DatabaseDown = "database_down", Critical;
    /// The scheduler that led cannot reach the broker, or it takes no messages.
    BrokerDown = "broker_down", Critical;
    /// Payments without an order pile up.
    OrphansRising = "orphans_rising", High;
    /// Payments or orders are open although their time is over.
    Stuck = "stuck", High;
    /// Messages were given up.
    DeadLetters = "dead_letters", High;
    /// An order's status demands what was not done.
    EffectsMissing = "effects_missing", High;
    /// Notifications come whose signature does not match.
    SignatureFailures = "signature_failures", High;
    /// The reconciler had to mend much.
    RepairsHigh = "repairs_high", High;
    /// Notifications were signed with our key, and the status API says otherwise.
    NotificationsRefused = "notifications_refused", High;
    /// Customers begin payments and no notification comes.
    NotificationsSilent = "notifications_silent", High;
}

impl Rule {
    /// The rule of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|rule| rule.as_str() == text)
    }

    /// The section of the runbook.
    pub fn runbook(self) -> String {
        format!("{RUNBOOK}#{}", self.as_str())
    }
}

/// How bad a condition is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Money or a customer's goods are at stake now.
    Critical,
    /// It will be, if nobody looks.
    High,
}

impl Severity {
    /// The stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
        }
    }

    /// The severity of that name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Critical, Self::High]
            .into_iter()
            .find(|severity| severity.as_str() == text)
    }
}

/// What a message tells of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageKind {
    /// It began.
    Opened,
    /// It still is so, and nobody has said that they know.
    Repeated,
    /// It is over.
    Resolved,
}

impl MessageKind {
    /// The stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Repeated => "repeated",
            Self::Resolved => "resolved",
        }
    }

    /// The kind of that name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Opened, Self::Repeated, Self::Resolved]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }
}

/// Which way a message goes; each route gets its own copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    /// To people, by whichever mail channel works.
    Email,
    /// To a program.
    Webhook,
}

impl Route {
    /// The stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Webhook => "webhook",
        }
    }

    /// The route of that name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Email, Self::Webhook]
            .into_iter()
            .find(|route| route.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_lead_back() {
        for (index, rule) in Rule::ALL.iter().enumerate() {
            assert_eq!(Rule::parse(rule.as_str()), Some(*rule));
            assert!(
                !Rule::ALL[..index].contains(rule),
                "{rule:?} is there twice"
            );
            assert!(rule.runbook().ends_with(&format!("#{}", rule.as_str())));
            assert_eq!(
                Severity::parse(rule.severity().as_str()),
                Some(rule.severity())
            );
        }
        assert_eq!(Rule::parse("nonsense"), None);
    }
}
