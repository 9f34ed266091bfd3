//! Outputs of tasks: short ones are part of the task's row, long ones are files of the lake that the row points to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use warehouse::{lake::Lake, runs::Claimed};
use workflow::error::TaskError;

/// Bytes of an output, as JSON, that its row holds itself.
const SHORT: usize = 256 << 10;
/// Bytes of an output, at most: a task's output is what others decide by, and not its data.
pub(crate) const LONGEST: usize = 64 << 20;

/// What stands in the row for a long output.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pointer {
    #[serde(rename = "$output")]
    file: File,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// Path in the lake.
    path: String,
    /// Of the JSON there.
    bytes: usize,
}

/// What the row of an attempt's task holds: the output, or where it is now. The file bears the attempt's id, so nobody
/// else writes it; of an attempt whose end is refused it stays unread.
pub(crate) async fn keep(lake: Option<&Lake>, claimed: &Claimed, output: Value) -> Result<Value, TaskError> {
    let json = serde_json::to_vec(&output).map_err(|error| TaskError::internal("no JSON").because(error))?;
    let bytes = json.len();
    if bytes <= SHORT {
        return Ok(output);
    }
    let too_long = |most: usize| {
        let (kib, most) = (bytes >> 10, most >> 10);
        TaskError::user(format!(
            "the output is {kib} KiB long, and may be {most} KiB; write the data to the lake or a table, and leave its \
             place as the output"
        ))
    };
    if bytes > LONGEST {
        return Err(too_long(LONGEST));
    }
    let lake = lake.ok_or_else(|| too_long(SHORT))?;
    let Claimed { dag, task, run_id, fence, .. } = claimed;
    let path = format!("outputs/{dag}/{task}/run-{run_id}-{}.json", fence.attempt_id);
    lake.put(&path, json).await.map_err(|error| TaskError::external("cannot keep the output").because(error))?;
    serde_json::to_value(Pointer { file: File { path, bytes } })
        .map_err(|error| TaskError::internal("no JSON").because(error))
}

/// Bytes of an output, as JSON, wherever it is.
pub(crate) fn length(output: &Value) -> usize {
    Pointer::deserialize(output).map_or_else(|_| output.to_string().len(), |pointer| pointer.file.bytes)
}

/// Puts the outputs that are in the lake in the place of their pointers.
pub(crate) async fn fetch(lake: Option<&Lake>, inputs: &mut BTreeMap<String, Value>) -> Result<(), TaskError> {
    for (task, input) in inputs {
        let Ok(Pointer { file }) = Pointer::deserialize(&*input) else { continue };
        let lost = || format!("the output of `{task}` cannot be read from {}", file.path);
        let lake = lake.ok_or_else(|| TaskError::user(format!("{}: this worker has no lake", lost())))?;
        let json = lake.get(&file.path).await.map_err(|error| TaskError::external(lost()).because(error))?;
        *input = serde_json::from_slice(&json).map_err(|error| TaskError::user(lost()).because(error))?;
    }
    Ok(())
}
