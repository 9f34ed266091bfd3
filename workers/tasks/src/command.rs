//! `command`: runs a program, streams its output into the log, and leaves nothing of it behind.
//!
//! The program is the leader of a process group of its own, and whatever ends the attempt ends the whole group.
//! Nothing passes through a shell unless the task asks for one.

use std::{collections::BTreeMap, fmt, path::PathBuf, process::Stdio, time::Duration};

use async_trait::async_trait;
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader},
    process::{Child, Command},
};
use workflow::{
    diagnostic::Problem,
    error::TaskError,
    kind::{TaskContext, TaskKind},
};

/// How long a program may take to end once it got SIGTERM.
const GRACE: Duration = Duration::from_secs(5);
/// A longer line is cut: a log is for people.
const LONGEST_LINE: u64 = 16 * 1024;

/// The kind `command`.
pub struct RunCommand {
    project: PathBuf,
}

impl RunCommand {
    /// Programs run in `project`, the project's folder, unless their task says otherwise.
    pub fn new(project: impl Into<PathBuf>) -> Self {
        Self { project: project.into() }
    }
}

/// The task's own keys.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The program and its arguments, each as it is.
    #[serde(default)]
    command: Vec<Word>,
    /// Instead of `command`: a line for `sh -c`.
    #[serde(default)]
    shell: Option<String>,
    /// Variables besides those that the worker has.
    #[serde(default)]
    env: BTreeMap<String, Word>,
    /// Folder, relative to the project's.
    #[serde(default)]
    cwd: Option<PathBuf>,
}

/// A word of a command line. A number or a truth value, as a template gives it, is written out.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected a text or a number")]
enum Word {
    Text(String),
    Number(serde_json::Number),
    Truth(bool),
}

impl fmt::Display for Word {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => out.write_str(text),
            Self::Number(number) => number.fmt(out),
            Self::Truth(truth) => truth.fmt(out),
        }
    }
}

#[async_trait]
impl TaskKind for RunCommand {
    const NAME: &'static str = "command";
    const SUMMARY: &'static str = "runs a program, without a shell unless asked";
    /// Nobody knows what a program had done when its worker died, and its writes cannot be fenced.
    const SAFE_TO_REPEAT: bool = false;

    type Config = Config;

    fn check(config: &Config) -> Vec<Problem> {
        let program = config.command.first().map(ToString::to_string);
        let problem = match (program.as_deref(), &config.shell) {
            (Some(_), Some(_)) => Problem::new("shell", "a task has either `command` or `shell`").hint("remove one"),
            (None, None) => Problem::new("", "there is no program to run").hint("`command: [program, argument, …]`"),
            (Some(""), None) => Problem::new("command[0]", "the program has no name"),
            _ => return Vec::new(),
        };
        vec![problem]
    }

    async fn run(&self, config: Config, task: &TaskContext) -> Result<Value, TaskError> {
        let argv = match &config.shell {
            Some(line) => vec!["sh".to_owned(), "-c".to_owned(), line.clone()],
            None => config.command.iter().map(ToString::to_string).collect(),
        };
        let [program, arguments @ ..] = argv.as_slice() else {
            return Err(TaskError::user("there is no program to run"));
        };
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(config.cwd.map_or_else(|| self.project.clone(), |cwd| self.project.join(cwd)))
            .envs(about(task))
            .envs(config.env.iter().map(|(name, value)| (name, value.to_string())))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let child = command
            .spawn()
            .map_err(|error| TaskError::user(format!("`{program}` cannot be started")).because(error))?;
        let mut group = Group::of(child)?;
        let status = {
            let (out, err) = (group.child.stdout.take(), group.child.stderr.take());
            let lines = async {
                tokio::join!(stream(out, |line| task.log.info(line)), stream(err, |line| task.log.warn(line)));
            };
            tokio::pin!(lines);
            let mut heard = false;
            loop {
                tokio::select! {
                    () = &mut lines, if !heard => heard = true,
                    status = group.child.wait() => {
                        // What it left in the pipes; a grandchild that keeps them open ends with the group.
                        group.kill(Signal::SIGTERM);
                        if !heard && tokio::time::timeout(GRACE, &mut lines).await.is_err() {
                            task.log.warn("something it started kept its output open");
                        }
                        break status;
                    }
                    () = task.cancel.cancelled() => {
                        group.stop().await;
                        return Err(TaskError::external(format!("`{program}` was stopped")));
                    }
                }
            }
        }
        .map_err(|error| TaskError::internal(format!("cannot wait for `{program}`")).because(error))?;
        match status.code() {
            Some(0) => Ok(json!({ "exit_code": 0 })),
            Some(code) => Err(TaskError::user(format!("`{program}` ended with exit code {code}"))),
            None => Err(TaskError::external(format!("`{program}` was killed: {status}"))),
        }
    }
}

/// What a program can know of its task.
fn about(task: &TaskContext) -> [(&'static str, String); 6] {
    [
        ("SLUICE_DAG", task.dag.clone()),
        ("SLUICE_TASK", task.task.clone()),
        ("SLUICE_RUN_ID", task.run_id.to_string()),
        ("SLUICE_LOGICAL_TIME", task.logical_time.to_rfc3339()),
        ("SLUICE_INTERVAL_START", task.interval.start.to_rfc3339()),
        ("SLUICE_INTERVAL_END", task.interval.end.to_rfc3339()),
    ]
}

/// A program with all that it started. Dropping it kills what is left.
struct Group {
    child: Child,
    leader: Pid,
}

impl Group {
    fn of(child: Child) -> Result<Self, TaskError> {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        let leader = id.ok_or_else(|| TaskError::internal("the program has no process id"))?;
        Ok(Self { child, leader: Pid::from_raw(leader) })
    }

    fn kill(&self, signal: Signal) {
        // A group that has ended needs no signal.
        let _ = killpg(self.leader, signal);
    }

    /// Asks it to end, and makes it end.
    async fn stop(&mut self) {
        self.kill(Signal::SIGTERM);
        // Whatever became of the leader, the rest of the group goes when this is dropped.
        let _ = tokio::time::timeout(GRACE, self.child.wait()).await;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill(Signal::SIGKILL);
    }
}

/// Hands on each line of a pipe as it comes. Bytes that are not UTF-8 are replaced.
async fn stream(pipe: Option<impl AsyncRead + Unpin>, mut write: impl FnMut(String)) {
    let Some(pipe) = pipe else { return };
    let mut reader = BufReader::new(pipe);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut reader).take(LONGEST_LINE).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => write(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{Arc, Mutex},
        time::Instant,
    };

    use chrono::Utc;
    use chrono_tz::Tz;
    use tokio_util::sync::CancellationToken;
    use workflow::{
        error::ErrorDomain,
        kind::{DataInterval, Fence},
        log::TaskLog,
    };

    use super::*;

    fn context() -> (TaskContext, Arc<Mutex<Vec<String>>>) {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&lines);
        let now = Utc::now();
        let context = TaskContext {
            dag: "d".to_owned(),
            run_id: 7,
            task: "t".to_owned(),
            attempt: 1,
            fence: Fence { attempt_id: 1, token: 1 },
            logical_time: now,
            interval: DataInterval { start: now, end: now },
            timezone: Tz::UTC,
            params: Value::Null,
            inputs: BTreeMap::new(),
            log: TaskLog::new(move |line| sink.lock().expect("lines").push(line.line)),
            cancel: CancellationToken::new(),
        };
        (context, lines)
    }

    async fn run(config: Value, task: &TaskContext) -> Result<Value, TaskError> {
        let config: Config = serde_json::from_value(config).expect("a config");
        assert!(RunCommand::check(&config).is_empty());
        RunCommand::new(std::env::temp_dir()).run(config, task).await
    }

    #[tokio::test]
    async fn arguments_reach_the_program_as_they_are() {
        let (task, lines) = context();
        let config = json!({ "command": ["printf", "%s\\n", "$HOME; ls", "a  b"] });
        assert_eq!(run(config, &task).await.expect("success"), json!({ "exit_code": 0 }));
        assert_eq!(*lines.lock().expect("lines"), ["$HOME; ls", "a  b"]);
    }

    #[tokio::test]
    async fn a_shell_is_used_where_it_is_asked_for_and_knows_the_run() {
        let (task, lines) = context();
        let config = json!({ "shell": "echo $SLUICE_RUN_ID $GREETING; echo oops >&2", "env": { "GREETING": "hi" } });
        run(config, &task).await.expect("success");
        let mut lines = lines.lock().expect("lines").clone();
        lines.sort();
        assert_eq!(lines, ["7 hi", "oops"]);
    }

    #[tokio::test]
    async fn numbers_and_truth_values_are_words() {
        let (task, lines) = context();
        run(json!({ "command": ["echo", 7, 0.5, true] }), &task).await.expect("success");
        assert_eq!(*lines.lock().expect("lines"), ["7 0.5 true"]);
        let (task, lines) = context();
        run(json!({ "shell": "echo $N", "env": { "N": 3 } }), &task).await.expect("success");
        assert_eq!(*lines.lock().expect("lines"), ["3"]);
    }

    #[tokio::test]
    async fn an_exit_code_is_the_users_and_a_missing_program_too() {
        let (task, _) = context();
        let error = run(json!({ "command": ["sh", "-c", "exit 3"] }), &task).await.expect_err("fails");
        assert_eq!((error.domain, error.to_string()), (ErrorDomain::User, "`sh` ended with exit code 3".to_owned()));
        let error = run(json!({ "command": ["no-such-program"] }), &task).await.expect_err("fails");
        assert_eq!(error.domain, ErrorDomain::User);
    }

    #[tokio::test]
    async fn cancelling_ends_the_whole_group() {
        let (task, lines) = context();
        // The grandchild ignores SIGTERM and says who it is.
        let script = "sh -c 'trap \"\" TERM; echo $$; sleep 600' & wait";
        let cancel = task.cancel.clone();
        let seen = Arc::clone(&lines);
        let canceller = tokio::spawn(async move {
            while seen.lock().expect("lines").is_empty() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            cancel.cancel();
        });
        let start = Instant::now();
        let error = run(json!({ "shell": script }), &task).await.expect_err("stopped");
        assert_eq!(error.to_string(), "`sh` was stopped");
        assert!(start.elapsed() < GRACE + Duration::from_secs(5));
        canceller.await.expect("cancelled");
        let grandchild: i32 = lines.lock().expect("lines")[0].parse().expect("a process id");
        // Its parent is gone: whoever adopted it may take a moment to bury it.
        let gone = async {
            while std::fs::read_to_string(format!("/proc/{grandchild}/stat")).is_ok_and(|stat| !stat.contains(") Z ")) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), gone).await.expect("the grandchild has ended");
    }
}
