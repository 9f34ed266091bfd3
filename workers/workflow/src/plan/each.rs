//! Tasks that are mapped over a list which only the run knows.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Plan, PlannedTask, params::type_name};
use crate::template;

/// Items of one list, at most: each has a row of its own.
pub const MOST_ITEMS: usize = 10_000;

/// `for_each: { over: outputs.list_files.paths, as: file, max_parallel: 4 }`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping such as `{ over: outputs.list.files }`")]
pub struct ForEach {
    /// An expression over parameters and outputs that gives a list.
    pub over: String,
    /// What the task's templates call an item.
    #[serde(rename = "as", default = "item")]
    pub name: String,
    /// How many items of a run may be under way at once; `None` for as many as there are workers for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_parallel: Option<i32>,
}

fn item() -> String {
    "item".to_owned()
}

impl ForEach {
    /// The list, or what is wrong with it.
    pub fn items(&self, scope: &template::Scope<'_>) -> Result<Vec<Value>, String> {
        let over = &self.over;
        match template::evaluate(over, scope).map_err(|fault| fault.message)? {
            Value::Array(items) if items.len() > MOST_ITEMS => Err(format!(
                "`{over}` has {} items, and a task is mapped over {MOST_ITEMS} at most; put several into one item",
                items.len()
            )),
            Value::Array(items) => Ok(items),
            other => Err(format!("`{over}` is {}, and a task is mapped over a list", type_name(&other))),
        }
    }
}

/// The name of an item's row: `load[3]`.
pub fn item_name(task: &str, place: usize) -> String {
    format!("{task}[{place}]")
}

/// The mapped task whose item has this name; `None` for the name of a task.
pub fn parent_of(name: &str) -> Option<&str> {
    let (task, place) = name.strip_suffix(']')?.split_once('[')?;
    (!place.is_empty() && place.bytes().all(|b| b.is_ascii_digit())).then_some(task)
}

impl Plan {
    /// The task that a row of a run is planned as: by its name, or by that of the task whose item it is.
    pub fn task_of_row(&self, name: &str) -> Option<&PlannedTask> {
        self.task(parent_of(name).unwrap_or(name))
    }
}

#[cfg(test)]
mod tests {
    use super::{item_name, parent_of};

    #[test]
    fn an_item_is_named_after_its_task_and_place() {
        assert_eq!(parent_of(&item_name("load", 12)), Some("load"));
        for name in ["load", "load[]", "load[x]", "load[-1]", "load[1", "[", "load[1]x"] {
            assert_eq!(parent_of(name), None, "{name}");
        }
    }
}
