//! What goes wrong: a table of faults, each as often as its weight says, one after the other and several at once.

use std::{sync::Arc, time::Duration};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use testkit::Dice;

use super::{
    World,
    fleet::{Fleet, Role},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// SIGKILL.
    Kill(Role),
    /// SIGKILL for all workers the moment that a load is published, and before its task can have ended.
    KillAtPublication,
    /// SIGSTOP, and after a while SIGCONT: long enough to lose a lease, or not.
    Pause(Role),
    /// SIGSTOP, and after a while SIGKILL.
    PauseAndKill(Role),
    /// SIGTERM, as for an upgrade.
    Replace(Role),
    /// Postgres ends as it is told to: it breaks every connection, but loses nothing.
    RestartPostgres(Signal),
    /// Some connections are cut.
    Cut,
    /// Some connections go dead, and the client is not told.
    Deaden,
    /// Nobody reaches Postgres for a while.
    Away,
    /// A person cancels a run that is under way.
    Cancel,
}

/// How heavy each is.
const FAULTS: [(u64, Fault); 14] = [
    (6, Fault::Kill(Role::Worker)),
    (3, Fault::Kill(Role::Scheduler)),
    (3, Fault::KillAtPublication),
    (5, Fault::Pause(Role::Worker)),
    (3, Fault::Pause(Role::Scheduler)),
    (2, Fault::PauseAndKill(Role::Worker)),
    (2, Fault::Replace(Role::Worker)),
    (1, Fault::Replace(Role::Scheduler)),
    // Fast, immediate, and kill -9 of the postmaster.
    (1, Fault::RestartPostgres(Signal::SIGINT)),
    (1, Fault::RestartPostgres(Signal::SIGQUIT)),
    (1, Fault::RestartPostgres(Signal::SIGKILL)),
    (4, Fault::Cut),
    (3, Fault::Deaden),
    (2, Fault::Away),
];
/// A person among them, as heavy as all that is a killed worker.
const CANCEL: u64 = 6;

/// Draws the next fault and how long until the one after it.
pub(crate) fn next(dice: &mut Dice) -> (Fault, Duration) {
    let fault = if dice.once_in(CANCEL) { Fault::Cancel } else { *dice.weigh(&FAULTS) };
    (fault, Duration::from_millis(50 + dice.roll(1200)))
}

/// Lets a fault happen and, where it lasts, end. What cannot happen now (a paused process cannot be paused) does not.
pub(crate) async fn inject(fault: Fault, mut dice: Dice, world: Arc<World>) {
    let fleet = &world.fleet;
    let mut one_of = |role| *dice.pick(&Fleet::places(role));
    match fault {
        Fault::Kill(role) => drop(fleet.signal(one_of(role), Signal::SIGKILL)),
        Fault::KillAtPublication => {
            if published(&world).await.is_ok_and(|published| published) {
                for place in Fleet::places(Role::Worker) {
                    fleet.signal(place, Signal::SIGKILL);
                }
            }
        }
        Fault::Replace(role) => drop(fleet.signal(one_of(role), Signal::SIGTERM)),
        Fault::Pause(role) | Fault::PauseAndKill(role) => {
            let place = one_of(role);
            if fleet.signal(place, Signal::SIGSTOP) {
                world.say(&format!("{} is paused", Fleet::name(place)));
                tokio::time::sleep(Duration::from_millis(100 + dice.roll(7000))).await;
                let last = matches!(fault, Fault::PauseAndKill(_));
                fleet.signal(place, if last { Signal::SIGKILL } else { Signal::SIGCONT });
            }
        }
        Fault::RestartPostgres(how) => restart_postgres(&world, how).await,
        Fault::Cut => world.proxy.cut(|| dice.once_in(2)),
        Fault::Deaden => world.proxy.deaden(|| dice.once_in(3)),
        Fault::Away => {
            world.proxy.set_away(true);
            world.proxy.cut(|| true);
            tokio::time::sleep(Duration::from_millis(dice.roll(3000))).await;
            world.proxy.set_away(false);
        }
        Fault::Cancel => world.cancel_a_run(usize::try_from(dice.roll(3)).expect("a small number")).await,
    }
}

/// Waits for a publication, for a while. An error is another fault's.
async fn published(world: &World) -> sqlx::Result<bool> {
    let mut connection = world.postgres.lock().await.try_connect().await?;
    let mut last = None;
    for _ in 0..2000 {
        let load: Option<i64> =
            sqlx::query_scalar("select max(load_id) from sluice.load_ledger").fetch_one(&mut connection).await?;
        if last.replace(load).is_some_and(|last| last != load) {
            return Ok(true);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(false)
}

async fn restart_postgres(world: &Arc<World>, how: Signal) {
    // One restart at a time.
    let Ok(mut postgres) = world.postgres.try_lock() else { return };
    let process = postgres.process();
    kill(Pid::from_raw(process), how).expect("Postgres runs");
    let proxy = &world.proxy;
    proxy.redirect(postgres.again().await);
}
