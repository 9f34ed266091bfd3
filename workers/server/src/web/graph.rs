//! A run's graph as SVG: tasks in layers from left to right, edges as curves.
//!
//! Layers by longest path; an edge over several layers gets a bend in each of them, so that it runs between the
//! tasks and not behind them; order within a layer by the mean of the neighbours, swept a few times.

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, html};

use super::{
    format::{duration, encode, place},
    parts::{look, sign_strokes},
};
use crate::store::runs::{Edge, Task};

const NODE_WIDTH: f64 = 166.0;
const NODE_HEIGHT: f64 = 38.0;
const COLUMN: f64 = NODE_WIDTH + 30.0;
const ROW: f64 = NODE_HEIGHT + 12.0;
const BEND_ROW: f64 = 14.0;
const MARGIN: f64 = 4.0;
const SWEEPS: usize = 8;

/// Something in a layer: a task, or the bend of an edge that passes through.
#[derive(Debug, Clone)]
struct Item {
    task: Option<usize>,
    layer: usize,
    /// Items of the layer before that it hangs on, and of the layer after that hang on it.
    before: Vec<usize>,
    after: Vec<usize>,
    y: f64,
}

impl Item {
    fn height(&self) -> f64 {
        if self.task.is_some() { ROW } else { BEND_ROW }
    }

    fn x(&self) -> f64 {
        MARGIN + self.layer as f64 * COLUMN
    }
}

/// Where everything stands.
struct Layout {
    items: Vec<Item>,
    width: f64,
    height: f64,
}

/// The graph of a run. `selected` is the task whose log is shown below.
pub(super) fn graph(run_id: i64, tasks: &[Task], edges: &[Edge], selected: Option<&str>) -> Markup {
    let names: Vec<&str> = tasks.iter().map(|task| task.task.as_str()).collect();
    let layout = lay_out(&names, edges);
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
    let start = from.x() + NODE_WIDTH;
    let end = to.x();
    let middle = f64::midpoint(start, end);
    let live = from.task.and_then(|index| tasks.get(index)).is_some_and(|task| task.state == "success");
    let curve = format!(
        "M{} {}C{} {} {} {} {} {}",
        place(start),
        place(from.y),
        place(middle),
        place(from.y),
        place(middle),
        place(to.y),
        place(end),
        place(to.y)
    );
    html! {
        @if from.task.is_none() {
            path.edge d={ "M" (place(from.x())) " " (place(from.y)) "H" (place(start)) } {}
        }
        path.edge.passed[live] d=(curve) {}
    }
}

/// At most 19 letters: what the box holds.
fn shorten(name: &str) -> String {
    if name.chars().count() <= 19 { name.to_owned() } else { name.chars().take(18).chain(['…']).collect() }
}

fn lay_out(names: &[&str], edges: &[Edge]) -> Layout {
    let mut after = successors(names, edges);
    let layers = layers(&after);
    reduce(&mut after, &layers);
    let mut items: Vec<Item> = layers
        .iter()
        .enumerate()
        .map(|(task, layer)| Item { task: Some(task), layer: *layer, before: vec![], after: vec![], y: 0.0 })
        .collect();
    for (from, targets) in after.iter().enumerate() {
        for &to in targets {
            let mut last = from;
            for layer in layers[from] + 1..layers[to] {
                items.push(Item { task: None, layer, before: vec![], after: vec![], y: 0.0 });
                let bend = items.len() - 1;
                link(&mut items, last, bend);
                last = bend;
            }
            link(&mut items, last, to);
        }
    }
    let mut rows: Vec<Vec<usize>> = vec![Vec::new(); layers.iter().max().map_or(0, |last| last + 1)];
    for (id, item) in items.iter().enumerate() {
        rows[item.layer].push(id);
    }
    arrange(&mut items, &mut rows);
    let height = items.iter().map(|item| item.y + item.height() / 2.0).fold(0.0, f64::max);
    let width = rows.len().max(1) as f64 * COLUMN - (COLUMN - NODE_WIDTH) + 2.0 * MARGIN;
    Layout { items, width, height: height + MARGIN }
}

fn link(items: &mut [Item], from: usize, to: usize) {
    items[from].after.push(to);
    items[to].before.push(from);
}

/// Tasks by layer, and in each by when they began: the order in which a run goes through them.
pub(super) fn in_order<'a>(tasks: &'a [Task], edges: &[Edge]) -> Vec<&'a Task> {
    let names: Vec<&str> = tasks.iter().map(|task| task.task.as_str()).collect();
    let order = order(&names, edges);
    let mut sorted: Vec<_> = tasks.iter().zip(order).collect();
    sorted.sort_by_key(|(task, layer)| (*layer, task.started_at.is_none(), task.started_at));
    sorted.into_iter().map(|(task, _)| task).collect()
}

/// The layer of each task.
pub(super) fn order(names: &[&str], edges: &[Edge]) -> Vec<usize> {
    layers(&successors(names, edges))
}

fn successors(names: &[&str], edges: &[Edge]) -> Vec<BTreeSet<usize>> {
    let index: BTreeMap<&str, usize> = names.iter().enumerate().map(|(index, name)| (*name, index)).collect();
    let mut after = vec![BTreeSet::new(); names.len()];
    for edge in edges {
        if let (Some(from), Some(to)) = (index.get(edge.needs.as_str()), index.get(edge.task.as_str())) {
            after[*from].insert(*to);
        }
    }
    after
}

/// Each task's distance from the farthest root. A cycle, which no deployed DAG has, ends the count.
fn layers(after: &[BTreeSet<usize>]) -> Vec<usize> {
    let mut layers = vec![0; after.len()];
    for _ in 0..after.len() {
        let mut moved = false;
        for (from, targets) in after.iter().enumerate() {
            for &to in targets {
                if layers[to] <= layers[from] && layers[from] + 1 < after.len() {
                    layers[to] = layers[from] + 1;
                    moved = true;
                }
            }
        }
        if !moved {
            break;
        }
    }
    layers
}

/// Drops edges that other edges already imply.
fn reduce(after: &mut [BTreeSet<usize>], layers: &[usize]) {
    let full = after.to_vec();
    for targets in after.iter_mut() {
        let direct = targets.clone();
        targets.retain(|target| !direct.iter().any(|via| via != target && reaches(&full, layers, *via, *target)));
    }
}

fn reaches(after: &[BTreeSet<usize>], layers: &[usize], from: usize, to: usize) -> bool {
    let mut stack = vec![from];
    let mut seen = BTreeSet::new();
    while let Some(at) = stack.pop() {
        if after[at].contains(&to) {
            return true;
        }
        stack.extend(after[at].iter().copied().filter(|next| layers[*next] < layers[to] && seen.insert(*next)));
    }
    false
}

/// Orders each layer by where its neighbours are, forth and back, and then gives everything its height.
fn arrange(items: &mut [Item], rows: &mut [Vec<usize>]) {
    for row in rows.iter() {
        stack(items, row, |_, _| None);
    }
    for sweep in 0..SWEEPS {
        let forth = sweep % 2 == 0;
        for step in 0..rows.len() {
            let layer = if forth { step } else { rows.len() - 1 - step };
            let near = |items: &[Item], id: usize| {
                let neighbours = if forth { &items[id].before } else { &items[id].after };
                mean(neighbours.iter().map(|n| items[*n].y))
            };
            let mut order: Vec<(f64, usize)> =
                rows[layer].iter().map(|id| (near(items, *id).unwrap_or(items[*id].y), *id)).collect();
            order.sort_by(|a, b| a.0.total_cmp(&b.0));
            rows[layer] = order.into_iter().map(|(_, id)| id).collect();
            stack(items, &rows[layer], near);
        }
    }
    let top = items.iter().map(|item| item.y - item.height() / 2.0).fold(f64::INFINITY, f64::min);
    for item in items {
        item.y += MARGIN - top;
    }
}

/// Puts a layer's items below one another, each as near as may be to where it wants to be.
fn stack(items: &mut [Item], row: &[usize], wish: impl Fn(&[Item], usize) -> Option<f64>) {
    let wishes: Vec<f64> = row.iter().map(|id| wish(items, *id).unwrap_or(items[*id].y)).collect();
    let mut floor = f64::NEG_INFINITY;
    for (id, wanted) in row.iter().zip(&wishes) {
        let half = items[*id].height() / 2.0;
        items[*id].y = wanted.max(floor + half);
        floor = items[*id].y + half;
    }
    // Pushing down only would let a layer sink: lift it by the mean of what it was pushed.
    let drift = mean(row.iter().zip(&wishes).map(|(id, wanted)| items[*id].y - wanted)).unwrap_or(0.0);
    for id in row {
        items[*id].y -= drift;
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0_u32);
    for value in values {
        sum += value;
        count += 1;
    }
    (count > 0).then(|| sum / f64::from(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edges(pairs: &[(&str, &str)]) -> Vec<Edge> {
        pairs.iter().map(|(needs, task)| Edge { task: (*task).to_owned(), needs: (*needs).to_owned() }).collect()
    }

    #[test]
    fn a_task_stands_after_all_it_needs_and_nothing_overlaps() {
        let names = ["a", "b", "c", "d", "e"];
        let layout = lay_out(&names, &edges(&[("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"), ("a", "d"), ("d", "e")]));
        let layers: Vec<_> = layout.items[..5].iter().map(|item| item.layer).collect();
        assert_eq!(layers, [0, 1, 1, 2, 3]);
        assert_eq!(layout.items.len(), 5, "a → d is implied by a → b → d and draws no bend");
        assert!((layout.items[1].y - layout.items[2].y).abs() >= ROW - 0.01);
        assert!(layout.items.iter().all(|item| item.y >= NODE_HEIGHT / 2.0 && item.y <= layout.height));
    }

    #[test]
    fn a_long_edge_bends_in_each_layer_it_passes() {
        let layout = lay_out(&["a", "b", "c", "x"], &edges(&[("a", "b"), ("b", "c"), ("x", "c")]));
        let bends: Vec<_> = layout.items.iter().filter(|item| item.task.is_none()).map(|item| item.layer).collect();
        assert_eq!(bends, [1]);
    }

    #[test]
    fn unknown_names_and_cycles_do_no_harm() {
        let layout = lay_out(&["a", "b"], &edges(&[("a", "b"), ("b", "a"), ("ghost", "b")]));
        assert_eq!(layout.items.iter().filter(|item| item.task.is_some()).count(), 2);
        assert!(lay_out(&[], &[]).height > 0.0);
    }
}
