//! Every class at every attempt.

use super::*;

#[derive(Debug, thiserror::Error)]
#[error("the step failed")]
struct Broken(Class, #[source] std::fmt::Error);

impl Classify for Broken {
    fn classify(&self) -> Class {
        self.0
    }
}

fn failed(class: Class) -> Result<Settled, Failure> {
    Err(Broken(class, std::fmt::Error).into())
}

#[test]
fn every_class_at_every_attempt_has_its_step() {
    for attempt in 1..=20 {
        for settled in Settled::ALL {
            assert_eq!(next_step(&Ok(settled), attempt, 8, 1.0), Step::Ack);
        }
        assert_eq!(next_step(&failed(Class::Wait), attempt, 8, 1.0), Step::Wait);
        for reason in DeadReason::ALL {
            let step = next_step(&failed(Class::Dead(reason)), attempt, 8, 1.0);
            assert_eq!(step, Step::Dead(reason));
        }
        let retry = next_step(&failed(Class::Retry), attempt, 8, 1.0);
        assert_eq!(
            matches!(retry, Step::RetryAfter(_)),
            attempt < 8,
            "attempt {attempt}"
        );
        if attempt >= 8 {
            assert_eq!(retry, Step::Dead(DeadReason::AttemptsExhausted));
        }
    }
}

#[test]
fn delays_grow_to_half_an_hour_and_jitter_halves_them_at_most() {
    let full: Vec<_> = (1..=8).map(|n| backoff(n, 1.0).as_millis()).collect();
    assert_eq!(
        full,
        [
            500, 2_000, 8_000, 32_000, 128_000, 512_000, 1_800_000, 1_800_000
        ]
    );
    assert_eq!(backoff(1, 0.0).as_millis(), 250);
    assert_eq!(backoff(u32::MAX, f64::NAN).as_millis(), 1_800_000);
}

#[test]
fn the_chain_names_every_cause_once() {
    let failure = failed(Class::Retry).unwrap_err();
    assert_eq!(failure.to_string(), "the step failed");
    assert_eq!(
        failure.chain(),
        "the step failed: an error occurred when formatting an argument"
    );
}

#[test]
fn reasons_are_read_back() {
    for reason in DeadReason::ALL {
        assert_eq!(DeadReason::parse(reason.as_str()), Some(reason));
    }
    assert_eq!(DeadReason::parse("other"), None);
}
