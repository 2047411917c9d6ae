//! `lunas-bench`: measures the fleet beside its limits. Called by `tests/bench.sh`.

use clap::Parser;
use lunas_tests::bench::{self, Options};

/// Measures the fleet beside its limits.
#[derive(Debug, Parser)]
#[command(name = "lunas-bench")]
struct Arguments {
    #[command(flatten)]
    options: Options,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    shared::runtime::install_crypto();
    bench::run(Arguments::parse().options).await
}
