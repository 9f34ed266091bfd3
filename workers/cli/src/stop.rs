//! How a process that lives on is told to stop.

use tokio_util::sync::CancellationToken;

/// Cancelled by Ctrl-C or SIGTERM.
pub(crate) fn on_signal() -> CancellationToken {
    let token = CancellationToken::new();
    let stop = token.clone();
    tokio::spawn(async move {
        stop_signal().await;
        stop.cancel();
    });
    token
}

async fn stop_signal() {
    let interrupted = tokio::signal::ctrl_c();
    match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(mut terminated) => {
            tokio::select! {
                _ = interrupted => {}
                _ = terminated.recv() => {}
            }
        }
        // Without a handler for SIGTERM the other signal still stops us in order.
        Err(_) => drop(interrupted.await),
    }
}
