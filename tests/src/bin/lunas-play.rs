//! `lunas-play`: plays orders through a running fleet and prints how each ended.
//!
//! The stories and their ends are in `lunas_tests::play`; here are only the settings. Exits with 0
//! when every order ended as it should, with 1 when one did not.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::Parser;
use lunas_tests::play::{self, Settings};

/// Plays orders through a running fleet: paid, refused, expired, refunded, forged, repeated.
#[derive(Parser)]
#[command(name = "lunas-play", version)]
struct Flags {
    /// Base URL of ingest.
    #[arg(long)]
    ingest: String,
    /// Base URL of the simulator, which must notify that ingest.
    #[arg(long)]
    sim: String,
    /// The simulator's server key.
    #[arg(long, env = "MIDTRANS_SERVER_KEY", hide_env_values = true)]
    server_key: String,
    /// Base URL of the shop API; without it orders are read from the database.
    #[arg(long, requires = "shop_token")]
    api: Option<String>,
    /// A token of role shop.
    #[arg(long, env = "LUNAS_SHOP_TOKEN", hide_env_values = true)]
    shop_token: Option<String>,
    /// Base URL of the operators' API; without it the shop's stories are not played.
    #[arg(long, requires = "operator_token", requires = "api")]
    admin: Option<String>,
    /// A token of role operator.
    #[arg(long, env = "LUNAS_OPERATOR_TOKEN", hide_env_values = true)]
    operator_token: Option<String>,
    /// The fleet's database.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: String,
    /// The fleet's broker.
    #[arg(long, env = "AMQP_URL", hide_env_values = true)]
    amqp_url: String,
    /// Orders per story.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=100))]
    orders: u32,
}

#[tokio::main]
async fn main() -> ExitCode {
    shared::runtime::install_crypto();
    match run(Flags::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // A line that cannot be written has nowhere else to go.
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(flags: Flags) -> anyhow::Result<bool> {
    let report = play::play(&Settings {
        ingest: flags.ingest,
        sim: flags.sim,
        server_key: flags.server_key,
        api: flags.api.zip(flags.shop_token),
        admin: flags.admin.zip(flags.operator_token),
        database_url: flags.database_url,
        amqp_url: flags.amqp_url,
        orders: flags.orders,
        patience: play::PATIENCE,
    })
    .await?;
    let mut out = std::io::stdout();
    let colours = out.is_terminal() && std::env::var_os("NO_COLOR").is_none();
    writeln!(out, "\n{}", report.text(colours))?;
    out.flush()?;
    Ok(report.is_good())
}
