//! A DAG as a drawing: for the terminal, for a page that knows Mermaid, or as a picture.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use workflow::{
    layout::{NODE_HEIGHT, NODE_WIDTH, curves, lay_out},
    plan::{Plan, PlannedTask},
};

use crate::output::{self, Style};

/// What a drawing is made of.
#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
pub(super) enum Format {
    /// Lines and names, for the terminal
    #[default]
    Text,
    /// A Mermaid flowchart, for Markdown
    Mermaid,
    /// A picture, in light and dark
    Svg,
}

impl Format {
    pub(super) fn draw(self, plan: &Plan) -> String {
        match self {
            Self::Text => text(plan).join("\n"),
            Self::Mermaid => mermaid(plan),
            Self::Svg => svg(plan),
        }
    }
}

/// A flowchart whose groups are boxes.
fn mermaid(plan: &Plan) -> String {
    let mut text = "flowchart LR\n".to_owned();
    let node = |task: &PlannedTask| format!("{0}[\"{0}<br/><small>{1}</small>\"]", task.name, kind(task));
    let groups: BTreeSet<&str> = plan.tasks.iter().filter_map(|task| task.group.as_deref()).collect();
    for group in groups {
        let _ = writeln!(text, "    subgraph {group}");
        for task in plan.tasks.iter().filter(|task| task.group.as_deref() == Some(group)) {
            let _ = writeln!(text, "        {}", node(task));
        }
        text.push_str("    end\n");
    }
    for task in plan.tasks.iter().filter(|task| task.group.is_none()) {
        let _ = writeln!(text, "    {}", node(task));
    }
    for task in &plan.tasks {
        for need in &task.needs {
            // What takes down stands in for no result.
            let arrow = if task.teardown.contains(need) { "-.->" } else { "-->" };
            let _ = writeln!(text, "    {need} {arrow} {}", task.name);
        }
    }
    text.truncate(text.trim_end().len());
    text
}

/// The kind, and whether the task is mapped.
fn kind(task: &PlannedTask) -> String {
    if task.for_each.is_some() { format!("{}, for each", task.kind) } else { task.kind.clone() }
}

/// What the picture looks like. It is seen outside of our page, so it brings its own colours.
const LOOK: &str = "text{font:13px system-ui,sans-serif;fill:#1c2330}.kind{font-size:11px;fill:#5b6576}\
                    rect{fill:#fff;stroke:#c3cad6}path{fill:none;stroke:#97a1b2;stroke-width:1.5}.down{stroke-dasharray:4 3}\
                    @media(prefers-color-scheme:dark){text{fill:#e6eaf2}.kind{fill:#9aa5b8}rect{fill:#1b2230;stroke:#3a4558}\
                    path{stroke:#66728a}}";

fn svg(plan: &Plan) -> String {
    let names: Vec<&str> = plan.tasks.iter().map(|task| task.name.as_str()).collect();
    let mut edges = Vec::new();
    for task in &plan.tasks {
        edges.extend(task.needs.iter().map(|need| (task.name.as_str(), need.as_str())));
    }
    let layout = lay_out(&names, &edges);
    // Names are letters, digits and `_`, and kinds likewise, so nothing has to be escaped.
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:.0} {1:.0}\" width=\"{0:.0}\" height=\"{1:.0}\" \
         role=\"img\" aria-label=\"{2}\"><style>{LOOK}</style>\n",
        layout.width, layout.height, plan.dag
    );
    for item in &layout.items {
        for next in item.after.iter().map(|next| &layout.items[*next]) {
            let (through, curve) = curves(item, next);
            let down = item
                .task
                .zip(next.task)
                .is_some_and(|(from, to)| plan.tasks[to].teardown.iter().any(|setup| *setup == plan.tasks[from].name));
            let class = if down { " class=\"down\"" } else { "" };
            for path in through.into_iter().chain([curve]) {
                let _ = writeln!(text, "<path{class} d=\"{path}\"/>");
            }
        }
    }
    for item in &layout.items {
        let Some(task) = item.task.map(|task| &plan.tasks[task]) else { continue };
        let (left, top) = (item.x(), item.y - NODE_HEIGHT / 2.0);
        let kind = task.group.as_ref().map_or_else(|| kind(task), |group| format!("{group} · {}", kind(task)));
        let _ = writeln!(
            text,
            "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{NODE_WIDTH}\" height=\"{NODE_HEIGHT}\" rx=\"8\"/>\
             <text x=\"{0:.1}\" y=\"{1:.1}\">{2}</text><text class=\"kind\" x=\"{0:.1}\" y=\"{3:.1}\">{4}</text>",
            left + 12.0,
            item.y - 2.0,
            shorten(&task.name, 20),
            item.y + 12.0,
            shorten(&kind, 25),
        );
    }
    text + "</svg>"
}

/// At most so many letters: what the box holds.
fn shorten(text: &str, most: usize) -> String {
    if text.chars().count() <= most { text.to_owned() } else { text.chars().take(most - 1).chain(['…']).collect() }
}

/// One row a task, one lane for each task that others still wait for.
fn text(plan: &Plan) -> Vec<String> {
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
        let each = task.for_each.as_ref().map(|each| format!(" of {}", each.over)).unwrap_or_default();
        rows.push((row, &task.name, format!("{}{each}", kind(task))));
    }
    let width = rows.iter().map(|(row, name, _)| row.chars().count() + name.len()).max().unwrap_or(0);
    rows.into_iter()
        .map(|(row, name, kind)| {
            let gap = " ".repeat(width - row.chars().count() - name.len() + 2);
            format!("{row}{}{gap}{}", output::paint(name, Style::Bold), output::paint(&kind, Style::Dim))
        })
        .collect()
}
