//! Fault points: places where a test makes the process stop, fail or wait.
//!
//! Without the feature `faults` (every build but the test suite's) [`point`] is an empty function
//! that the compiler removes. With it, the variable `LUNAS_FAULT` names one point and what
//! happens there: `worker.after_commit=abort`, `worker.received=abort@3` (at the third visit),
//! `worker.mid_transaction=hang`.

/// Visits the fault point `name`.
#[cfg(not(feature = "faults"))]
#[inline(always)]
pub async fn point(_name: &'static str) {}

/// Visits the fault point of one thing: `apply.session:LNS-1=abort` stops at that session only.
#[cfg(not(feature = "faults"))]
#[inline(always)]
pub async fn point_of(_name: &'static str, _which: &str) {}

/// Visits the fault point of one thing: `apply.session:LNS-1=abort` stops at that session only.
#[cfg(feature = "faults")]
pub async fn point_of(name: &'static str, which: &str) {
    let armed_for = |fault: &&armed::Fault| {
        fault
            .name
            .strip_prefix(name)
            .and_then(|rest| rest.strip_prefix(':'))
            == Some(which)
    };
    if let Some(fault) = armed::fault().filter(armed_for) {
        fault.act().await;
    }
}

/// Visits the fault point `name` and does what `LUNAS_FAULT` says for it.
#[cfg(feature = "faults")]
pub async fn point(name: &'static str) {
    if let Some(fault) = armed::fault().filter(|fault| fault.name == name) {
        fault.act().await;
    }
}

#[cfg(feature = "faults")]
mod armed {
    //! Reads `LUNAS_FAULT` once and counts the visits.

    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// What happens at the point.
    #[derive(Debug, Clone, Copy)]
    pub(super) enum Action {
        Abort,
        Panic,
        Hang,
    }

    /// The one fault of this process.
    #[derive(Debug)]
    pub(super) struct Fault {
        pub(super) name: String,
        action: Action,
        at_visit: Option<u64>,
        visits: AtomicU64,
    }

    impl Fault {
        /// Counts a visit and acts if it is the one to act on. Without `@n` every visit is.
        pub(super) async fn act(&self) {
            let visit = self.visits.fetch_add(1, Ordering::Relaxed) + 1;
            if self.at_visit.is_some_and(|nth| nth != visit) {
                return;
            }
            match self.action {
                Action::Abort => std::process::abort(),
                Action::Panic => panic!("fault point {}", self.name),
                Action::Hang => std::future::pending::<()>().await,
            }
        }
    }

    /// The fault that `LUNAS_FAULT` names, if any.
    #[expect(
        clippy::disallowed_methods,
        reason = "not a setting: exists in the test suite's builds only"
    )]
    pub(super) fn fault() -> Option<&'static Fault> {
        static FAULT: OnceLock<Option<Fault>> = OnceLock::new();
        FAULT
            .get_or_init(|| {
                std::env::var("LUNAS_FAULT")
                    .ok()
                    .and_then(|text| parse(&text))
            })
            .as_ref()
    }

    fn parse(text: &str) -> Option<Fault> {
        let (name, action) = text.rsplit_once('=')?;
        let (action, at_visit) = match action.split_once('@') {
            Some((action, nth)) => (action, Some(nth.parse().ok()?)),
            None => (action, None),
        };
        let action = match action {
            "abort" => Action::Abort,
            "panic" => Action::Panic,
            "hang" => Action::Hang,
            _ => return None,
        };
        Some(Fault {
            name: name.to_owned(),
            action,
            at_visit,
            visits: AtomicU64::new(0),
        })
    }
}
