//! apalis' view of our queue: a backend that hands out what the dispatcher has claimed.
//!
//! Claims, leases and completions are the dispatcher's, since they share a transaction. What apalis gives us is
//! the worker loop around them: readiness, tracking, middleware and an orderly end.

use std::{
    convert::Infallible,
    task::{Context, Poll},
};

use apalis_core::{
    backend::{Backend, BackendConfig, finalize::Ephemeral},
    layers::Identity,
    task::{Task, task_id::RandomId},
    worker::context::WorkerContext,
};
use tokio::sync::mpsc;
use warehouse::runs::Claimed;

/// Claimed tasks on their way to the worker loop. It ends when the dispatcher does.
pub(crate) struct ClaimedTasks(pub(crate) mpsc::UnboundedReceiver<Claimed>);

impl Backend for ClaimedTasks {
    type Task = Task<Claimed>;
    type Error = Infallible;

    fn poll_ready(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn poll_next(
        &mut self,
        context: &mut Context<'_>,
        worker: &WorkerContext,
    ) -> Poll<Option<Result<Task<Claimed>, Infallible>>> {
        self.0.poll_recv(context).map(|claimed| {
            if claimed.is_none() {
                // An exhausted backend does not end apalis' loop by itself. It fails only before the loop has begun.
                let _ = worker.stop();
            }
            claimed.map(|claimed| Ok(Task::new(claimed)))
        })
    }

    fn poll_close(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }
}

impl BackendConfig for ClaimedTasks {
    type Args = Claimed;
    type Id = RandomId;
    type Kind = Ephemeral;
    type Config = ();
    type Layer = Identity;

    fn config(&self) -> &() {
        &()
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> Identity {
        Identity::new()
    }
}
