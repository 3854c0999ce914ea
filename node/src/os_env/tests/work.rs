use std::sync::mpsc::channel;

use super::soon;
use crate::env::Effort;
use crate::os_env::work::Pool;

#[tokio::test]
async fn two_hashes_run_eight_wait_and_one_more_is_turned_away() {
    let pool = Pool::new(Effort::Password);
    let (started, starts) = channel();
    let mut releases = Vec::new();
    let mut running = Vec::new();
    for number in 0..10 {
        let (release, released) = channel::<()>();
        releases.push(release);
        let pool = pool.clone();
        let started = started.clone();
        running.push(tokio::spawn(async move {
            pool.run(move || {
                started.send(number).unwrap();
                let _ = released.recv();
                number
            })
            .await
        }));
        // Let it take its place in the queue.
        tokio::task::yield_now().await;
    }
    let mut first = [starts.recv().unwrap(), starts.recv().unwrap()];
    first.sort_unstable();
    assert_eq!(first, [0, 1]);
    assert_eq!(soon(pool.run(|| 11)).await, None);
    assert!(starts.try_recv().is_err(), "a third one runs");
    drop(releases);
    for (number, task) in running.into_iter().enumerate() {
        assert_eq!(soon(task).await.unwrap(), Some(number));
    }
    assert_eq!(soon(pool.run(|| 12)).await, Some(12));
}

#[tokio::test]
async fn a_panic_of_one_computation_costs_nothing_but_itself() {
    let pool = Pool::new(Effort::Replay);
    let lost: Option<()> = pool.run(|| panic!("on purpose")).await;
    assert_eq!(lost, None);
    assert_eq!(pool.run(|| 1).await, Some(1));
    assert_eq!(pool.run(|| 2).await, Some(2));
}
