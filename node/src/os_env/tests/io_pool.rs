use std::sync::mpsc::channel;

use super::soon;
use crate::os_env::io_pool::IoPool;

#[tokio::test]
async fn as_many_read_at_a_time_as_there_are_workers() {
    for workers in [1, 3] {
        let pool = IoPool::start(workers).unwrap();
        let (started, starts) = channel();
        let mut releases = Vec::new();
        let mut running = Vec::new();
        for number in 0..=workers {
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
        let mut first: Vec<usize> = (0..workers).map(|_| starts.recv().unwrap()).collect();
        first.sort_unstable();
        assert_eq!(first, (0..workers).collect::<Vec<_>>());
        assert!(starts.try_recv().is_err(), "one more than {workers} runs");
        releases.remove(0);
        assert_eq!(starts.recv().unwrap(), workers, "the last had its turn");
        drop(releases);
        for (number, task) in running.into_iter().enumerate() {
            assert_eq!(soon(task).await.unwrap().unwrap(), number);
        }
    }
}

#[tokio::test]
async fn a_panic_costs_one_piece_of_work_and_no_thread() {
    let pool = IoPool::start(1).unwrap();
    let lost = pool.run(|| panic!("on purpose")).await;
    let lost: std::io::Result<()> = lost;
    assert!(lost.is_err());
    assert_eq!(pool.run(|| 2).await.unwrap(), 2);
}
