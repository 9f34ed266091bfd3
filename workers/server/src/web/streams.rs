//! Streams: how far each partition has come, what the rules counted, what could not be used.

use axum::extract::State as Extract;
use maud::{Markup, html};

use super::{
    format::{ago, count, duration},
    layout::{Live, OrPage, Page, Section, WebError},
    parts::{badge, card, empty, figure},
};
use crate::{
    state::State,
    store::streams::{self, DeadLetter, Partition, RuleActivity},
};

pub(super) async fn page(Extract(state): Extract<State>) -> Result<Markup, WebError> {
    let pool = state.pool();
    let partitions = streams::partitions(pool).await.or_page(&state)?;
    let activity = streams::activity(pool).await.or_page(&state)?;
    let dead = streams::dead_letters(pool, None, None, None, 20).await.or_page(&state)?;
    let mut names: Vec<&str> = partitions.iter().map(|partition| partition.stream.as_str()).collect();
    names.dedup();
    let sum = |field: fn(&Partition) -> i64| partitions.iter().map(field).sum::<i64>();
    let delay = partitions.iter().filter_map(|partition| partition.delay_seconds).reduce(f64::max);
    let body = html! {
        @if partitions.is_empty() {
            section.card {
                (empty("No stream has consumed anything yet", "Streams are YAML files in dags/streams/. Start the stream process and some traffic.",
                    Some("sluice stream &\nsluice generate --live")))
            }
        } @else {
            div.figures {
                (figure("Records accounted for", count(sum(|p| p.counted + p.deduplicated + p.late + p.malformed)), html! { "on all partitions" }))
                (figure("Lag", count(sum(|p| p.lag)), html! { "records not yet read" }))
                (figure("Slowest watermark", delay.map_or_else(|| "–".to_owned(), |seconds| duration(seconds.max(0.0))), html! { "behind the clock" }))
                (figure("Late and malformed", count(sum(|p| p.late + p.malformed)), html! { "dead-lettered with a reason" }))
            }
            @for name in names {
                @let own: Vec<_> = partitions.iter().filter(|partition| partition.stream == name).collect();
                (card(name, html! { "topic " code { (own[0].topic) } }, html! {
                    (partition_table(&own, &state))
                    (rules(activity.iter().filter(|rule| rule.stream == name), &state))
                }))
            }
        }
        (card("Dead letters", html! { "newest first" }, dead_table(&dead.items, &state)))
    };
    let lead =
        html! { "Offsets, windows and alerts are committed together, so a crash loses nothing and doubles nothing." };
    Ok(Page { lead, live: Live::Every(2000), body, ..Page::new(Section::Streams, "Streams") }.render(&state))
}

fn partition_table(partitions: &[&Partition], state: &State) -> Markup {
    html! {
        div.scroll {
            table {
                thead { tr {
                    th { "Partition" } th.end { "Offset" } th.end { "Lag" } th.end { "Watermark" } th.end { "Counted" }
                    th.end { "Deduplicated" } th.end { "Late" } th.end { "Malformed" } th.end { "Committed" }
                } }
                tbody {
                    @for partition in partitions {
                        tr {
                            td.num.start { (partition.partition) }
                            td.num { (count(partition.committed_offset)) }
                            td.num { span.warn-text[partition.lag > 1000] { (count(partition.lag)) } }
                            td.num { @match partition.delay_seconds { Some(seconds) => { (duration(seconds.max(0.0))) " behind" }, None => "–" } }
                            td.num { (count(partition.counted)) }
                            td.num { (count(partition.deduplicated)) }
                            td.num { (count(partition.late)) }
                            td.num { (count(partition.malformed)) }
                            td.end.sub.nowrap { (ago(partition.updated_at, state.timezone())) }
                        }
                    }
                }
            }
        }
    }
}

fn rules<'a>(activity: impl Iterator<Item = &'a RuleActivity>, state: &State) -> Markup {
    let activity: Vec<_> = activity.collect();
    html! {
        @if !activity.is_empty() {
            h3 { "Rules and aggregates, last hour" }
            div.scroll {
                table {
                    thead { tr { th { "Name" } th.end { "Windows" } th.end { "Open" } th.end { "Events" } th.end { "Last window" } } }
                    tbody {
                        @for rule in activity {
                            tr {
                                td { code { (rule.agg) } }
                                td.num { (count(rule.windows)) }
                                td.num { (count(rule.open)) }
                                td.num { (count(rule.events)) }
                                td.end.sub.nowrap { @if let Some(at) = rule.last_window_end { (ago(at, state.timezone())) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn dead_table(letters: &[DeadLetter], state: &State) -> Markup {
    html! {
        @if letters.is_empty() {
            (empty("No dead letters", "Late, malformed and rejected records land here with the reason, and can be replayed.", None))
        } @else {
            div.scroll {
                table {
                    thead { tr { th { "Stream" } th { "Reason" } th { "Detail" } th.end { "Place" } th.end { "When" } } }
                    tbody {
                        @for letter in letters {
                            tr {
                                td { (letter.stream) }
                                td { (badge(&letter.reason)) }
                                td { div.clip title=(letter.detail) { (letter.detail) } }
                                td.num.nowrap { (letter.topic) "/" (letter.partition) " @ " (count(letter.record_offset)) }
                                td.end.sub.nowrap { (ago(letter.at, state.timezone())) }
                            }
                        }
                    }
                }
            }
        }
    }
}
