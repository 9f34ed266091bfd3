//! Streams, dead letters, alerts, deliveries and the board.

use axum::{Json, extract::State as Extract};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::extract::{ApiQuery, cursor, limit};
use crate::{
    error::{ApiError, Problem},
    state::State,
    store::{
        Page,
        alerts::{self, Alert, AlertFilter, Delivery},
        board::Board,
        streams::{self, DeadLetter, Partition},
    },
};

/// What to list alerts by.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AlertQuery {
    /// Alerts of this stream or DAG only.
    source: Option<String>,
    /// Alerts of this severity only: `low`, `medium`, `high` or `critical`.
    severity: Option<String>,
    /// `open` or `closed` ones only.
    state: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// How many rows, 1 to 200. Default 50.
    limit: Option<i64>,
}

/// Alerts, newest first.
#[utoipa::path(get, path = "/api/v1/alerts", tag = "streams", params(AlertQuery),
    responses((status = 200, body = Page<Alert>), (status = 400, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn list_alerts(
    Extract(state): Extract<State>,
    ApiQuery(query): ApiQuery<AlertQuery>,
) -> Result<Json<Page<Alert>>, ApiError> {
    let filter = AlertFilter {
        source: query.source,
        severity: query.severity,
        state: query.state,
        before: cursor(query.cursor.as_deref())?,
        limit: limit(query.limit)?,
    };
    Ok(Json(alerts::list(state.pool(), &filter).await?))
}

/// A stream and its partitions.
#[derive(Debug, Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "named as in the view")]
pub(super) struct Stream {
    stream: String,
    topic: String,
    /// Records not yet accounted for, over all partitions.
    lag: i64,
    partitions: Vec<Partition>,
}

/// How far each stream has come.
#[utoipa::path(get, path = "/api/v1/streams", tag = "streams", responses((status = 200, body = Vec<Stream>)))]
pub(super) async fn list_streams(Extract(state): Extract<State>) -> Result<Json<Vec<Stream>>, ApiError> {
    let mut streams: Vec<Stream> = Vec::new();
    for partition in streams::partitions(state.pool()).await? {
        match streams.last_mut() {
            Some(stream) if stream.stream == partition.stream => {
                stream.lag += partition.lag;
                stream.partitions.push(partition);
            }
            _ => streams.push(Stream {
                stream: partition.stream.clone(),
                topic: partition.topic.clone(),
                lag: partition.lag,
                partitions: vec![partition],
            }),
        }
    }
    Ok(Json(streams))
}

/// What to list dead letters by.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DeadLetterQuery {
    /// Those of this stream only.
    stream: Option<String>,
    /// Those with this reason only: `malformed`, `late` or `rejected`.
    reason: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// How many rows, 1 to 200. Default 50.
    limit: Option<i64>,
}

/// Records that a stream could not use, newest first.
#[utoipa::path(get, path = "/api/v1/dead-letters", tag = "streams", params(DeadLetterQuery),
    responses((status = 200, body = Page<DeadLetter>), (status = 400, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn list_dead_letters(
    Extract(state): Extract<State>,
    ApiQuery(query): ApiQuery<DeadLetterQuery>,
) -> Result<Json<Page<DeadLetter>>, ApiError> {
    let before = cursor(query.cursor.as_deref())?;
    let limit = limit(query.limit)?;
    let (stream, reason) = (query.stream.as_deref(), query.reason.as_deref());
    Ok(Json(streams::dead_letters(state.pool(), stream, reason, before, limit).await?))
}

/// What to list messages by.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DeliveryQuery {
    /// Those in this state only: `pending`, `sending`, `delivered` or `failed`.
    state: Option<String>,
    /// Those to this channel only.
    channel: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// How many rows, 1 to 200. Default 50.
    limit: Option<i64>,
}

/// Mails and Slack messages, newest first.
#[utoipa::path(get, path = "/api/v1/deliveries", tag = "streams", params(DeliveryQuery),
    responses((status = 200, body = Page<Delivery>), (status = 400, body = Problem, content_type = "application/problem+json")))]
pub(super) async fn list_deliveries(
    Extract(state): Extract<State>,
    ApiQuery(query): ApiQuery<DeliveryQuery>,
) -> Result<Json<Page<Delivery>>, ApiError> {
    let before = cursor(query.cursor.as_deref())?;
    let limit = limit(query.limit)?;
    let (wanted, channel) = (query.state.as_deref(), query.channel.as_deref());
    Ok(Json(alerts::deliveries(state.pool(), wanted, channel, before, limit).await?))
}

/// The shop's day so far.
#[utoipa::path(get, path = "/api/v1/board", tag = "streams", responses((status = 200, body = Board)))]
pub(super) async fn get_board(Extract(state): Extract<State>) -> Result<Json<std::sync::Arc<Board>>, ApiError> {
    Ok(Json(state.board().await?))
}
