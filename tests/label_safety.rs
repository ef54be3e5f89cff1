//! A process that labels at full speed is killed at random moments, and another runs into a full disk: every edit that was
//! reported as saved must be there.

#![allow(clippy::unwrap_used, clippy::panic)] // the helpers are test code too

use limn::formats::dlc_labels_csv;
use limn::labeling::{Mark, PointEdit, Session, State};
use limn::pose::{FrameKey, Keypoint, Labels};
use limn::project::{LabelStore, NewProject, Project, VideoMode};
use limn::watch::Quiet;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::{HashMap, VecDeque};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

const KILLS: u64 = 200;
const VIDEOS: [&str; 2] = ["m1", "m2"];
const IMAGES: usize = 5;
const PARTS: [&str; 3] = ["snout", "ear", "tail"];

type Point = (usize, usize, usize);

fn key((video, image, _): Point) -> FrameKey {
    FrameKey::new(VIDEOS[video], format!("img{image:03}.png"))
}

fn project(dir: &Path) -> Project {
    let new = NewProject::single("safe", "Ada", PARTS);
    Project::create(dir, &new, &[], VideoMode::Link, &|_| Ok((4, 4)), &Quiet::default()).unwrap()
}

/// A value in the log: `x/y`, `hidden` or `none`.
fn said(mark: Mark) -> String {
    match mark {
        Mark::At(p) => format!("{:?}/{:?}", p.x, p.y),
        Mark::Hidden => "hidden".into(),
        Mark::Unlabeled => "none".into(),
    }
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n{line}").unwrap();
    out.flush().unwrap();
}

fn opened(root: &Path) -> Session {
    let project = Project::open(root, &Quiet::default()).unwrap();
    let mut session = Session::open(&project, Arc::new(|| {}));
    let begun = Instant::now();
    while matches!(session.state(), State::Opening) {
        assert!(begun.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_micros(300));
        for notice in session.poll() {
            assert!(!notice.text.contains("history"), "{}", notice.text);
        }
    }
    assert!(matches!(session.state(), State::Editing), "{:?}", session.state());
    session
}

/// Not a test of its own: the process that the others start, and kill.
#[test]
#[ignore = "run by the other tests"]
fn child() {
    let Some(root) = std::env::var_os("LIMN_LABEL_ROOT") else { return };
    let first: u64 = std::env::var("LIMN_LABEL_FIRST").unwrap().parse().unwrap();
    let full = std::env::var_os("LIMN_LABEL_FULL").is_some();
    let mut session = opened(Path::new(&root));
    assert!(first < 100 || session.can_undo().is_some(), "the history is gone");
    say("opened");
    let mut random = ChaCha8Rng::seed_from_u64(first);
    // What undo and redo will do, to be announced before they do it.
    let (mut done, mut undone): (Vec<(Point, Mark, Mark)>, Vec<_>) = (Vec::new(), Vec::new());
    let mut waiting: VecDeque<u64> = VecDeque::new();
    let mut troubled = false;
    for n in first.. {
        let what = if full { 0 } else { random.random_range(0..20) };
        let announce = |point: Point, to: Mark| {
            say(&format!("do {n} {} {} {} {}", point.0, point.1, point.2, said(to)));
        };
        match what {
            0..=3 if !done.is_empty() && !full => {
                let (point, before, after) = done.pop().unwrap();
                announce(point, before);
                assert!(session.undo().is_some());
                undone.push((point, before, after));
            }
            4..=6 if !undone.is_empty() => {
                let (point, before, after) = undone.pop().unwrap();
                announce(point, after);
                assert!(session.redo().is_some());
                done.push((point, before, after));
            }
            _ => {
                let point = (
                    random.random_range(0..2),
                    random.random_range(0..IMAGES),
                    random.random_range(0..PARTS.len()),
                );
                #[allow(clippy::cast_precision_loss)]
                let x = n as f64 + 0.1;
                let mark = match what {
                    7 | 8 => Mark::Hidden,
                    9 | 10 => Mark::Unlabeled,
                    _ => Mark::At(Keypoint::new(x, 1.0 / x)),
                };
                let before = session.mark(&key(point), point.2);
                announce(point, mark);
                session.edit("place", vec![PointEdit::new(key(point), point.2, mark)]);
                if before == mark {
                    continue;
                }
                done.push((point, before, mark));
                undone.clear();
            }
        }
        waiting.push_back(n);
        if random.random_range(0..30) == 0 {
            session.save();
        }
        loop {
            session.poll();
            let mut saved = None;
            while waiting.len() > session.safety().in_memory {
                saved = waiting.pop_front();
            }
            if let Some(saved) = saved {
                say(&format!("saved {saved}"));
            }
            let trouble = session.safety().trouble.filter(|t| t.contains("kept in memory"));
            if let Some(trouble) = trouble.filter(|_| full && !troubled) {
                troubled = true;
                say(&format!("trouble {}", trouble.replace('\n', " ")));
            }
            if full && troubled && session.safety().trouble.is_none() && waiting.is_empty() {
                session.close().unwrap();
                say("closed");
                return;
            }
            if waiting.len() < 40 && !(full && troubled) {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn start(root: &Path, first: u64, through: Option<&str>) -> Child {
    let me = std::env::current_exe().unwrap();
    let args = ["--exact", "child", "--ignored", "--nocapture", "--test-threads=1"];
    let mut command = match through {
        None => Command::new(me),
        Some(script) => {
            let mut shell = Command::new("bash");
            shell.args(["-c", script, "bash"]).arg(me);
            shell
        }
    };
    command
        .args(args)
        .env("LIMN_LABEL_ROOT", root)
        .env("LIMN_LABEL_FIRST", first.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// What the killed process said.
#[derive(Default)]
struct Log {
    /// The last edit that was reported as saved.
    saved: u64,
    /// The last edit announced.
    last: u64,
    /// For each point the edits announced, in order.
    edits: HashMap<Point, Vec<(u64, String)>>,
}

impl Log {
    fn take(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["do", n, v, i, p, value] => {
                let point = (v.parse().unwrap(), i.parse().unwrap(), p.parse().unwrap());
                self.last = n.parse().unwrap();
                self.edits.entry(point).or_default().push((self.last, value.to_owned()));
            }
            ["saved", n] => self.saved = n.parse().unwrap(),
            _ => {}
        }
    }

    /// Every point has the value of its last edit that was reported, or of a later one.
    fn check(&mut self, store: &LabelStore) {
        for (point, edits) in &mut self.edits {
            let is = said(store.mark(&key(*point), point.2));
            let last = edits.iter().rposition(|(n, _)| *n <= self.saved).unwrap_or(0);
            // Before the first edit there was nothing.
            let never = edits[0].0 > self.saved && is == "none";
            let at = edits.iter().rposition(|(n, value)| *value == is && *n >= edits[last].0);
            assert!(at.is_some() || never, "{point:?} is {is}, saved {} of {edits:?}", self.saved);
            // The next process goes on from what is there.
            *edits = vec![(at.map_or(edits[last].0, |i| edits[i].0).min(self.saved), is)];
        }
    }
}

fn shaped_as_deeplabcut_reads(project: &Project, store: &LabelStore) {
    for video in VIDEOS {
        let csv = project.labeled_data(video).join("CollectedData_Ada.csv");
        if !csv.exists() {
            continue; // nothing was flushed yet
        }
        let text = std::fs::read_to_string(&csv).unwrap();
        let mut lines = text.lines();
        let head = |first: &str, names: [&str; 6]| format!("{first},,,{}", names.join(","));
        assert_eq!(lines.next().unwrap(), head("scorer", ["Ada"; 6]));
        assert_eq!(
            lines.next().unwrap(),
            head("bodyparts", ["snout", "snout", "ear", "ear", "tail", "tail"])
        );
        assert_eq!(lines.next().unwrap(), head("coords", ["x", "y", "x", "y", "x", "y"]));
        assert!(
            lines.all(|l| l.starts_with(&format!("labeled-data,{video},img")) && l.matches(',').count() == 8)
        );
        let watch = Quiet::default();
        let read: Labels = dlc_labels_csv::read(&csv, &watch).unwrap();
        assert_eq!(read.skeleton.bodyparts, store.labels().skeleton.bodyparts);
        #[cfg(feature = "hdf5")]
        {
            let h5 = limn::formats::dlc_h5::read_labels(&csv.with_extension("h5"), &watch).unwrap();
            assert_eq!(h5.skeleton, read.skeleton);
        }
    }
}

#[test]
fn no_edit_reported_as_saved_is_lost_by_a_kill() {
    // Two projects at once, because most of the time goes into starting processes.
    std::thread::scope(|both| {
        let halves = [7, 8].map(|seed| both.spawn(move || kill_again_and_again(seed, KILLS / 2)));
        for half in halves {
            half.join().unwrap();
        }
    });
}

fn kill_again_and_again(seed: u64, kills: u64) {
    let dir = tempfile::tempdir().unwrap();
    let project = project(dir.path());
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut log = Log::default();
    let (mut saved_in_all, mut during_flush) = (0, 0);
    for round in 0..kills {
        let before = log.saved;
        let mut process = start(project.root(), log.last + 1, None);
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        // Some are killed while they open, and mend what the one before left.
        let early = round % 8 == 7;
        // The others after so many edits were saved: a slow disk makes the test longer, not weaker.
        let wanted = if early { 0 } else { random.random_range(1..60) };
        let live = Duration::from_micros(random.random_range(0..if early { 300_000 } else { 20_000 }));
        if !early && !lines.any(|l| l.is_ok_and(|l| l == "opened")) {
            let out = process.wait_with_output().unwrap();
            panic!("round {round}: {}", String::from_utf8_lossy(&out.stderr));
        }
        let (enough, reached) = std::sync::mpsc::channel();
        let first = log.last;
        let reader = std::thread::spawn(move || {
            let mut all = Vec::new();
            for line in lines.map_while(Result::ok) {
                let saved = line.strip_prefix("saved ").and_then(|n| n.parse::<u64>().ok());
                if saved.is_some_and(|n| n >= first + wanted) {
                    let _ = enough.send(());
                }
                all.push(line);
            }
            all
        });
        if !early {
            let _ = reached.recv_timeout(Duration::from_secs(60));
        }
        std::thread::sleep(live);
        process.kill().unwrap();
        let out = process.wait_with_output().unwrap();
        assert!(
            !out.status.success() && out.status.code().is_none(),
            "round {round}: {}",
            String::from_utf8_lossy(&out.stderr)
        );
        reader.join().unwrap().iter().for_each(|l| log.take(l));
        saved_in_all += log.saved - before;
        let left = std::fs::read_dir(project.labeled_data("m1")).into_iter().flatten().flatten();
        during_flush +=
            usize::from(left.into_iter().any(|e| e.file_name().to_string_lossy().starts_with(".limn-")));
        let store = LabelStore::read(&project, &Quiet::default()).unwrap();
        log.check(&store);
        shaped_as_deeplabcut_reads(&project, &store);
    }
    // The last one is not killed: everything is in order after it.
    let mut session = opened(project.root());
    assert!(session.can_undo().is_some());
    session.undo();
    session.close().unwrap();
    assert!(saved_in_all > 10 * kills, "{saved_in_all} edits");
    eprintln!(
        "{kills} kills, {saved_in_all} edits reported as saved, {during_flush} kills while tables were written"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_fills_keeps_edits_in_memory() {
    let there = |name: &str| {
        Command::new(name).arg("--version").stdout(Stdio::null()).status().is_ok_and(|s| s.success())
    };
    if !there("bash") || !there("prlimit") {
        eprintln!("skipped: no bash or no prlimit");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let project = project(dir.path());
    // No file may grow beyond 8 KiB; a soft limit, which `prlimit` lifts again.
    let script = "export LIMN_LABEL_FULL=1; trap '' XFSZ; ulimit -S -f 8; exec \"$@\"";
    let mut process = start(project.root(), 1, Some(script));
    let mut log = Log::default();
    let mut trouble = String::new();
    for line in BufReader::new(process.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        log.take(&line);
        if let Some(said) = line.strip_prefix("trouble ") {
            trouble = said.to_owned();
            assert!(log.saved < log.last);
            let pid = process.id().to_string();
            let lifted =
                Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited:"]).status().unwrap();
            assert!(lifted.success());
        }
    }
    let out = process.wait_with_output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert!(trouble.contains("kept in memory") && trouble.contains("labels.journal"), "{trouble}");
    assert_eq!(log.saved, log.last);
    let store = LabelStore::read(&project, &Quiet::default()).unwrap();
    assert_eq!(store.unsaved(), 0);
    log.check(&store);
}
