//! Where the tasks of a graph stand when it is drawn: in layers from left to right, edges as curves.
//!
//! Layers by longest path; an edge over several layers gets a bend in each of them, so that it runs between the
//! tasks and not behind them; order within a layer by the mean of the neighbours, swept a few times.

use std::collections::{BTreeMap, BTreeSet};

/// Width of a task's box, in pixels.
pub const NODE_WIDTH: f64 = 166.0;
/// Height of a task's box.
pub const NODE_HEIGHT: f64 = 38.0;
const COLUMN: f64 = NODE_WIDTH + 30.0;
const ROW: f64 = NODE_HEIGHT + 12.0;
const BEND_ROW: f64 = 14.0;
const MARGIN: f64 = 4.0;
const SWEEPS: usize = 8;

/// Something in a layer: a task, or the bend of an edge that passes through.
#[derive(Debug, Clone)]
pub struct Item {
    /// Which task, of those that were named; `None` for a bend.
    pub task: Option<usize>,
    /// Its layer, from 0.
    pub layer: usize,
    /// Items of the layer before that it hangs on.
    before: Vec<usize>,
    /// Items of the layer after that hang on it.
    pub after: Vec<usize>,
    /// Its middle.
    pub y: f64,
}

impl Item {
    fn height(&self) -> f64 {
        if self.task.is_some() { ROW } else { BEND_ROW }
    }

    /// Its left edge.
    pub fn x(&self) -> f64 {
        MARGIN + self.layer as f64 * COLUMN
    }
}

/// Where everything stands.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The tasks, in the order of their names, and the bends behind them.
    pub items: Vec<Item>,
    /// Of the whole, in pixels.
    pub width: f64,
    /// Of the whole, in pixels.
    pub height: f64,
}

/// Lays tasks out. An edge is a task and one that it needs; unknown names are passed over.
pub fn lay_out(names: &[&str], edges: &[(&str, &str)]) -> Layout {
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

/// The curve from one item to the next, and before it the line through it where it is a bend: the data of SVG paths.
pub fn curves(from: &Item, to: &Item) -> (Option<String>, String) {
    let start = from.x() + NODE_WIDTH;
    let end = to.x();
    let middle = f64::midpoint(start, end);
    let through = from.task.is_none().then(|| format!("M{:.1} {:.1}H{start:.1}", from.x(), from.y));
    let curve = format!("M{start:.1} {0:.1}C{middle:.1} {0:.1} {middle:.1} {1:.1} {end:.1} {1:.1}", from.y, to.y);
    (through, curve)
}

/// The layer of each task.
pub fn order(names: &[&str], edges: &[(&str, &str)]) -> Vec<usize> {
    layers(&successors(names, edges))
}

fn successors(names: &[&str], edges: &[(&str, &str)]) -> Vec<BTreeSet<usize>> {
    let index: BTreeMap<&str, usize> = names.iter().enumerate().map(|(index, name)| (*name, index)).collect();
    let mut after = vec![BTreeSet::new(); names.len()];
    for (task, need) in edges {
        if let (Some(from), Some(to)) = (index.get(need), index.get(task)) {
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

    /// Written as they run: from a task to one that needs it.
    fn edges<'a>(pairs: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        pairs.iter().map(|(need, task)| (*task, *need)).collect()
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
