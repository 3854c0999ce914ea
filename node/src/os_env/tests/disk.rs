use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::TempDir;
use vaquita_core::disk::{DiskBatch, DiskFaultKind, DiskOp, FileName, Lane};
use vaquita_core::ids::DiskTicket;

use super::soon;
use crate::env::{Disk, OpenDiskError};
use crate::os_env::OsDisk;
use crate::os_env::io_pool::IoPool;

pub(super) fn io() -> IoPool {
    IoPool::start(1).unwrap()
}

fn open(directory: &Path) -> OsDisk {
    OsDisk::open(directory, io()).unwrap()
}

fn name(text: &'static str) -> FileName {
    FileName::fixed(text)
}

fn batch(lane: Lane, ops: Vec<DiskOp>) -> DiskBatch {
    DiskBatch {
        ticket: DiskTicket(1),
        lane,
        ops,
    }
}

fn append(file: &'static str, offset: u64, bytes: &[u8]) -> DiskOp {
    DiskOp::Append {
        file: name(file),
        offset,
        bytes: bytes.to_vec(),
    }
}

fn create(file: &'static str) -> DiskOp {
    DiskOp::CreateNew { file: name(file) }
}

fn sync(file: &'static str) -> DiskOp {
    DiskOp::Sync { file: name(file) }
}

#[tokio::test]
async fn a_replaced_file_has_the_new_bytes_and_is_for_its_user_alone() {
    let home = TempDir::new().unwrap();
    let disk = open(home.path());
    for text in ["old", "newer"] {
        let replace = DiskBatch::replace_file(DiskTicket(7), &name("state"), text.into());
        disk.apply(replace).await.unwrap();
    }
    assert_eq!(disk.read(&name("state")).await.unwrap(), b"newer");
    let mode = std::fs::metadata(home.path().join("state")).unwrap();
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);
    let listing = disk.list().await.unwrap();
    assert_eq!(listing.files, [(name("state"), 5)].into());
}

#[tokio::test]
async fn a_batch_ends_at_its_first_failure_and_says_where() {
    let home = TempDir::new().unwrap();
    let disk = open(home.path());
    let ops = vec![
        create("log"),
        append("log", 0, b"abc"),
        append("log", 99, b"hole"),
        create("never"),
    ];
    let fault = disk.apply(batch(Lane::Foreground, ops)).await.unwrap_err();
    assert_eq!(fault.failed_op, 2);
    assert_eq!(fault.kind, DiskFaultKind::Io);
    let path = home.path().canonicalize().unwrap().join("log");
    assert_eq!(
        fault.to_string(),
        format!(
            "write 4 bytes at offset 99 of {}: the file has 3 bytes",
            path.display()
        )
    );
    assert_eq!(disk.read(&name("log")).await.unwrap(), b"abc");
    assert!(!home.path().join("never").exists());
}

#[tokio::test]
async fn a_taken_name_is_told_in_the_systems_words() {
    let home = TempDir::new().unwrap();
    let disk = open(home.path());
    let twice = batch(Lane::Foreground, vec![create("log"), create("log")]);
    let fault = disk.apply(twice).await.unwrap_err();
    assert_eq!(fault.failed_op, 1);
    assert!(
        fault
            .to_string()
            .ends_with("/log: File exists (os error 17)")
    );
}

#[tokio::test]
async fn truncated_renamed_and_removed_files_are_so_on_the_disk() {
    let home = TempDir::new().unwrap();
    let disk = open(home.path());
    let ops = vec![
        create("one"),
        append("one", 0, b"0123456789"),
        DiskOp::Truncate {
            file: name("one"),
            len: 4,
        },
        append("one", 4, b"xy"),
        sync("one"),
        DiskOp::Rename {
            from: name("one"),
            to: name("two"),
        },
        // The open file goes by its new name now, and a new file may have the old one.
        append("two", 6, b"z"),
        create("one"),
        append("one", 0, b"new"),
        create("three"),
        DiskOp::Remove {
            file: name("three"),
        },
        DiskOp::Remove {
            file: name("never-there"),
        },
        DiskOp::SyncDir,
    ];
    disk.apply(batch(Lane::Foreground, ops)).await.unwrap();
    assert_eq!(disk.read(&name("two")).await.unwrap(), b"0123xyz");
    assert_eq!(disk.read(&name("one")).await.unwrap(), b"new");
    assert!(!home.path().join("three").exists());
}

#[tokio::test]
async fn a_file_is_found_again_by_a_later_process() {
    let home = TempDir::new().unwrap();
    let disk = open(home.path());
    let first = vec![create("log"), append("log", 0, b"ab"), sync("log")];
    disk.apply(batch(Lane::Foreground, first)).await.unwrap();
    drop(disk);
    let disk = soon(reopened(home.path())).await;
    let second = vec![append("log", 2, b"cd"), sync("log")];
    disk.apply(batch(Lane::Foreground, second)).await.unwrap();
    assert_eq!(disk.read(&name("log")).await.unwrap(), b"abcd");
}

/// Opens a directory as soon as the threads of its last user have ended.
async fn reopened(directory: &Path) -> OsDisk {
    loop {
        match OsDisk::open(directory, io()) {
            Ok(disk) => return disk,
            Err(OpenDiskError::InUse { .. }) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn a_second_process_is_told_who_has_the_directory() {
    let home = TempDir::new().unwrap();
    let disk = open(home.path());
    let refusal = OsDisk::open(home.path(), io()).unwrap_err();
    let pid = std::process::id();
    let OpenDiskError::InUse { holder, .. } = &refusal else {
        panic!("{refusal}");
    };
    let holder = holder.as_deref().unwrap();
    assert!(holder.starts_with(&format!("pid {pid} (")), "{holder}");
    assert!(refusal.to_string().contains("Stop that one first"));
    // A clone keeps the lock as well; the last one to go releases it.
    let clone = disk.clone();
    drop(disk);
    assert!(OsDisk::open(home.path(), io()).is_err());
    drop(clone);
    soon(reopened(home.path())).await;
}

#[tokio::test]
async fn a_missing_home_is_created_for_its_user_alone() {
    let above = TempDir::new().unwrap();
    let home = above.path().join("with blank").join("häuschen");
    let disk = open(&home);
    let mode = std::fs::metadata(&home).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    disk.apply(batch(Lane::Foreground, vec![create("file")]))
        .await
        .unwrap();
    assert!(home.join("file").exists());
}

#[test]
fn a_home_that_is_a_file_is_refused_with_its_path() {
    let above = TempDir::new().unwrap();
    let home = above.path().join("home");
    std::fs::write(&home, "").unwrap();
    let refusal = OsDisk::open(&home, io()).unwrap_err().to_string();
    let shown = home.display().to_string();
    assert!(refusal.contains(&shown), "{refusal}");
}

#[tokio::test]
async fn what_is_not_ours_is_listed_apart() {
    let home = TempDir::new().unwrap();
    let disk = open(home.path());
    std::fs::write(home.path().join("snap-1.snap"), "12").unwrap();
    std::fs::write(home.path().join("Upper Case"), "").unwrap();
    std::fs::create_dir(home.path().join("folder")).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", home.path().join("link")).unwrap();
    let listing = disk.list().await.unwrap();
    assert_eq!(listing.files, [(name("snap-1.snap"), 2)].into());
    assert_eq!(listing.foreign, ["Upper Case", "folder", "link"]);
}

#[tokio::test]
async fn a_link_leads_nowhere() {
    let home = TempDir::new().unwrap();
    let outside = TempDir::new().unwrap();
    let target = outside.path().join("target");
    std::fs::write(&target, "kept").unwrap();
    let disk = open(home.path());
    std::os::unix::fs::symlink(&target, home.path().join("log")).unwrap();
    let through = DiskOp::CreateOrEmpty { file: name("log") };
    let fault = disk
        .apply(batch(Lane::Foreground, vec![through]))
        .await
        .unwrap_err();
    assert!(fault.message.contains("symbolic link"), "{fault}");
    assert!(disk.read(&name("log")).await.is_err());
    assert_eq!(std::fs::read_to_string(&target).unwrap(), "kept");
}

#[tokio::test]
async fn sealed_files_are_mapped_whole_and_outlive_their_name() {
    let home = TempDir::new().unwrap();
    let disk = open(home.path());
    let bytes: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    std::fs::write(home.path().join("segment"), &bytes).unwrap();
    std::fs::write(home.path().join("empty"), "").unwrap();
    let segment = disk.open_sealed(&name("segment")).await.unwrap();
    let empty = disk.open_sealed(&name("empty")).await.unwrap();
    let remove = DiskOp::Remove {
        file: name("segment"),
    };
    disk.apply(batch(Lane::Background, vec![remove]))
        .await
        .unwrap();
    assert!(segment.as_ref() == bytes.as_slice());
    assert!(empty.as_ref().is_empty());
    assert!(disk.open_sealed(&name("segment")).await.is_err());
}

#[tokio::test]
async fn a_hanging_background_lane_does_not_hold_up_the_foreground() {
    let home = TempDir::new().unwrap();
    let disk = open(home.path());
    // Opening a pipe for writing hangs until somebody reads from it.
    let pipe = home.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let hanging = tokio::spawn({
        let disk = disk.clone();
        async move {
            let stuck = batch(Lane::Background, vec![append("pipe", 0, b"x")]);
            disk.apply(stuck).await
        }
    });
    let urgent = vec![create("log"), append("log", 0, b"abc"), sync("log")];
    soon(disk.apply(batch(Lane::Foreground, urgent)))
        .await
        .unwrap();
    assert!(!hanging.is_finished());
    let _reader = std::fs::File::open(&pipe).unwrap();
    // A pipe has no offsets, so the write fails once it is reached.
    assert!(soon(hanging).await.unwrap().is_err());
}

#[test]
fn faults_are_told_apart_by_what_cures_them() {
    use crate::os_env::disk::kind_of_errno as kind;
    use rustix::io::Errno;
    assert_eq!(kind(Errno::NOSPC), DiskFaultKind::NoSpace);
    assert_eq!(kind(Errno::DQUOT), DiskFaultKind::NoSpace);
    assert_eq!(kind(Errno::ACCESS), DiskFaultKind::Denied);
    assert_eq!(kind(Errno::ROFS), DiskFaultKind::Denied);
    assert_eq!(kind(Errno::IO), DiskFaultKind::Io);
    assert_eq!(kind(Errno::LOOP), DiskFaultKind::Io);
}

#[tokio::test]
async fn a_reserve_is_real_space_and_asking_again_changes_nothing() {
    use std::os::unix::fs::MetadataExt;

    let home = TempDir::new().unwrap();
    let disk = open(home.path());
    let len = 300_000;
    let reserve = DiskOp::Reserve {
        file: name("reserve.bin"),
        len,
    };
    let mut changed = Vec::new();
    for _ in 0..2 {
        let ops = vec![reserve.clone()];
        disk.apply(batch(Lane::Background, ops)).await.unwrap();
        let file = std::fs::metadata(home.path().join("reserve.bin")).unwrap();
        assert_eq!(file.len(), len);
        assert!(file.blocks() * 512 >= len, "{} blocks", file.blocks());
        changed.push(file.ctime_nsec());
    }
    assert_eq!(changed[0], changed[1]);
    // One with a hole is filled up.
    let path = home.path().join("reserve.bin");
    std::fs::File::create(&path).unwrap().set_len(len).unwrap();
    let ops = vec![reserve];
    disk.apply(batch(Lane::Background, ops)).await.unwrap();
    assert!(std::fs::metadata(path).unwrap().blocks() * 512 >= len);
}

#[tokio::test]
async fn a_piece_of_a_file_is_read_and_ends_where_the_file_does() {
    let home = TempDir::new().unwrap();
    let disk = open(home.path());
    let ops = vec![create("chunk"), append("chunk", 0, b"0123456789")];
    disk.apply(batch(Lane::Foreground, ops)).await.unwrap();
    let read = async |offset, len| disk.read_at(&name("chunk"), offset, len).await.unwrap();
    assert_eq!(&read(2, 3).await[..], b"234");
    assert_eq!(&read(8, 100).await[..], b"89");
    assert!(read(10, 1).await.is_empty());
    assert!(read(u64::MAX, usize::MAX).await.is_empty());
    assert!(disk.read_at(&name("none"), 0, 1).await.is_err());
}

/// A record in the midst of a page, and the next read of it comes from the disk.
#[tokio::test]
async fn what_is_forgotten_is_read_from_the_disk() {
    let home = TempDir::new().unwrap();
    const TMPFS: i64 = 0x0102_1994;
    if rustix::fs::statfs(home.path()).unwrap().f_type == TMPFS {
        eprintln!("skipped: {} is kept in memory", home.path().display());
        return;
    }
    let disk = open(home.path());
    let ops = vec![
        create("segment"),
        append("segment", 0, &[7; 300_000]),
        sync("segment"),
    ];
    disk.apply(batch(Lane::Foreground, ops)).await.unwrap();
    let file = std::fs::File::open(home.path().join("segment")).unwrap();
    let is_cached = |at: u64| {
        let mut byte = [0];
        let mut into = [std::io::IoSliceMut::new(&mut byte)];
        let read = rustix::io::preadv2(&file, &mut into, at, rustix::io::ReadWriteFlags::NOWAIT);
        match read {
            Ok(read) => read == 1,
            Err(rustix::io::Errno::AGAIN) => false,
            Err(errno) => panic!("{errno}"),
        }
    };
    let read = async || {
        disk.read_at(&name("segment"), 100_096, 5_000)
            .await
            .unwrap()
    };
    assert_eq!(read().await[..], [7; 5_000]);
    let inside = [100_096, 102_400, 105_095];
    assert!(inside.iter().all(|at| is_cached(*at)));
    disk.forget_cached(&name("segment"), 100_096, 5_000)
        .await
        .unwrap();
    for at in inside {
        assert!(!is_cached(at), "{at}");
    }
    assert_eq!(read().await[..], [7; 5_000]);
}

#[tokio::test]
async fn what_is_appended_beside_the_lanes_is_synced_by_a_batch() {
    let home = TempDir::new().unwrap();
    let disk = open(home.path());
    disk.apply(batch(Lane::Foreground, vec![create("chunk")]))
        .await
        .unwrap();
    let file = name("chunk");
    disk.append(&file, 0, "first ".into()).await.unwrap();
    disk.append(&file, 6, "second".into()).await.unwrap();
    let fault = disk.append(&file, 99, "hole".into()).await.unwrap_err();
    assert_eq!(fault.kind, DiskFaultKind::Io);
    assert!(
        fault
            .to_string()
            .starts_with("write 4 bytes at offset 99 of /"),
        "{fault}"
    );
    disk.apply(batch(Lane::Foreground, vec![sync("chunk")]))
        .await
        .unwrap();
    assert_eq!(disk.read(&file).await.unwrap(), b"first second");
}

#[tokio::test]
async fn the_room_of_a_file_system_is_told() {
    let home = TempDir::new().unwrap();
    let space = open(home.path()).space().await.unwrap();
    assert!(space.capacity >= space.free);
    assert!(space.capacity > 0);
}

#[tokio::test]
async fn reads_that_hang_hold_up_neither_others_nor_the_lanes() {
    let home = TempDir::new().unwrap();
    let disk = open(home.path());
    disk.apply(batch(Lane::Foreground, vec![create("file")]))
        .await
        .unwrap();
    let (release, hang) = std::sync::mpsc::channel::<()>();
    let hung = tokio::spawn({
        let disk = disk.clone();
        async move { disk.inspect(move |_| hang.recv()).await }
    });
    let listing = disk.inspect(|files| files.list().unwrap()).await.unwrap();
    assert_eq!(listing.files, [(name("file"), 0)].into());
    assert!(disk.read_at(&name("file"), 0, 1).await.unwrap().is_empty());
    disk.apply(batch(Lane::Foreground, vec![append("file", 0, b"x")]))
        .await
        .unwrap();
    assert!(!hung.is_finished());
    drop(release);
    assert!(soon(hung).await.unwrap().unwrap().is_err());
}
