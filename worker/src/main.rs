//! `lunas-worker`: read the settings, start, run, drain.

use shared::{config, runtime, telemetry};
use worker::settings::Settings;

fn main() -> anyhow::Result<()> {
    runtime::install_crypto();
    let settings: Settings = config::parse();
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(run(settings))
}

async fn run(settings: Settings) -> anyhow::Result<()> {
    let telemetry = telemetry::init("lunas-worker", &settings.telemetry);
    let stop = runtime::shutdown_token()?;
    worker::service::run(&settings, stop).await?;
    telemetry.shutdown().await;
    Ok(())
}
