//! Who may use the API and the page: tokens with a role, and sessions of browsers that logged in with one.
//!
//! A secret is 256 random bits, shown once. Only its SHA-256 is kept, and looking that up is the comparison: what an
//! attacker could learn from how long it takes is about hashes of what they tried.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use sqlx::PgPool;

use crate::runs::{Act, Actor, record};

/// What a token allows. Each role may do all that those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// To look at everything.
    Viewer,
    /// To start, cancel, retry, mark, clear and backfill runs, and to pause DAGs.
    Operator,
    /// To read the audit log.
    Admin,
}

impl Role {
    /// Every role, the least first.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Admin];

    /// As stored in `sluice.token.role`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.as_str())
    }
}

/// What is refused about tokens.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// Postgres refused, or was lost on the way.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// A name that a token in use has.
    #[error("there is a token `{0}` already; revoke it first, or choose another name")]
    Taken(String),
    /// No token in use has that name.
    #[error("there is no token `{0}`, or it was revoked before")]
    NoToken(String),
    /// A name that says nothing.
    #[error("a token's name is 1 to 64 letters, digits, `-`, `_`, `.` or `@`, not `{0}`")]
    Name(String),
}

/// A token that was just made.
pub struct NewToken {
    /// Its name.
    pub name: String,
    /// The secret: there is no second time to see it.
    pub secret: String,
}

/// A token, without its secret.
#[derive(Debug, Clone, Serialize, sqlx::FromRow)]
pub struct TokenRow {
    /// Its name.
    pub name: String,
    /// See [`Role`].
    pub role: String,
    /// `active`, `expired` or `revoked`.
    pub state: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Who made it.
    pub created_by: String,
    /// When it ends by itself.
    pub expires_at: Option<DateTime<Utc>>,
    /// When someone revoked it.
    pub revoked_at: Option<DateTime<Utc>>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// Who a secret belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The token's name.
    pub name: String,
    /// What it may do.
    pub role: Role,
}

/// What a presented secret comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presented {
    /// It is good.
    Good(Caller),
    /// It never was one.
    Unknown,
    /// Its time is over.
    Expired,
    /// Someone revoked it.
    Revoked,
}

fn fresh() -> String {
    workflow::hex::encode(&rand::random::<[u8; 32]>())
}

fn hash(secret: &str) -> Vec<u8> {
    Sha256::digest(secret.as_bytes()).to_vec()
}

/// Makes a token.
pub async fn create_token(
    pool: &PgPool,
    name: &str,
    role: Role,
    expires_at: Option<DateTime<Utc>>,
    actor: &Actor,
) -> Result<NewToken, AccessError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@');
    if name.is_empty() || name.len() > 64 || !name.chars().all(fits) {
        return Err(AccessError::Name(name.to_owned()));
    }
    let secret = format!("sluice_{}", fresh());
    let mut transaction = pool.begin().await?;
    let made = sqlx::query(
        "insert into sluice.token (name, hash, role, created_by, expires_at) values ($1, $2, $3, $4, $5)
         on conflict (name) where revoked_at is null do nothing",
    )
    .bind(name)
    .bind(hash(&secret))
    .bind(role.as_str())
    .bind(&actor.name)
    .bind(expires_at)
    .execute(&mut *transaction)
    .await?;
    if made.rows_affected() == 0 {
        return Err(AccessError::Taken(name.to_owned()));
    }
    let detail = json!({ "token": name, "role": role, "expires_at": expires_at });
    record(&mut transaction, actor, Act { detail, ..Act::of("token_create") }).await?;
    transaction.commit().await?;
    Ok(NewToken { name: name.to_owned(), secret })
}

/// Ends a token and every session that was opened with it, from the next request on.
pub async fn revoke_token(pool: &PgPool, name: &str, actor: &Actor) -> Result<(), AccessError> {
    let mut transaction = pool.begin().await?;
    let ended = sqlx::query("update sluice.token set revoked_at = now() where name = $1 and revoked_at is null")
        .bind(name)
        .execute(&mut *transaction)
        .await?;
    if ended.rows_affected() == 0 {
        return Err(AccessError::NoToken(name.to_owned()));
    }
    record(&mut transaction, actor, Act { detail: json!({ "token": name }), ..Act::of("token_revoke") }).await?;
    transaction.commit().await?;
    Ok(())
}

/// Every token that ever was, newest first.
pub async fn tokens(pool: &PgPool) -> Result<Vec<TokenRow>, sqlx::Error> {
    sqlx::query_as(
        "select name, role, created_at, created_by, expires_at, revoked_at, last_used_at,
                case when revoked_at is not null then 'revoked'
                     when expires_at <= now() then 'expired' else 'active' end as state
         from sluice.token order by token_id desc",
    )
    .fetch_all(pool)
    .await
}

/// Whether a token was ever made. From then on a platform stays closed, also when the last token has ended.
pub async fn any_token(pool: &PgPool) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("select exists (select from sluice.token)").fetch_one(pool).await
}

/// A row of `present_token.sql` or `present_session.sql`.
type Row = (i64, String, String, bool, bool);

async fn presented(pool: &PgPool, row: Option<Row>) -> Result<Presented, sqlx::Error> {
    let Some((token_id, name, role, expired, revoked)) = row else { return Ok(Presented::Unknown) };
    let Some(role) = Role::ALL.into_iter().find(|known| known.as_str() == role) else {
        return Ok(Presented::Unknown);
    };
    if revoked {
        return Ok(Presented::Revoked);
    }
    if expired {
        return Ok(Presented::Expired);
    }
    // Once a minute is enough to see whether a token is in use.
    sqlx::query(
        "update sluice.token set last_used_at = now()
         where token_id = $1 and (last_used_at is null or last_used_at < now() - interval '1 minute')",
    )
    .bind(token_id)
    .execute(pool)
    .await?;
    Ok(Presented::Good(Caller { name, role }))
}

/// What a bearer token is worth.
pub async fn present_token(pool: &PgPool, secret: &str) -> Result<Presented, sqlx::Error> {
    let row = sqlx::query_as(
        "select token_id, name, role, coalesce(expires_at <= now(), false), revoked_at is not null
         from sluice.token where hash = $1",
    )
    .bind(hash(secret))
    .fetch_optional(pool)
    .await?;
    presented(pool, row).await
}

/// What a session of a browser is worth: what its token is worth, until it is over.
pub async fn present_session(pool: &PgPool, secret: &str) -> Result<Presented, sqlx::Error> {
    let row = sqlx::query_as(
        "select t.token_id, t.name, t.role, s.expires_at <= now() or coalesce(t.expires_at <= now(), false),
                t.revoked_at is not null
         from sluice.web_session s join sluice.token t using (token_id) where s.hash = $1",
    )
    .bind(hash(secret))
    .fetch_optional(pool)
    .await?;
    presented(pool, row).await
}

/// Opens a session with a token that is good. Gives its secret, for the browser's cookie.
pub async fn open_session(
    pool: &PgPool,
    token: &str,
    lasts: chrono::TimeDelta,
) -> Result<Result<String, Presented>, sqlx::Error> {
    let worth = present_token(pool, token).await?;
    if !matches!(worth, Presented::Good(_)) {
        return Ok(Err(worth));
    }
    let secret = fresh();
    sqlx::query("delete from sluice.web_session where expires_at <= now()").execute(pool).await?;
    sqlx::query(
        "insert into sluice.web_session (hash, token_id, expires_at)
         select $1, token_id, $3 from sluice.token where hash = $2",
    )
    .bind(hash(&secret))
    .bind(hash(token))
    .bind(Utc::now() + lasts)
    .execute(pool)
    .await?;
    Ok(Ok(secret))
}

/// Ends a session.
pub async fn close_session(pool: &PgPool, secret: &str) -> Result<(), sqlx::Error> {
    sqlx::query("delete from sluice.web_session where hash = $1").bind(hash(secret)).execute(pool).await?;
    Ok(())
}
