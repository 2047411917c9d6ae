//! `lunas-api`: read the settings, start, run, drain.

use api::{Api, Settings};
use shared::{config, runtime, telemetry};

fn main() -> anyhow::Result<()> {
    runtime::install_crypto();
    let settings: Settings = config::parse();
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(run(settings))
}

async fn run(settings: Settings) -> anyhow::Result<()> {
    let telemetry = telemetry::init("lunas-api", &settings.telemetry);
    let stop = runtime::shutdown_token()?;
    Api::start(&settings, stop).await?.finished().await;
    telemetry.shutdown().await;
    Ok(())
}
