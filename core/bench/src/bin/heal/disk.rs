//! File systems of their own for data nodes, and what is done to them.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// A file system in a file, mounted where a node has its volume. Unmounted when it is dropped.
#[derive(Debug)]
pub(crate) struct Disk {
    pub(crate) image: PathBuf,
    pub(crate) place: PathBuf,
}

pub(crate) fn run(program: &str, words: &[&str]) -> Result<(), String> {
    let ran = Command::new(program)
        .args(words)
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    let line = words.join(" ");
    let said = String::from_utf8_lossy(&ran.stderr);
    let failed = || format!("{program} {line}: {}", said.trim());
    ran.status.success().then_some(()).ok_or_else(failed)
}

pub(crate) fn text(path: &Path) -> Result<&str, String> {
    path.to_str()
        .ok_or_else(|| format!("{} is no path in UTF-8", path.display()))
}

impl Disk {
    pub(crate) fn make(room: &Path, node: &str, mib: u64) -> Result<Self, String> {
        let disk = Self {
            image: room.join(format!("{node}.img")),
            place: room.join("disk").join(node),
        };
        let failed = |error: std::io::Error| format!("{}: {error}", disk.image.display());
        fs::create_dir_all(&disk.place).map_err(failed)?;
        File::create(&disk.image)
            .and_then(|file| file.set_len(mib << 20))
            .map_err(failed)?;
        disk.format()?;
        disk.mount()?;
        Ok(disk)
    }

    pub(crate) fn format(&self) -> Result<(), String> {
        run("mkfs.ext4", &["-q", "-F", "-m", "0", text(&self.image)?])
    }

    pub(crate) fn mount(&self) -> Result<(), String> {
        self.mount_at(&self.place)
    }

    pub(crate) fn mount_at(&self, place: &Path) -> Result<(), String> {
        run(
            "mount",
            &[
                "-o",
                "loop,errors=remount-ro",
                text(&self.image)?,
                text(place)?,
            ],
        )
    }

    pub(crate) fn unmount(&self) -> Result<(), String> {
        run("umount", &[text(&self.place)?])
    }

    pub(crate) fn remount(&self, how: &str) -> Result<(), String> {
        run(
            "mount",
            &["-o", &format!("remount,{how}"), text(&self.place)?],
        )
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // What is not mounted needs nothing.
        let _ = self.unmount();
    }
}

/// What the disk writes at most, in MB/s.
pub(crate) fn write_limit(disk: &Disk) -> Result<f64, String> {
    let path = disk.place.join("limit");
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let block = vec![0x5a; 1 << 20];
    let mut best: f64 = 0.0;
    for _ in 0..3 {
        let mut file = File::create(&path).map_err(failed)?;
        let begun = Instant::now();
        for _ in 0..256 {
            file.write_all(&block).map_err(failed)?;
        }
        file.sync_all().map_err(failed)?;
        let rate = 256.0 * 1.048_576 / begun.elapsed().as_secs_f64();
        best = best.max(rate);
        fs::remove_file(&path).map_err(failed)?;
    }
    Ok(best)
}

/// Makes the kernel take a file system for damaged, so that it is read-only from then on.
pub(crate) fn force_read_only(place: &Path) -> Result<(), String> {
    let device = Command::new("findmnt")
        .args(["-n", "-o", "SOURCE", text(place)?])
        .output()
        .map_err(|error| format!("findmnt: {error}"))?;
    let device = String::from_utf8_lossy(&device.stdout).trim().to_owned();
    let device = device.trim_start_matches("/dev/");
    let trigger = format!("/sys/fs/ext4/{device}/trigger_fs_error");
    fs::write(&trigger, "vaquita heal").map_err(|error| format!("{trigger}: {error}"))
}

/// The files of a volume that have chunks, the largest first.
pub(crate) fn chunk_files(place: &Path) -> Result<Vec<PathBuf>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", place.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(place).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let len = entry.metadata().map_err(failed)?.len();
        if len > 100_000 {
            files.push((len, entry.path()));
        }
    }
    files.sort();
    Ok(files.into_iter().rev().map(|(_, path)| path).collect())
}

pub(crate) fn flip_a_bit(path: &Path) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .map_err(failed)?;
    let at = file.metadata().map_err(failed)?.len() / 2;
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).map_err(failed)?;
    byte[0] ^= 0x10;
    file.write_all_at(&byte, at).map_err(failed)?;
    file.sync_all().map_err(failed)
}
