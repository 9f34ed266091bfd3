//! A run's graph as SVG.

use maud::{Markup, html};
use workflow::layout::{Item, NODE_HEIGHT, NODE_WIDTH, curves, lay_out, order};

use super::{
    format::{duration, encode, place},
    parts::{look, sign_strokes},
};
use crate::store::runs::{Edge, Task};

/// The graph of a run. `selected` is the task whose log is shown below.
pub(super) fn graph(run_id: i64, tasks: &[Task], edges: &[Edge], selected: Option<&str>) -> Markup {
    let names: Vec<&str> = tasks.iter().map(|task| task.task.as_str()).collect();
    let layout = lay_out(&names, &pairs(edges));
    let (width, height) = (place(layout.width), place(layout.height));
    html! {
        div.graph-scroll {
            svg.graph viewBox={ "0 0 " (width) " " (height) } width=(width) height=(height) role="group" aria-label="Graph of the run's tasks" {
                @for item in &layout.items {
                    @for next in &item.after {
                        (edge(item, &layout.items[*next], tasks))
                    }
                }
                @for item in &layout.items {
                    @if let Some(task) = item.task.and_then(|index| tasks.get(index)) {
                        (node(run_id, task, item, selected == Some(&task.task)))
                    }
                }
            }
        }
    }
}

fn node(run_id: i64, task: &Task, item: &Item, selected: bool) -> Markup {
    let look = look(&task.state);
    let took = task.seconds.filter(|_| task.started_at.is_some()).map(duration);
    let top = item.y - NODE_HEIGHT / 2.0;
    html! {
        a.node.selected[selected] .{ (look.tone) } href={ "/runs/" (run_id) "?task=" (encode(&task.task)) "#log" } {
            title { (task.task) " (" (task.kind) "): " (look.label) @if let Some(took) = &took { ", " (took) } }
            rect.box x=(place(item.x())) y=(place(top)) width=(place(NODE_WIDTH)) height=(place(NODE_HEIGHT)) rx="8" {}
            svg.icon x=(place(item.x() + 10.0)) y=(place(top + 11.0)) width="16" height="16" viewBox="0 0 16 16" { (sign_strokes(&task.state)) }
            text.name x=(place(item.x() + 33.0)) y=(place(item.y - 2.0)) { (shorten(&task.task)) }
            text.meta x=(place(item.x() + 33.0)) y=(place(item.y + 11.5)) {
                (task.kind) @if let Some(took) = &took { " · " (took) }
            }
        }
    }
}

fn edge(from: &Item, to: &Item, tasks: &[Task]) -> Markup {
    let live = from.task.and_then(|index| tasks.get(index)).is_some_and(|task| task.state == "success");
    let (through, curve) = curves(from, to);
    html! {
        @if let Some(through) = through {
            path.edge d=(through) {}
        }
        path.edge.passed[live] d=(curve) {}
    }
}

/// At most 19 letters: what the box holds.
fn shorten(name: &str) -> String {
    if name.chars().count() <= 19 { name.to_owned() } else { name.chars().take(18).chain(['…']).collect() }
}

/// Edges as a layout takes them.
pub(super) fn pairs(edges: &[Edge]) -> Vec<(&str, &str)> {
    edges.iter().map(|edge| (edge.task.as_str(), edge.needs.as_str())).collect()
}

/// Tasks by layer, and in each by when they began: the order in which a run goes through them.
pub(super) fn in_order<'a>(tasks: &'a [Task], edges: &[Edge]) -> Vec<&'a Task> {
    let names: Vec<&str> = tasks.iter().map(|task| task.task.as_str()).collect();
    let order = order(&names, &pairs(edges));
    let mut sorted: Vec<_> = tasks.iter().zip(order).collect();
    sorted.sort_by_key(|(task, layer)| (*layer, task.started_at.is_none(), task.started_at));
    sorted.into_iter().map(|(task, _)| task).collect()
}
