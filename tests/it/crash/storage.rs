//! The same with a medium in trouble: a disk that is full, and one that refuses to flush (`delivery_semantics` §16.4).

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::load::{Draw, Load, number};
use super::world::{Make, World, wait_for};

/// The program's exit code when a flush failed.
const FLUSH: i32 = 74;

/// Set where the test runs in a user namespace of its own: it may mount there, and is no real root.
const INSIDE: &str = "SHIFTBELL_INSIDE";

/// A world whose data lie on a small file system of its own; unmounted with it.
struct Small {
    world: World,
}

impl Drop for Small {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(self.world.path("data")).status());
    }
}

impl Small {
    /// Mounts it, or runs the test `name` where that is allowed, and answers nothing then.
    fn mount(name: &str) -> Option<Small> {
        let inside = std::env::var_os(INSIDE).is_some();
        if inside || rustix::process::geteuid().is_root() {
            let world = World::with(Make { mail: !inside, ballast: "1MiB", ..Make::default() });
            // What is kept grows with the load, and must not be what fills it.
            let size = format!("size={}m", 32 + number("SHIFTBELL_KILLS", 0));
            let mounted = Command::new("mount")
                .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
                .arg(world.path("data"))
                .stderr(Stdio::null())
                .status();
            if mounted.is_ok_and(|status| status.success()) {
                return Some(Small { world });
            }
        }
        assert!(!inside, "nothing can be mounted in a user namespace either: run this test as root");
        let test = std::env::current_exe().expect("this program has a file");
        let mut again = Command::new("unshare");
        again.arg("-Urm").arg(test).args(["--exact", name, "--nocapture"]).env(INSIDE, "1");
        let done = again.status();
        assert!(
            done.as_ref().is_ok_and(|status| status.success()),
            "a small file system is needed: run this test as root, or allow user namespaces (unshare -Urm): {done:?}"
        );
        None
    }

    fn filler(&self) -> PathBuf {
        self.world.path("data/filler")
    }

    /// Writes until nothing more can be written.
    fn fill(&self) {
        let mut file = fs::OpenOptions::new().create(true).append(true).open(self.filler()).expect("a file");
        for size in [65_536, 4096, 1] {
            while file.write_all(&vec![0x5a; size]).is_ok() {}
        }
    }

    fn free(&self) {
        drop(fs::remove_file(self.filler()));
    }

    /// The disk is full, and the program knows it.
    fn wait_emergency(&self) {
        wait_for("emergency mode", Duration::from_secs(60), || {
            // The ballast was given free, and the store has begun to use it.
            self.fill();
            self.world.exchange("GET", "/-/ready", "").is_some_and(|(status, _)| status != 200)
        });
    }
}

/// W21: the disk is full. The ballast is given up, then what is urgent leaves from memory and says so; nothing is
/// confirmed that is not kept; with space everything goes on.
#[test]
fn w21_the_disk_is_full() {
    let Some(mut small) = Small::mount("crash::storage::w21_the_disk_is_full") else { return };
    let program = small.world.start_ready();
    let first = small.world.tickets(2);
    small.world.wait_seen(&first);
    let ballast = small.world.path("data/shiftbell.db.ballast");
    assert!(ballast.exists(), "the ballast lies there while there is room");
    small.fill();
    // Each ticket is a write; the first that is refused gives the ballast free.
    let mut late = Vec::new();
    wait_for("the ballast to be given free", Duration::from_secs(60), || {
        late.extend(small.world.fresh(1).into_iter().map(|id| (id, super::way::now())));
        drop(small.world.post(&late[late.len() - 1..]));
        !ballast.exists()
    });
    small.wait_emergency();
    small.world.emergencies += 1;
    // S29: not kept, and said to be not kept; told all the same.
    let unkept = small.world.fresh(1).into_iter().map(|id| (id, super::way::now())).collect::<Vec<_>>();
    let answer = small.world.post(&unkept);
    assert!(answer.is_none_or(|kept| kept == [false]), "confirmed, and it cannot be kept");
    let id = unkept[0].0.clone();
    small.world.wait_seen(std::slice::from_ref(&id));
    let said = small.world.receivers.with(|arrived| {
        let hooks = arrived.hooks.values().map(|(_, text)| text);
        let mut texts = hooks.chain(arrived.mails.values().flatten());
        texts.any(|text| text.contains(&id) && text.contains("(存储故障)"))
    });
    assert!(said, "what leaves without a record says so");
    assert!(small.world.ack_one().is_none(), "an ack that cannot be kept is not confirmed (I13)");
    small.free();
    wait_for("it to be ready again", Duration::from_secs(60), || small.world.is_ready());
    wait_for("the admins to be told", Duration::from_secs(30), || small.world.has_open("system.disk"));
    late.extend(unkept);
    wait_for("everything to be confirmed", Duration::from_secs(60), || {
        small.world.post(&late).is_some_and(|kept| kept.iter().all(|kept| *kept))
    });
    let ids: Vec<String> = late.into_iter().map(|(id, _)| id).collect();
    small.world.wait_seen(&ids);
    small.world.check_quiet(program);
}

/// W21: killed as it finds the disk full, and again as it is about to send from memory.
#[test]
fn w21_killed_in_emergency() {
    let Some(mut small) = Small::mount("crash::storage::w21_killed_in_emergency") else { return };
    let mut all = Vec::new();
    for point in ["emergency", "emergency_claimed"] {
        let mut program = small.world.start(Some(point));
        wait_for("the desk to answer", Duration::from_secs(60), || small.world.is_ready());
        let said: Vec<_> = small.world.fresh(2).into_iter().map(|id| (id, super::way::now())).collect();
        assert_eq!(small.world.post(&said), Some(vec![true, true]));
        all.extend(said);
        small.fill();
        wait_for("it to die", Duration::from_secs(60), || {
            small.fill();
            let said = small.world.fresh(1).into_iter().map(|id| (id, super::way::now())).collect::<Vec<_>>();
            drop(small.world.post(&said));
            all.extend(said);
            program.ended_within(Duration::from_millis(100)).is_some()
        });
        assert!(program.died_within(Duration::ZERO), "{point} was not reached\n{}", small.world.log());
        small.world.faults += 1;
        small.world.emergencies += 1;
        small.free();
    }
    let program = small.world.start_ready();
    wait_for("everything to be confirmed", Duration::from_secs(60), || {
        small.world.post(&all).is_some_and(|kept| kept.iter().all(|kept| *kept))
    });
    let ids: Vec<String> = all.into_iter().map(|(id, _)| id).collect();
    small.world.wait_seen(&ids);
    small.world.check_quiet(program);
}

/// Random instants on a disk that is full now and then; it is killed as often while it is as while it is not.
#[test]
fn random_instants_on_a_full_disk() {
    let Some(mut small) = Small::mount("crash::storage::random_instants_on_a_full_disk") else { return };
    let rounds = number("SHIFTBELL_KILLS", 6);
    let mut draw = Draw::seeded("random instants on a full disk");
    let (filler, data) = (small.filler(), small.world.path("data"));
    Load::around(&mut small.world, &mut draw, |world, draw, load| {
        let fill = || {
            let mut file = fs::OpenOptions::new().create(true).append(true).open(&filler).expect("a file");
            for size in [65_536, 4096, 1] {
                while file.write_all(&vec![0x5a; size]).is_ok() {}
            }
        };
        for round in 0..rounds {
            let mut program = world.start_ready();
            std::thread::sleep(Duration::from_millis(100 + draw.below(500)));
            fill();
            world.emergencies += 1;
            let until = std::time::Instant::now() + Duration::from_millis(300 + draw.below(2500));
            while std::time::Instant::now() < until {
                std::thread::sleep(Duration::from_millis(50));
                fill();
            }
            assert!(program.ended_within(Duration::ZERO).is_none(), "a full disk is no end\n{}", world.log());
            if draw.below(2) == 0 {
                program.kill();
                world.faults += 1;
                if draw.below(2) == 0 {
                    // A start on a full disk may be refused; it must not spoil anything.
                    let mut program = world.start(None);
                    if let Some(status) = program.ended_within(Duration::from_millis(800)) {
                        assert!(status.code().is_some(), "{status}\n{}", world.log());
                    }
                    drop(program);
                    world.faults += 1;
                }
                drop(fs::remove_file(&filler));
            } else {
                drop(fs::remove_file(&filler));
                wait_for("it to be ready again", Duration::from_secs(60), || {
                    let ended = program.ended_within(Duration::ZERO);
                    assert!(ended.is_none(), "{ended:?}\n{}", world.log());
                    world.is_ready()
                });
                program.kill();
                world.faults += 1;
            }
            if round + 1 == rounds {
                assert!(load.confirmed() > 0, "nothing was confirmed: that is no load");
            }
        }
    });
    drop(data);
}

/// Compiles the library that lets flushes fail.
fn shim(folder: &Path) -> PathBuf {
    let (source, library) = (folder.join("fsync.c"), folder.join("fsync.so"));
    fs::write(&source, include_str!("fsync.c")).expect("it can be written");
    let done = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).output();
    let done = done.expect("cc is missing: install a C compiler, which the program needs to be built, too");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    library
}

/// Under load the medium refuses to flush, and forgets what it was not told to keep: the program ends with its own exit
/// code, and the next one goes on from what is on the medium.
#[test]
fn random_flushes_fail() {
    let rounds = number("SHIFTBELL_KILLS", 6);
    let mut draw = Draw::seeded("random flushes fail");
    let mut world = World::new();
    let (library, trigger) = (shim(&world.path("")), world.path("refuse"));
    world.env.push(("LD_PRELOAD", library.display().to_string()));
    world.env.push(("FSYNC_FAILS", trigger.display().to_string()));
    Load::around(&mut world, &mut draw, |world, draw, load| {
        for _ in 0..rounds {
            let mut program = world.start_ready();
            std::thread::sleep(Duration::from_millis(50 + draw.below(1200)));
            fs::write(&trigger, "").expect("it can be written");
            let status = program.ended_within(Duration::from_secs(60));
            let status = status.unwrap_or_else(|| panic!("a flush failed, and it goes on\n{}", world.log()));
            assert_eq!(status.code(), Some(FLUSH), "{status}\n{}", world.log());
            world.faults += 1;
            if draw.below(3) == 0 {
                // Started again while it is so: the same end, whatever it gets to.
                let mut program = world.start(None);
                let status = program.ended_within(Duration::from_secs(60)).expect("it cannot go on");
                assert_eq!(status.code(), Some(FLUSH), "{status}\n{}", world.log());
                world.faults += 1;
            }
            fs::remove_file(&trigger).expect("it is there");
        }
        assert!(load.confirmed() > rounds as usize, "{} confirmed: that is no load", load.confirmed());
    });
    assert_eq!(world.receivers.script.delay_ms.load(Ordering::SeqCst), 0);
}
