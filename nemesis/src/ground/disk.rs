//! A file system for each data node, and what is done to it.
//!
//! It is mounted where nobody looks, and bound to where its node has its volume: so it can be taken from there
//! and come back while the node holds files of it open.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::fs::FallocateFlags;

use super::tools::run;

/// What a disk is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backing {
    /// A file in which there is ext4, by a loop device.
    Ext4,
    /// Memory.
    Memory,
}

/// Bytes of a disk; those of a file are taken when they are written.
const EXT4_BYTES: u64 = 2 << 30;
const MEMORY: &str = "size=256m";
/// What fills a disk: left alone by the node, since it is none of a volume's names.
const BALLAST: &str = "Ballast";
/// A slow disk stands still for so long, then works for so long.
const STILL: Duration = Duration::from_millis(250);
const WORKS: Duration = Duration::from_millis(60);
/// How long what is in use may be.
const PATIENCE: Duration = Duration::from_secs(20);

/// A disk. What is mounted of it is unmounted with it.
#[derive(Debug)]
pub(crate) struct Disk {
    /// Where its node has its volume.
    pub(crate) place: PathBuf,
    under: PathBuf,
    backing: Backing,
    /// The file in which it is, where there is one.
    image: Option<PathBuf>,
    /// The name of its loop device, such as `loop0`.
    device: String,
    pulse: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
}

fn text(path: &Path) -> Result<&str, String> {
    let no_text = || format!("{} is no path in UTF-8", path.display());
    path.to_str().ok_or_else(no_text)
}

impl Disk {
    /// Makes one with a name in a directory, and mounts it.
    pub(crate) fn make(room: &Path, name: &str, backing: Backing) -> Result<Self, String> {
        let mut disk = Self {
            place: room.join("volumes").join(name),
            under: room.join("disks").join(name),
            backing,
            image: None,
            device: String::new(),
            pulse: None,
        };
        let failed = |error: std::io::Error| format!("{}: {error}", room.display());
        fs::create_dir_all(&disk.place).map_err(failed)?;
        fs::create_dir_all(&disk.under).map_err(failed)?;
        if backing == Backing::Ext4 {
            let image = room.join("disks").join(format!("{name}.img"));
            File::create(&image)
                .and_then(|file| file.set_len(EXT4_BYTES))
                .map_err(failed)?;
            run("mkfs.ext4", &["-q", "-F", "-m", "0", text(&image)?])?;
            disk.image = Some(image);
        }
        disk.mount()?;
        disk.bind()?;
        Ok(disk)
    }

    fn mount(&mut self) -> Result<(), String> {
        let under = text(&self.under)?;
        let Some(image) = &self.image else {
            return run("mount", &["-t", "tmpfs", "-o", MEMORY, "none", under]).map(drop);
        };
        let device = run("losetup", &["--find", "--show", text(image)?])?;
        let mounted = run("mount", &["-o", "errors=remount-ro", &device, under]);
        // Gone with its last user: with the mount, whatever becomes of this program.
        let detached = run("losetup", &["--detach", &device]);
        self.device = device.trim_start_matches("/dev/").to_owned();
        mounted.and(detached).map(drop)
    }

    /// Gives it back to its node.
    pub(crate) fn bind(&self) -> Result<(), String> {
        let (under, place) = (text(&self.under)?, text(&self.place)?);
        run("mount", &["--bind", under, place]).map(drop)
    }

    /// Takes it from its node, whatever is open.
    pub(crate) fn unbind(&self) -> Result<(), String> {
        run("umount", &["--lazy", text(&self.place)?]).map(drop)
    }

    fn ballast(&self) -> PathBuf {
        self.under.join(BALLAST)
    }

    /// Fills it to the last byte.
    pub(crate) fn fill(&self) -> Result<(), String> {
        let path = self.ballast();
        let failed = |error: std::io::Error| format!("{}: {error}", path.display());
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(failed)?;
        let mut len = file.metadata().map_err(failed)?.len();
        // What does not fit is asked for by halves.
        let mut step = EXT4_BYTES;
        while step >= 4096 {
            match rustix::fs::fallocate(&file, FallocateFlags::empty(), len, step) {
                Ok(()) => len += step,
                Err(_) => step /= 2,
            }
        }
        Ok(())
    }

    /// Makes room again.
    pub(crate) fn make_room(&self) -> Result<(), String> {
        let path = self.ballast();
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(format!("{}: {error}", path.display()))
            }
            _ => Ok(()),
        }
    }

    /// Makes the kernel take the file system for damaged, as when a disk fails under it.
    pub(crate) fn break_it(&self) -> Result<(), String> {
        let trigger = format!("/sys/fs/ext4/{}/trigger_fs_error", self.device);
        fs::write(&trigger, "vaquita nemesis").map_err(|error| format!("{trigger}: {error}"))
    }

    /// Checks it and mounts it anew; nobody may use it meanwhile.
    pub(crate) fn mend(&mut self) -> Result<(), String> {
        let begun = Instant::now();
        // The last files of a process are closed a moment behind its end.
        while let Err(why) = self.unmount() {
            if begun.elapsed() > PATIENCE {
                return Err(why);
            }
            thread::sleep(Duration::from_millis(20));
        }
        // Its status says that something was mended, which is what it is for.
        if let Some(image) = &self.image {
            let _ = run("fsck.ext4", &["-p", text(image)?]);
        }
        self.mount()?;
        self.bind()
    }

    fn unmount(&self) -> Result<(), String> {
        for path in [&self.place, &self.under] {
            let path = text(path)?;
            if is_mounted(path) {
                run("umount", &[path])?;
            }
        }
        Ok(())
    }

    /// Has nothing more written to it, and whoever tries wait; or has all go on.
    pub(crate) fn freeze(&self, frozen: bool) -> Result<(), String> {
        let how = if frozen { "--freeze" } else { "--unfreeze" };
        run("fsfreeze", &[how, text(&self.under)?]).map(drop)
    }

    /// Has it stand still for moments, again and again.
    pub(crate) fn slow_down(&mut self) -> Result<(), String> {
        let under = text(&self.under)?.to_owned();
        let ends = Arc::new(AtomicBool::new(false));
        let theirs = Arc::clone(&ends);
        let pulse = thread::spawn(move || {
            while !theirs.load(Ordering::SeqCst) {
                if run("fsfreeze", &["--freeze", &under]).is_ok() {
                    thread::sleep(STILL);
                    // Tried until it is thawed: nobody else would do it.
                    while run("fsfreeze", &["--unfreeze", &under]).is_err() {
                        thread::sleep(WORKS);
                    }
                }
                thread::sleep(WORKS);
            }
        });
        self.pulse = Some((ends, pulse));
        Ok(())
    }

    /// Has it be as fast as it is.
    pub(crate) fn speed_up(&mut self) {
        if let Some((ends, pulse)) = self.pulse.take() {
            ends.store(true, Ordering::SeqCst);
            let _ = pulse.join();
        }
    }
}

fn is_mounted(path: &str) -> bool {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    mounts
        .lines()
        .any(|line| line.split(' ').nth(1) == Some(path))
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Whatever was not put right; what does not apply fails, and changes nothing.
        self.speed_up();
        if self.backing == Backing::Ext4 {
            let _ = self.freeze(false);
        }
        for path in [&self.place, &self.under] {
            if let Ok(path) = text(path) {
                while is_mounted(path) && run("umount", &["--lazy", path]).is_ok() {}
            }
        }
    }
}

/// What so many disks can be made of here.
pub(super) fn try_out(room: &Path, count: usize) -> Result<Backing, String> {
    let all = |backing| -> Result<Vec<Disk>, String> {
        let names = (0..count).map(|number| format!("trial{number}"));
        names.map(|name| Disk::make(room, &name, backing)).collect()
    };
    let tried = all(Backing::Ext4).map(|_| Backing::Ext4);
    tried.or_else(|_| all(Backing::Memory).map(|_| Backing::Memory))
}
