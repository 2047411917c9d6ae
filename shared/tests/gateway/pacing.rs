//! What keeps requests from being too many: the budget and the circuit breaker.

use std::time::{Duration, Instant};

use futures::future::join_all;
use shared::domain::StatusAnswer;
use shared::domain::outcome::{Class, Classify as _};
use shared::midtrans::{Gateway, GatewayError, Limits, Priority};

use super::scripted::{Answer, Server};
use super::{KEY, TRANSACTION, ask, database, expired, gateway_at, gateway_with, limits, settings};

#[tokio::test]
async fn an_outage_opens_the_circuit_and_one_probe_closes_it() {
    let server = Server::start([Answer::json(503, ""), Answer::json(503, "")]).await;
    let limits = Limits {
        tries: 1,
        open_after: 2,
        cool_down: Duration::from_millis(200),
        ..limits()
    };
    let gateway = gateway_with(&server, limits).await;
    for _ in 0..2 {
        let error = ask(&gateway, TRANSACTION).await.unwrap_err();
        assert!(
            matches!(error, GatewayError::Unavailable { status: 503 }),
            "{error:?}"
        );
    }
    let error = ask(&gateway, TRANSACTION).await.unwrap_err();
    assert!(
        matches!(error, GatewayError::CircuitOpen { .. }),
        "{error:?}"
    );
    assert_eq!(server.requests().len(), 2);

    server.then([expired()]);
    let began = Instant::now();
    loop {
        match ask(&gateway, TRANSACTION).await {
            Ok(StatusAnswer::Found(_)) => break,
            Err(GatewayError::CircuitOpen { retry_after }) => tokio::time::sleep(retry_after).await,
            other => panic!("{other:?}"),
        }
        assert!(began.elapsed() < Duration::from_secs(5));
    }
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn the_budget_paces_requests() {
    let server = Server::start(std::iter::repeat_n(expired(), 8)).await;
    let gateway = gateway_at(&settings(&server, KEY, 10), limits()).await;
    let began = Instant::now();
    let asking = (0..8).map(|_| ask(&gateway, TRANSACTION));
    for answer in join_all(asking).await {
        assert!(matches!(answer, Ok(StatusAnswer::Found(_))), "{answer:?}");
    }
    // Two or three at once, then one each 100 ms.
    assert!(began.elapsed() >= Duration::from_millis(500));
}

#[tokio::test]
async fn without_the_database_nothing_is_asked_and_nobody_is_blamed() {
    let server = Server::start([expired()]).await;
    let store = database::store_that_is_away();
    let gateway = Gateway::with_limits(&settings(&server, KEY, 10), store, limits()).unwrap();
    let began = Instant::now();
    for priority in [Priority::Waiting, Priority::Periodic] {
        let error = ask(&gateway.with_priority(priority), TRANSACTION).await;
        let error = error.unwrap_err();
        assert!(
            matches!(error, GatewayError::BudgetExhausted { .. }),
            "{error:?}"
        );
        assert_eq!(error.classify(), Class::Wait);
    }
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(server.requests().len(), 0);
}

#[tokio::test]
async fn a_budget_that_is_gone_or_from_a_clock_that_was_ahead_begins_anew() {
    for damage in [
        "DELETE FROM gateway_budget",
        "UPDATE gateway_budget SET due_at = now() + interval '1 hour'",
        "UPDATE gateway_budget SET closed_until = now() + interval '1 hour'",
    ] {
        let server = Server::start([expired()]).await;
        let store = database::store().await;
        sqlx::query(damage).execute(store.pool()).await.unwrap();
        let gateway = Gateway::with_limits(&settings(&server, KEY, 10), store, limits()).unwrap();
        let answer = ask(&gateway, TRANSACTION).await;
        assert!(
            matches!(answer, Ok(StatusAnswer::Found(_))),
            "{damage}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn a_periodic_question_waits_for_an_open_circuit() {
    let down = std::iter::repeat_n(Answer::json(503, ""), 2);
    let server = Server::start(down.chain([expired()])).await;
    let limits = Limits {
        tries: 1,
        open_after: 2,
        cool_down: Duration::from_secs(1),
        ..limits()
    };
    let gateway = gateway_with(&server, limits).await;
    for _ in 0..2 {
        ask(&gateway, TRANSACTION).await.unwrap_err();
    }
    let error = ask(&gateway, TRANSACTION).await.unwrap_err();
    assert!(
        matches!(error, GatewayError::CircuitOpen { .. }),
        "{error:?}"
    );
    let patient = gateway.with_priority(Priority::Periodic);
    let answer = ask(&patient, TRANSACTION).await;
    assert!(matches!(answer, Ok(StatusAnswer::Found(_))), "{answer:?}");
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn after_an_outage_many_callers_send_one_probe_and_then_all_of_them() {
    const CALLERS: usize = 40;
    let down = std::iter::repeat_n(Answer::json(503, ""), 2);
    let answers = std::iter::repeat_n(expired(), CALLERS);
    let server = Server::start(down.chain([Answer::json(503, "")]).chain(answers)).await;
    let limits = Limits {
        tries: 1,
        open_after: 2,
        cool_down: Duration::from_millis(300),
        ..limits()
    };
    let gateway = gateway_with(&server, limits).await;
    for _ in 0..2 {
        ask(&gateway, TRANSACTION).await.unwrap_err();
    }
    // The first probe fails as well: nobody but its own caller hears of that.
    let patient = gateway.with_priority(Priority::Periodic);
    let answers = join_all((0..CALLERS).map(|_| ask(&patient, TRANSACTION))).await;
    let failed = answers.iter().filter(|answer| answer.is_err()).count();
    assert_eq!(failed, 1, "{answers:?}");
    assert_eq!(server.requests().len(), 2 + CALLERS);
}

#[tokio::test]
async fn a_token_that_was_taken_before_a_pause_is_not_used_in_it() {
    let server = Server::start([Answer::limited("60"), expired(), expired()]).await;
    // The second is due half a second after the first, the third a second after it.
    let gateway = gateway_at(&settings(&server, KEY, 2), limits()).await;
    let asked = join_all((0..3).map(|_| ask(&gateway, TRANSACTION))).await;
    for answer in asked {
        let error = answer.unwrap_err();
        assert!(error.retry_after().is_some(), "{error:?}");
    }
    assert_eq!(server.requests().len(), 1);
}
