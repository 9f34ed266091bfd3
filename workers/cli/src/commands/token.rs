//! `sluice token`: who may use the API and the page.

use std::process::ExitCode;

use chrono::{DateTime, Datelike, TimeDelta, Utc};
use serde_json::json;
use warehouse::access::{self, AccessError, Role};
use workflow::span::Span;

use crate::{
    context::{self, Context},
    exit::Failure,
    output, runs,
};

/// Arguments of `sluice token`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Make a token and show it, once
    Create {
        /// Whose it is, or what for
        name: String,
        /// What it allows
        #[arg(long, value_enum)]
        role: RoleName,
        /// After how long it ends by itself, as in 90d (default: never)
        #[arg(long, value_name = "SPAN")]
        expires: Option<Span>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// List the tokens; none of them is shown
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// End a token, and every log-in made with it
    Revoke {
        /// Its name
        name: String,
    },
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum RoleName {
    /// Looks at everything
    Viewer,
    /// Also starts, cancels, retries, marks, clears and backfills runs, and pauses DAGs
    Operator,
    /// Also reads the audit log
    Admin,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Viewer => Self::Viewer,
            RoleName::Operator => Self::Operator,
            RoleName::Admin => Self::Admin,
        }
    }
}

fn expiry(span: Span) -> anyhow::Result<DateTime<Utc>> {
    let at = TimeDelta::from_std(span.0)
        .ok()
        .filter(|span| !span.is_zero())
        .and_then(|span| Utc::now().checked_add_signed(span));
    let what = "no token can expire then; `--expires 90d` is a good length";
    at.filter(|at| at.year() < 10_000).ok_or_else(|| Failure::usage(what.to_owned()).into())
}

fn refused(error: AccessError) -> anyhow::Error {
    match error {
        AccessError::Database(_) => error.into(),
        AccessError::NoToken(_) => Failure::usage_hint(error.to_string(), "`sluice token list` lists them").into(),
        _ => Failure::usage(error.to_string()).into(),
    }
}

pub(crate) async fn run(args: Args, ctx: &Context) -> anyhow::Result<ExitCode> {
    let (pool, actor) = (ctx.postgres().await?, context::actor());
    match args.action {
        Action::Create { name, role, expires, json } => {
            let expires_at = expires.map(expiry).transpose()?;
            let first = !access::any_token(&pool).await?;
            let made = access::create_token(&pool, &name, role.into(), expires_at, &actor).await.map_err(refused)?;
            if json {
                let role = Role::from(role);
                output::json(
                    &json!({ "name": made.name, "role": role, "expires_at": expires_at, "token": made.secret }),
                )?;
                return Ok(ExitCode::SUCCESS);
            }
            output::line(&made.secret);
            eprintln!(
                "this is the only time that it is shown; send it as `Authorization: Bearer …`, or log in with it"
            );
            if first {
                eprintln!("from now on the API and the page answer to nobody without a token");
            }
        }
        Action::List { json } => {
            let rows = access::tokens(&pool).await?;
            if json {
                output::json(&rows)?;
                return Ok(ExitCode::SUCCESS);
            }
            let when = |at| runs::when(at, ctx.project.timezone);
            let cells: Vec<Vec<String>> = rows
                .iter()
                .map(|row| {
                    vec![
                        row.name.clone(),
                        row.role.clone(),
                        row.state.clone(),
                        when(Some(row.created_at)),
                        row.created_by.clone(),
                        when(row.expires_at),
                        when(row.last_used_at),
                    ]
                })
                .collect();
            output::table(&["token", "role", "state", "made", "by", "expires", "last used"], &cells);
        }
        Action::Revoke { name } => {
            access::revoke_token(&pool, &name, &actor).await.map_err(refused)?;
            output::line(format!("{name} is revoked"));
        }
    }
    Ok(ExitCode::SUCCESS)
}
