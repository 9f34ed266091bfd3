//! Every way from state to state, and every decision of a trigger rule.

use workflow::state::{AttemptEvent, AttemptState, NeedsEnded, RunEvent, RunState, TaskEvent, TaskState, TriggerRule};

/// What happens to a task by itself.
const OWN: [TaskEvent; 11] = [
    TaskEvent::Ready,
    TaskEvent::Claimed,
    TaskEvent::Succeeded,
    TaskEvent::WillRetry,
    TaskEvent::GaveUp,
    TaskEvent::Skip,
    TaskEvent::UpstreamFailed,
    TaskEvent::Expanded,
    TaskEvent::ItemsFailed,
    TaskEvent::LookAgain,
    TaskEvent::Cancel,
];
/// What people do to it.
const BY_HAND: [TaskEvent; 6] = [
    TaskEvent::Retried,
    TaskEvent::Rewound,
    TaskEvent::MarkedSuccess,
    TaskEvent::MarkedFailed,
    TaskEvent::MarkedSkipped,
    TaskEvent::Dropped,
];

#[test]
fn names_are_read_back() {
    for state in TaskState::ALL {
        assert_eq!(state.as_str().parse(), Ok(*state));
    }
    assert!("pending".parse::<RunState>().is_err());
}

#[test]
fn an_attempt_ends_once() {
    let events = [
        AttemptEvent::Succeeded,
        AttemptEvent::Failed,
        AttemptEvent::TimedOut,
        AttemptEvent::LeaseExpired,
        AttemptEvent::Cancelled,
    ];
    for event in events {
        let ended = AttemptState::Running.on(event).expect("a running attempt can end in every way");
        for second in events {
            assert_eq!(ended.on(second), None, "{ended} on {second:?}");
        }
    }
}

#[test]
fn only_a_person_moves_an_ended_task() {
    for state in TaskState::ALL.iter().filter(|s| s.is_final()) {
        assert!(OWN.iter().all(|event| state.on(*event).is_none()), "{state}");
        assert_eq!(state.on(TaskEvent::Retried), Some(TaskState::Queued));
    }
    // No state is a dead end before the end: each open one has a way on.
    for state in TaskState::ALL.iter().filter(|s| !s.is_final()) {
        assert!(OWN.iter().any(|event| state.on(*event).is_some()), "{state}");
    }
}

#[test]
fn every_way_of_a_task_is_in_this_table() {
    use TaskEvent::{
        Cancel, Claimed, Dropped, Expanded, GaveUp, ItemsFailed, LookAgain, MarkedFailed, MarkedSkipped, MarkedSuccess,
        Ready, Retried, Rewound, Skip, Succeeded, WillRetry,
    };
    use TaskState as S;
    let marks = [(MarkedSuccess, S::Success), (MarkedFailed, S::Failed), (MarkedSkipped, S::Skipped)];
    let again = [(Retried, S::Queued), (Rewound, S::Waiting)];
    for state in TaskState::ALL.iter().copied() {
        let mut ways: Vec<(TaskEvent, TaskState)> = match state {
            S::Waiting => vec![
                (Ready, S::Queued),
                (Skip, S::Skipped),
                (TaskEvent::UpstreamFailed, S::UpstreamFailed),
                (ItemsFailed, S::Failed),
                (Cancel, S::Cancelled),
            ],
            S::Queued => vec![(Claimed, S::Running), (Cancel, S::Cancelled)],
            S::Running => vec![
                (Succeeded, S::Success),
                (WillRetry, S::Queued),
                (LookAgain, S::Queued),
                (Expanded, S::Waiting),
                (GaveUp, S::Failed),
                (Skip, S::Skipped),
                (Cancel, S::Cancelled),
            ],
            S::Success => again.to_vec(),
            S::Failed | S::Skipped | S::UpstreamFailed | S::Cancelled => {
                again.into_iter().chain([(Dropped, S::Skipped)]).collect()
            }
        };
        if state != S::Running {
            ways.extend(marks);
        }
        for event in OWN.into_iter().chain(BY_HAND) {
            let expected = ways.iter().find(|(way, _)| *way == event).map(|(_, to)| *to);
            assert_eq!(state.on(event), expected, "{state} on {event:?}");
        }
    }
}

#[test]
fn every_way_of_a_run_is_in_this_table() {
    use RunEvent::{Admitted, AllWell, Cleared, Retried, SomeFailed, Stopped};
    use RunState as S;
    for state in RunState::ALL.iter().copied() {
        let ways: &[(RunEvent, RunState)] = match state {
            S::Queued => &[(Admitted, S::Running), (Stopped, S::Cancelled)],
            S::Running => {
                &[(AllWell, S::Success), (SomeFailed, S::Failed), (Stopped, S::Cancelled), (Retried, S::Running)]
            }
            S::Success | S::Failed | S::Cancelled | S::Skipped => &[(Retried, S::Running), (Cleared, S::Queued)],
        };
        for event in [Admitted, AllWell, SomeFailed, Stopped, Retried, Cleared] {
            let expected = ways.iter().find(|(way, _)| *way == event).map(|(_, to)| *to);
            assert_eq!(state.on(event), expected, "{state} on {event:?}");
        }
    }
}

#[test]
fn trigger_rules_decide_every_case() {
    use TaskEvent::{Ready, Skip, UpstreamFailed};
    const NO: TaskEvent = UpstreamFailed;
    // (total, failed, skipped) -> all_success, all_done, none_failed, none_failed_min_one_success, none_skipped,
    // one_success, one_failed, all_failed, always, teardown
    let table = [
        ((0, 0, 0), [Ready, Ready, Ready, Ready, Ready, Ready, Ready, Ready, Ready, Ready]),
        ((2, 0, 0), [Ready, Ready, Ready, Ready, Ready, Ready, Skip, Skip, Ready, Ready]),
        ((2, 1, 0), [NO, Ready, NO, NO, Ready, Ready, Ready, Skip, Ready, Ready]),
        ((2, 0, 1), [Skip, Ready, Ready, Ready, Skip, Ready, Skip, Skip, Ready, Ready]),
        ((2, 1, 1), [NO, Ready, NO, NO, Skip, NO, Ready, Skip, Ready, Ready]),
        ((2, 2, 0), [NO, Ready, NO, NO, Ready, NO, Ready, Ready, Ready, Ready]),
        ((2, 0, 2), [Skip, Ready, Ready, Skip, Skip, Skip, Skip, Skip, Ready, Ready]),
    ];
    for ((total, failed, skipped), decisions) in table {
        for (rule, expected) in TriggerRule::ALL.iter().zip(decisions) {
            assert_eq!(rule.decide(NeedsEnded { total, failed, skipped }), expected, "{rule} {failed} {skipped}");
        }
    }
}
