//! `sluice quality contract`: the columns that a file or a table has, as a contract to commit.

use std::process::ExitCode;

use super::{find_file, find_table, refused, suggest::name_of, unreadable};
use crate::{context::Context, exit::Failure, output};

#[derive(clap::Args)]
pub(super) struct Args {
    /// A Parquet or CSV file, a folder of Parquet files, or `schema.table`
    #[arg(long, value_name = "PATH|TABLE")]
    data: String,
    /// The suite's name, and its file's in quality/; that of the data where not given
    #[arg(long)]
    name: Option<String>,
}

pub(super) async fn run(args: &Args, ctx: &Context) -> anyhow::Result<ExitCode> {
    let name = args.name.clone().unwrap_or_else(|| name_of(&args.data));
    let contract = if let Some(path) = find_file(&args.data, &ctx.dir) {
        let proposed = tokio::task::spawn_blocking(move || {
            let frame = quality::read_file(&path).map_err(|error| unreadable(&path, &error))?;
            Ok::<_, Failure>(quality::contract_of_frame(&name, &frame))
        });
        proposed.await??
    } else {
        let table = find_table(&args.data)?;
        let pool = ctx.postgres().await?;
        let mut connection = pool.acquire().await?;
        quality::contract_of_table(&mut connection, &name, &table).await.map_err(refused)?
    };
    output::line(contract.trim_end());
    Ok(ExitCode::SUCCESS)
}
