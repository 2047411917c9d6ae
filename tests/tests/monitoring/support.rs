//! The command line, and rows.

use std::process::Stdio;

use lunas_tests::harness::{Stage, program};
use serde_json::Value;
use sqlx::PgPool;

/// How a command ended, and what it printed.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Runs `lunas` on the stage's database.
pub(crate) async fn lunas(stage: &Stage, arguments: &[&str]) -> Ended {
    let output = tokio::process::Command::new(program("lunas"))
        .args(arguments)
        .env("DATABASE_URL", stage.database().url())
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    Ended {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs statements.
pub(crate) async fn run(pool: &PgPool, statements: &'static str) {
    sqlx::raw_sql(statements).execute(pool).await.unwrap();
}

/// The one number that a query answers.
pub(crate) async fn count(pool: &PgPool, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(pool).await.unwrap()
}

/// One field of every item of a list.
pub(crate) fn each(list: &Value, field: &str) -> Vec<String> {
    let items = list["items"].as_array().unwrap();
    let of = |item: &Value| item[field].as_str().unwrap().to_owned();
    items.iter().map(of).collect()
}
