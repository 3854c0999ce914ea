//! A process that ends in the middle of a change, at each step of it.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::*;

/// A hand that does so many steps and no more: the process is gone. Of a write it does half.
#[derive(Clone)]
struct Mortal {
    left: Arc<AtomicUsize>,
    done: Arc<Mutex<Vec<&'static str>>>,
}

impl Mortal {
    fn of(steps: usize) -> Self {
        Self {
            left: Arc::new(AtomicUsize::new(steps)),
            done: Arc::default(),
        }
    }

    fn step(&self, name: &'static str) -> io::Result<()> {
        let left = self.left.load(Ordering::SeqCst);
        if left == 0 {
            return Err(io::Error::other("the process has ended"));
        }
        self.left.store(left - 1, Ordering::SeqCst);
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        done.push(name);
        Ok(())
    }

    fn done(&self) -> Vec<&'static str> {
        self.done.lock().unwrap().clone()
    }
}

impl Hand for Mortal {
    fn create(&self, path: &Path, mode: u32) -> io::Result<File> {
        self.step("create")?;
        OsHand.create(path, mode)
    }

    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        if self.step("write").is_err() {
            OsHand.write(file, &bytes[..bytes.len() / 2])?;
            return Err(io::Error::other("the process has ended"));
        }
        OsHand.write(file, bytes)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        self.step("sync")?;
        OsHand.sync(file)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step("rename")?;
        OsHand.rename(from, to)
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        self.step("sync directory")?;
        OsHand.sync_directory(directory)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.step("remove")?;
        OsHand.remove(path)
    }
}

const FILE: ConfigFile = ConfigFile::Cluster;

fn wanted() -> String {
    CLUSTER.replace("=64", "=65")
}

/// A desk that was used once, so that its start is behind it, and has so many steps left.
async fn mortal_desk(office: &Office, steps: usize) -> (ConfigDesk, Mortal) {
    let hand = Mortal::of(usize::MAX);
    let desk = office.desk_with(Box::new(hand.clone()));
    desk.overview(&Caller::CONSOLE).await.unwrap();
    hand.left.store(steps, Ordering::SeqCst);
    hand.done.lock().unwrap().clear();
    (desk, hand)
}

#[tokio::test]
async fn at_whatever_step_a_process_ends_the_file_is_the_old_or_the_new_text() {
    let (mut old, mut new) = (0, 0);
    for steps in 0.. {
        let office = Office::new();
        let (desk, hand) = mortal_desk(&office, steps).await;
        let written = write(&desk, FILE, &wanted()).await;
        let whole = hand.left.load(Ordering::SeqCst) > 0;
        // What anybody reads at this moment, a start of the controller above all.
        let text = office.text(FILE);
        if text == wanted() {
            new += 1;
        } else {
            assert_eq!(text, CLUSTER, "after {steps} steps");
            assert!(written.is_err(), "after {steps} steps");
            old += 1;
        }
        // The next process: nothing is left over, and the history says what was done and nothing else.
        let next = office.desk();
        let shown = next.history(FILE).await.unwrap();
        assert_eq!(names(&office.config()).len(), 3, "after {steps} steps");
        let kept: Vec<_> = shown.versions.iter().map(|it| it.number).collect();
        let expected: &[u64] = if text == CLUSTER { &[] } else { &[1] };
        assert_eq!(kept, expected, "after {steps} steps");
        let left = names(&office.history().join(FILE.name()));
        assert_eq!(left.len(), 2 * expected.len(), "{left:?}");
        // And it can make the change.
        if text == CLUSTER {
            write(&next, FILE, &wanted()).await.unwrap();
            assert_eq!(office.text(FILE), wanted());
        }
        next.undo(FILE, None, etag(&next, FILE).await, author("admin"))
            .await
            .unwrap();
        assert_eq!(office.text(FILE), CLUSTER);
        if whole {
            break;
        }
    }
    assert!(old >= 12 && new >= 2, "{old} old, {new} new");
}

#[tokio::test]
async fn a_text_is_synced_before_it_takes_the_place_and_the_directory_after_it() {
    let office = Office::new();
    let (desk, hand) = mortal_desk(&office, 1000).await;
    write(&desk, FILE, &wanted()).await.unwrap();
    let one = [
        "remove",
        "create",
        "write",
        "sync",
        "rename",
        "sync directory",
    ];
    // The folder of the home, which is missing here, that of the history and that of the file, each in the
    // one above it; then the note of the version, its text, the file.
    let folders = ["sync directory"; 3];
    assert_eq!(hand.done(), [&folders[..], &one, &one, &one].concat());
    hand.done.lock().unwrap().clear();
    write(&desk, FILE, CLUSTER).await.unwrap();
    assert_eq!(hand.done(), [one, one, one].concat());
}

#[tokio::test]
async fn a_left_over_is_never_taken_for_the_file() {
    let office = Office::new();
    let left = office.config().join(".cluster.cfg.vaquita-new");
    std::fs::write(&left, "workerNum=evil\n").unwrap();
    let desk = office.desk();
    assert_eq!(desk.show(FILE).await.unwrap().text, CLUSTER);
    assert!(!left.exists());
    std::fs::write(&left, "workerNum=evil\n").unwrap();
    write(&desk, FILE, &wanted()).await.unwrap();
    assert_eq!(office.text(FILE), wanted());
    assert!(!left.exists());
}

#[tokio::test]
async fn a_disk_that_refuses_leaves_the_file_and_is_told() {
    let office = Office::new();
    let desk = office.desk();
    desk.overview(&Caller::CONSOLE).await.unwrap();
    // Where the history belongs there is a file.
    std::fs::create_dir_all(office.history()).unwrap();
    std::fs::write(office.history().join(FILE.name()), "in the way").unwrap();
    let refused = write(&desk, FILE, &wanted()).await;
    assert!(
        matches!(refused, Err(DeskError::Disk { .. })),
        "{refused:?}"
    );
    assert_eq!(office.text(FILE), CLUSTER);
}
