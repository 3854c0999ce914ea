//! A file system for each data node, and what is done to it.
//!
//! It is mounted where nobody looks, and bound to where its node has its volume: so it can be taken from there
//! and come back while the node holds files of it open.
//!
//! Where the mount is missing, its path is one of the machine's own file system. So the path is opened each time,
//! the kernel is asked which file system the handle is of, and what is frozen, filled or emptied is what the
//! handle is of, whatever becomes of the path meanwhile.

use std::fs::{self, File, OpenOptions};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::fs::FallocateFlags;
use rustix::io::Errno;

use super::mounts;
use super::tools::{run, run_up_to};

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
/// Time between two tries.
const PERIOD: Duration = Duration::from_millis(20);
/// What fsck says that has found errors and mended all of them, and no restart is needed.
const MENDED: i32 = 3;

/// What slows a disk down, and the wish that it end.
type Pulse = (Arc<AtomicBool>, JoinHandle<Result<(), String>>);

/// A disk. What is mounted of it is unmounted with it.
#[derive(Debug)]
pub(crate) struct Disk {
    /// Where its node has its volume.
    pub(crate) place: PathBuf,
    under: PathBuf,
    backing: Backing,
    /// The file in which it is, where there is one.
    image: Option<PathBuf>,
    /// The name of its loop device, such as `loop0`, while it is mounted.
    device: Option<String>,
    /// The number of its file system, while it is mounted.
    number: Option<u64>,
    pulse: Option<Pulse>,
}

fn text(path: &Path) -> Result<&str, String> {
    let no_text = || {
        format!(
            "{} is no path in UTF-8: name another directory",
            path.display()
        )
    };
    path.to_str().ok_or_else(no_text)
}

impl Disk {
    /// Makes one with a name in a directory, and mounts it. The directory's path has no symbolic links.
    pub(crate) fn make(room: &Path, name: &str, backing: Backing) -> Result<Self, String> {
        let mut disk = Self {
            place: room.join("volumes").join(name),
            under: room.join("disks").join(name),
            backing,
            image: None,
            device: None,
            number: None,
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
        match &self.image {
            None => run("mount", &["-t", "tmpfs", "-o", MEMORY, "none", under])?,
            // The loop device is gone with its last user: with the mount, whatever becomes of this program.
            Some(image) => {
                let how = "loop,errors=remount-ro";
                run("mount", &["-t", "ext4", "-o", how, text(image)?, under])?
            }
        };
        let mounted = mounts::at(&self.under)?.ok_or_else(|| self.absent())?;
        self.device = mounted.source.strip_prefix("/dev/").map(str::to_owned);
        let failed = |error: std::io::Error| format!("{under}: {error}");
        let below = self.under.parent().unwrap_or(&self.under);
        let below = fs::metadata(below).map_err(failed)?.dev();
        let number = fs::metadata(&self.under).map_err(failed)?.dev();
        self.number = Some(number).filter(|it| *it != below);
        self.number.map(drop).ok_or_else(|| self.absent())
    }

    fn absent(&self) -> String {
        let under = self.under.display();
        format!("{under} is not mounted; this disk is out of the run")
    }

    /// A handle of its file system, and not of what is below its path.
    fn hold(&self) -> Result<Held, String> {
        Held::of(&self.under, self.number)?.ok_or_else(|| self.absent())
    }

    /// Gives it back to its node.
    pub(crate) fn bind(&self) -> Result<(), String> {
        self.hold()?;
        let (under, place) = (text(&self.under)?, text(&self.place)?);
        run("mount", &["--bind", under, place]).map(drop)
    }

    /// Takes it from its node, whatever is open.
    pub(crate) fn unbind(&self) -> Result<(), String> {
        run("umount", &["--lazy", text(&self.place)?]).map(drop)
    }

    /// Fills it to the last byte.
    pub(crate) fn fill(&self) -> Result<(), String> {
        let held = self.hold()?;
        let path = held.path().join(BALLAST);
        let filled = fill(&path);
        if filled.is_err() {
            // It counts as not done, so that nobody would put it right.
            let _ = self.make_room();
        }
        filled.map_err(|error| format!("{}: {error}", self.under.join(BALLAST).display()))
    }

    /// Makes room again.
    pub(crate) fn make_room(&self) -> Result<(), String> {
        let held = self.hold()?;
        match fs::remove_file(held.path().join(BALLAST)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(format!("{}: {error}", self.under.join(BALLAST).display()))
            }
            _ => Ok(()),
        }
    }

    /// Makes the kernel take the file system for damaged, as when a disk fails under it.
    pub(crate) fn break_it(&self) -> Result<(), String> {
        let _held = self.hold()?;
        let device = self
            .device
            .as_deref()
            .ok_or("a disk in memory cannot fail")?;
        let trigger = format!("/sys/fs/ext4/{device}/trigger_fs_error");
        fs::write(&trigger, "vaquita nemesis").map_err(|error| format!("{trigger}: {error}"))
    }

    /// Checks it and mounts it anew; nobody may use it meanwhile.
    ///
    /// # Errors
    /// Why it is out of the run from now on.
    pub(crate) fn mend(&mut self) -> Result<(), String> {
        let begun = Instant::now();
        // The last files of a process are closed a moment behind its end.
        while let Err(why) = self.unmount() {
            if begun.elapsed() > PATIENCE {
                return Err(why);
            }
            thread::sleep(PERIOD);
        }
        if let Some(image) = &self.image {
            // The file system lives for as long as anybody holds something of it, mounted or not.
            if let Some(device) = self.device.take() {
                while lives(&device, image) {
                    if begun.elapsed() > PATIENCE {
                        let secs = PATIENCE.as_secs();
                        let image = image.display();
                        return Err(format!("{image} is in use {secs} s after it was unmounted"));
                    }
                    thread::sleep(PERIOD);
                }
            }
            run_up_to("fsck.ext4", &["-p", text(image)?], MENDED)?;
        }
        self.mount()?;
        self.bind()
    }

    fn unmount(&mut self) -> Result<(), String> {
        for path in [&self.place, &self.under] {
            while mounts::at(path)?.is_some() {
                run("umount", &[text(path)?])?;
            }
        }
        self.number = None;
        Ok(())
    }

    /// Has nothing more written to it, and whoever tries wait; or has all go on.
    pub(crate) fn freeze(&self, frozen: bool) -> Result<(), String> {
        self.hold()?.freeze(frozen)
    }

    /// Has all go on whatever was done; what was not frozen stays so.
    pub(crate) fn thaw(&mut self) {
        let _ = self.speed_up();
        if self.backing == Backing::Ext4 {
            let _ = self.freeze(false);
        }
    }

    /// Has it stand still for moments, again and again.
    pub(crate) fn slow_down(&mut self) -> Result<(), String> {
        // The first time here: whether it can be done is to be known at once.
        self.freeze(true)?;
        let (absent, under, number) = (self.absent(), self.under.clone(), self.number);
        let mut held = self.hold()?;
        let ends = Arc::new(AtomicBool::new(false));
        let theirs = Arc::clone(&ends);
        let pulse = thread::spawn(move || {
            loop {
                thread::sleep(STILL);
                let begun = Instant::now();
                while let Err(why) = held.freeze(false) {
                    if begun.elapsed() > PATIENCE {
                        return Err(why);
                    }
                    thread::sleep(PERIOD);
                }
                thread::sleep(WORKS);
                if theirs.load(Ordering::SeqCst) {
                    return Ok(());
                }
                let again = Held::of(&under, number)?;
                held = again.ok_or_else(|| absent.clone())?;
                held.freeze(true)?;
            }
        });
        self.pulse = Some((ends, pulse));
        Ok(())
    }

    /// Has it be as fast as it is.
    ///
    /// # Errors
    /// Why it was not slow up to now, or stands still for good.
    pub(crate) fn speed_up(&mut self) -> Result<(), String> {
        let Some((ends, pulse)) = self.pulse.take() else {
            return Ok(());
        };
        ends.store(true, Ordering::SeqCst);
        let ended = pulse.join();
        ended.map_err(|_| "what slows a disk down has panicked".to_owned())?
    }
}

/// A directory of a file system, by which that is meant and no other.
#[derive(Debug)]
struct Held(File);

impl Held {
    /// Of what is at a path, if that is of the file system with this number.
    fn of(under: &Path, number: Option<u64>) -> Result<Option<Self>, String> {
        let failed = |error: std::io::Error| format!("{}: {error}", under.display());
        let directory = File::open(under).map_err(failed)?;
        let found = directory.metadata().map_err(failed)?.dev();
        Ok((Some(found) == number).then_some(Self(directory)))
    }

    /// A path that leads to it, for programs as well.
    fn path(&self) -> PathBuf {
        let (process, handle) = (std::process::id(), self.0.as_raw_fd());
        PathBuf::from(format!("/proc/{process}/fd/{handle}"))
    }

    fn freeze(&self, frozen: bool) -> Result<(), String> {
        let how = if frozen { "--freeze" } else { "--unfreeze" };
        run("fsfreeze", &[how, text(&self.path())?]).map(drop)
    }
}

fn fill(path: &Path) -> std::io::Result<()> {
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    let mut len = file.metadata()?.len();
    // What does not fit is asked for by halves.
    let mut step = EXT4_BYTES;
    while step >= 4096 {
        match rustix::fs::fallocate(&file, FallocateFlags::empty(), len, step) {
            Ok(()) => len += step,
            Err(Errno::NOSPC | Errno::DQUOT) => step /= 2,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// Whether the kernel has the file system of an image on a loop device. The device may be another's by now.
fn lives(device: &str, image: &Path) -> bool {
    let behind = fs::read_to_string(format!("/sys/block/{device}/loop/backing_file"));
    behind.is_ok_and(|it| Path::new(it.trim_end_matches('\n')) == image)
        && Path::new(&format!("/sys/fs/ext4/{device}")).exists()
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Whatever was not put right.
        self.thaw();
        for path in [&self.place, &self.under] {
            let Ok(words) = text(path) else { continue };
            while mounts::at(path).is_ok_and(|it| it.is_some())
                && run("umount", &["--lazy", words]).is_ok()
            {}
        }
    }
}

/// What so many disks can be made of here, and why it is memory if it is.
pub(super) fn try_out(room: &Path, count: usize) -> Result<(Backing, Option<String>), String> {
    let all = |backing| -> Result<(), String> {
        let names = (0..count).map(|number| format!("trial{number}"));
        let made: Result<Vec<Disk>, _> =
            names.map(|name| Disk::make(room, &name, backing)).collect();
        made.map(drop)
    };
    let tried = match all(Backing::Ext4) {
        Ok(()) => Ok((Backing::Ext4, None)),
        Err(why) => all(Backing::Memory).map(|()| (Backing::Memory, Some(why))),
    };
    for number in 0..count {
        let name = format!("trial{number}");
        let disks = room.join("disks");
        // What was not made is not there.
        let _ = fs::remove_file(disks.join(format!("{name}.img")));
        let _ = fs::remove_dir(disks.join(&name));
        let _ = fs::remove_dir(room.join("volumes").join(&name));
    }
    tried
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_mounted_is_never_filled_frozen_or_given_to_a_node() {
        let room = tempfile::tempdir().unwrap();
        let another = fs::metadata("/proc").unwrap().dev();
        for (backing, device, number) in [
            (Backing::Memory, None, None),
            (Backing::Memory, None, Some(another)),
            (Backing::Ext4, None, None),
            // The machine's own, where it has one.
            (Backing::Ext4, Some("loop0".to_owned()), None),
            (Backing::Ext4, Some("loop0".to_owned()), Some(another)),
        ] {
            let mut disk = Disk {
                place: room.path().join("place"),
                under: room.path().join("under"),
                backing,
                image: None,
                device,
                number,
                pulse: None,
            };
            fs::create_dir_all(&disk.under).unwrap();
            let refusals = [
                disk.fill(),
                disk.make_room(),
                disk.freeze(true),
                disk.slow_down(),
                disk.break_it(),
                disk.bind(),
            ];
            for refusal in refusals {
                assert_eq!(refusal, Err(disk.absent()));
            }
            assert_eq!(fs::read_dir(&disk.under).unwrap().count(), 0);
        }
    }

    #[test]
    fn a_handle_is_of_one_file_system_and_leads_to_it() {
        let room = tempfile::tempdir().unwrap();
        let number = fs::metadata(room.path()).unwrap().dev();
        let held = Held::of(room.path(), Some(number)).unwrap().unwrap();
        fs::write(room.path().join("here"), "").unwrap();
        assert!(held.path().join("here").exists());
        assert!(
            Held::of(Path::new("/proc"), Some(number))
                .unwrap()
                .is_none()
        );
    }
}
