//! Limits of channels. A message to a channel with one waits for its place in it. Where more wait than there are places,
//! the oldest go alone and the last place is for one message that tells of all the alerts and failed runs of the rest: how many
//! of which, and the worst of them. `sluice.alert_message` says which alerts those are, and `told_in` which messages, so that none
//! is lost in it. A report is told whole or not yet.

use sqlx::{FromRow, PgConnection, PgPool, query, query_as, query_scalar};
use warehouse::{
    outbox::{Notice, Payload},
    pool::{PATIENCE, answered},
};
use workflow::project::Channel;

use super::DeliveryError;
use crate::wording::grouped;

/// How the keys of messages that tell of many begin.
pub(super) const BUNDLE: &str = "bundle:";
/// Most messages that one tells people of, and a program.
const MOST: (i64, i64) = (100_000, 500);
/// Rules and alerts that such a message names.
const NAMED: (usize, i64) = (10, 5);

#[derive(FromRow)]
struct Waiting {
    outbox_id: i64,
    bundles: bool,
}

/// What is to be told of one rule, or of messages with one title.
#[derive(FromRow)]
struct Kind {
    /// Of a rule.
    source: Option<String>,
    name: String,
    severity: String,
    messages: i64,
    keys: i64,
}

/// Gives the messages that wait for `name` their places, as far as there are some.
pub(super) async fn admit(pool: &PgPool, name: &str, channel: &Channel) -> Result<(), DeliveryError> {
    let Some(rate) = channel.at_most() else { return Ok(()) };
    let waits = query_scalar(include_str!("../../../../sql/delivery/limit/waits.sql")).bind(name).fetch_one(pool);
    if !answered(PATIENCE, waits).await? {
        return Ok(());
    }
    let decide = async {
        let mut transaction = pool.begin().await?;
        let ours: bool = query_scalar(include_str!("../../../../sql/delivery/limit/lock.sql"))
            .bind(name)
            .fetch_one(&mut *transaction)
            .await?;
        if !ours {
            return Ok(());
        }
        let room: i64 = query_scalar(include_str!("../../../../sql/delivery/limit/room.sql"))
            .bind(name)
            .bind(i64::from(rate.count.get()))
            .bind(rate.per.0.as_secs_f64())
            .fetch_one(&mut *transaction)
            .await?;
        if room == 0 {
            return Ok(());
        }
        let most = if channel.settles() { MOST.1 } else { MOST.0 };
        let waiting: Vec<Waiting> = query_as(include_str!("../../../../sql/delivery/limit/waiting.sql"))
            .bind(name)
            .bind(room + most)
            .fetch_all(&mut *transaction)
            .await?;
        let (alone, together) = split(&waiting, usize::try_from(room).unwrap_or(usize::MAX));
        query(include_str!("../../../../sql/delivery/limit/admit.sql")).bind(alone).execute(&mut *transaction).await?;
        if !together.is_empty() {
            bundle(&mut transaction, name, &together).await?;
        }
        transaction.commit().await
    };
    Ok(answered(PATIENCE, decide).await?)
}

/// Which messages go alone, and which together in one more.
fn split(waiting: &[Waiting], room: usize) -> (Vec<i64>, Vec<i64>) {
    let ids = |waiting: &[Waiting]| waiting.iter().map(|message| message.outbox_id).collect::<Vec<_>>();
    if waiting.len() <= room {
        return (ids(waiting), Vec::new());
    }
    let (first, rest) = waiting.split_at(room - 1);
    let together: Vec<_> = rest.iter().filter(|message| message.bundles).map(|message| message.outbox_id).collect();
    // What does not bundle is told whole or not yet, and one message needs no summary.
    if together.len() < 2 { (ids(&waiting[..room]), Vec::new()) } else { (ids(first), together) }
}

async fn bundle(connection: &mut PgConnection, channel: &str, messages: &[i64]) -> sqlx::Result<()> {
    let kinds: Vec<Kind> = query_as(include_str!("../../../../sql/delivery/limit/kinds.sql"))
        .bind(messages)
        .fetch_all(&mut *connection)
        .await?;
    let worst: Vec<String> = query_scalar(include_str!("../../../../sql/delivery/limit/worst.sql"))
        .bind(messages)
        .bind(NAMED.1)
        .fetch_all(&mut *connection)
        .await?;
    let notice = summary(&kinds, worst);
    let (first, last) = (messages.first().unwrap_or(&0), messages.last().unwrap_or(&0));
    query(include_str!("../../../../sql/delivery/limit/bundle.sql"))
        .bind(channel)
        .bind(format!("{BUNDLE}{first}-{last}@{channel}"))
        .bind(&notice.title)
        .bind(serde_json::to_value(Payload::Notice(notice)).map_err(|error| sqlx::Error::Encode(error.into()))?)
        .bind(messages)
        .execute(connection)
        .await?;
    Ok(())
}

/// The worst come first.
fn summary(kinds: &[Kind], worst: Vec<String>) -> Notice {
    let count = |kinds: &[Kind]| kinds.iter().map(|kind| kind.messages).sum::<i64>();
    let noun = if kinds.iter().all(|kind| kind.source.is_some()) { "alerts" } else { "messages" };
    let severity = kinds.first().map_or("low", |kind| kind.severity.as_str());
    let line = |kind: &Kind| {
        let times = format!("{} × {}", grouped(kind.messages, 0), kind.severity);
        match &kind.source {
            Some(source) if kind.keys == 1 => (format!("{} in {source}", kind.name), format!("{times}, one key")),
            Some(source) => (format!("{} in {source}", kind.name), format!("{times}, {} keys", grouped(kind.keys, 0))),
            None => (kind.name.clone(), times),
        }
    };
    let (named, rest) = kinds.split_at(NAMED.0.min(kinds.len()));
    let mut fields: Vec<_> = named.iter().map(line).collect();
    if !rest.is_empty() {
        fields.push((format!("{} more kinds", rest.len()), format!("{} {noun}", grouped(count(rest), 0))));
    }
    Notice {
        severity: severity.to_owned(),
        title: format!("[{severity}] {} {noun} at once", grouped(count(kinds), 0)),
        text: "More came than this channel takes one by one. The worst of them:".to_owned(),
        why: worst,
        fields,
        ..Notice::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_place_goes_together_and_a_report_waits() {
        let waiting = |kinds: &str| {
            let ids = 1..;
            ids.zip(kinds.chars())
                .map(|(outbox_id, kind)| Waiting { outbox_id, bundles: kind == 'a' })
                .collect::<Vec<_>>()
        };
        assert_eq!(split(&waiting("aaa"), 3), (vec![1, 2, 3], vec![]));
        assert_eq!(split(&waiting("aaaaa"), 3), (vec![1, 2], vec![3, 4, 5]));
        assert_eq!(split(&waiting("aaaaa"), 1), (vec![], vec![1, 2, 3, 4, 5]));
        assert_eq!(split(&waiting("ararar"), 2), (vec![1], vec![3, 5]));
        assert_eq!(split(&waiting("rrr"), 2), (vec![1, 2], vec![]));
        assert_eq!(split(&waiting("aar"), 2), (vec![1, 2], vec![]));
    }
}
