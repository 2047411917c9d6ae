//! What holds for every command of `lunas`: help, exit codes, and `migrate`.

use lunas_tests::harness::{Ground, Stage, unique_word};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::support::{command, ended, lunas};

#[tokio::test]
async fn every_command_explains_itself() {
    let stage = Stage::new().await;
    for arguments in [
        &["--help"][..],
        &["migrate", "--help"],
        &["topology", "check", "--help"],
        &["doctor", "--help"],
        &["dlq", "list", "--help"],
        &["dlq", "groups", "--help"],
        &["dlq", "show", "--help"],
        &["dlq", "replay", "--help"],
        &["dlq", "discard", "--help"],
        &["sync", "--help"],
    ] {
        let help = lunas(&stage, arguments).await;
        assert_eq!(help.code, Some(0), "{help:?}");
        assert!(help.out.contains("--json"), "{help:?}");
        assert!(
            !help.out.contains(stage.database().url()),
            "a setting is shown: {help:?}"
        );
    }
}

#[tokio::test]
async fn wrong_use_ends_with_two_and_names_everything_that_is_wrong() {
    let stage = Stage::new().await;
    for arguments in [
        &[][..],
        &["nonsense"],
        &["dlq", "list", "--nonsense"],
        &["dlq", "show", "x"],
    ] {
        let ended = lunas(&stage, arguments).await;
        assert_eq!(ended.code, Some(2), "{arguments:?}: {ended:?}");
    }
    let mut bare = command(&stage, &["doctor", "--unconfirmed-after", "soon"]);
    bare.env_remove("DATABASE_URL").env_remove("AMQP_URL");
    let bare = ended(bare).await;
    assert_eq!(bare.code, Some(2), "{bare:?}");
    for name in ["DATABASE_URL", "AMQP_URL", "--unconfirmed-after"] {
        assert_eq!(bare.err.matches(name).count().min(1), 1, "{name}: {bare:?}");
    }
}

#[tokio::test]
async fn two_migrations_at_once_leave_one_schema() {
    let stage = Stage::new().await;
    let server = Ground::of_this_run().database_url;
    let name = format!("lunas_test_{}", unique_word());
    let mut admin = PgConnection::connect(&server).await.unwrap();
    let create = AssertSqlSafe(format!("CREATE DATABASE {name}"));
    sqlx::raw_sql(create).execute(&mut admin).await.unwrap();
    let url = stage.database().url();
    let (before, _) = url.rsplit_once('/').unwrap();
    let url = format!("{before}/{name}");
    let migrate = || {
        let mut migrate = command(&stage, &["migrate", "--json"]);
        migrate.env("DATABASE_URL", &url);
        ended(migrate)
    };
    let (first, second) = tokio::join!(migrate(), migrate());
    let (first, second) = (first.json(0), second.json(0));
    assert_eq!(first["to"], second["to"]);
    let again = migrate().await.json(0);
    assert_eq!(
        (&again["from"], &again["partitions_made"]),
        (&first["to"], &serde_json::json!(0))
    );
    let drop = AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"));
    sqlx::raw_sql(drop).execute(&mut admin).await.unwrap();
}
