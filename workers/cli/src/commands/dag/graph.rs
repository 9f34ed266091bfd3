//! A DAG as a drawing of lines and names: one row a task, one lane for each task that others still wait for.

use std::collections::{BTreeMap, BTreeSet};

use workflow::plan::Plan;

use crate::output::{self, Style};

/// The drawing, line by line.
pub(super) fn draw(plan: &Plan) -> Vec<String> {
    let mut waiting: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for task in &plan.tasks {
        for need in &task.needs {
            waiting.entry(need).or_default().insert(&task.name);
        }
    }
    let mut lanes: Vec<Option<&str>> = Vec::new();
    let mut rows = Vec::new();
    for task in &plan.tasks {
        let needed: BTreeSet<usize> = (0..lanes.len())
            .filter(|lane| lanes[*lane].is_some_and(|held| task.needs.iter().any(|need| need == held)))
            .collect();
        for lane in &needed {
            if let Some(waits) = lanes[*lane].and_then(|held| waiting.get_mut(held)) {
                waits.remove(task.name.as_str());
            }
        }
        // Right of every lane that leads here, in the first gap.
        let first = needed.last().map_or(0, |lane| lane + 1);
        let place = (first..lanes.len()).find(|lane| lanes[*lane].is_none()).unwrap_or(lanes.len());
        let over = |lane: &usize| lanes[*lane].is_some_and(|held| waiting.get(held).is_none_or(BTreeSet::is_empty));
        let ending: BTreeSet<usize> = needed.iter().copied().filter(over).collect();
        let mut row = String::new();
        let mut reaching = false;
        for lane in 0..place.max(lanes.len()) {
            let on_the_way = reaching && lane < place;
            let (mark, joins) = match (needed.contains(&lane), lanes.get(lane).copied().flatten().is_some()) {
                _ if lane == place => ('●', false),
                (true, _) if ending.contains(&lane) => (if reaching { '┴' } else { '╰' }, true),
                (true, _) => (if reaching { '┼' } else { '├' }, true),
                (false, true) => (if on_the_way { '┼' } else { '│' }, on_the_way),
                (false, false) => (if on_the_way { '─' } else { ' ' }, on_the_way),
            };
            reaching = reaching || joins;
            row.push(mark);
            row.push(if reaching && lane < place { '─' } else { ' ' });
        }
        if place >= lanes.len() {
            row.push_str("● ");
        }
        for lane in ending {
            lanes[lane] = None;
        }
        if waiting.contains_key(task.name.as_str()) {
            if place == lanes.len() {
                lanes.push(None);
            }
            lanes[place] = Some(&task.name);
        }
        while lanes.last() == Some(&None) {
            lanes.pop();
        }
        rows.push((row, &task.name, &task.kind));
    }
    let width = rows.iter().map(|(row, name, _)| row.chars().count() + name.len()).max().unwrap_or(0);
    rows.iter()
        .map(|(row, name, kind)| {
            let gap = " ".repeat(width - row.chars().count() - name.len() + 2);
            format!("{row}{}{gap}{}", output::paint(name, Style::Bold), output::paint(kind, Style::Dim))
        })
        .collect()
}
