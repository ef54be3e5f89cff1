//! What indexing and reading a video takes of memory and time: `cargo bench --bench index_memory -- VIDEO [FRAMES]`.
//!
//! Run it with a video of 10,000 frames and one of 1,000,000, made by repeating a small one, to see that memory is
//! flat: `ffmpeg -stream_loop 999 -i small.mp4 -c copy long.mp4`.
#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used, clippy::cast_precision_loss)]

use limn::video::{Index, Reader, RgbConverter};
use limn::watch::Quiet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

/// Resident memory in MiB now and at its largest so far; `None` where there is no `/proc`.
fn memory() -> Option<(f64, f64)> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let of = |name: &str| -> Option<f64> {
        let line = status.lines().find(|l| l.starts_with(name))?;
        Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0)
    };
    Some((of("VmRSS:")?, of("VmHWM:")?))
}

fn say(what: &str, since: Instant) {
    let seconds = since.elapsed().as_secs_f64();
    match memory() {
        Some((now, peak)) => {
            println!("{what:<28} {seconds:7.2} s   now {now:7.1} MiB   peak {peak:7.1} MiB");
        }
        None => println!("{what:<28} {seconds:7.2} s"),
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|a| !a.starts_with("--"));
    let Some(path) = arguments.next().map(PathBuf::from) else {
        println!("skipped: no video named (cargo bench --bench index_memory -- VIDEO [FRAMES])");
        return;
    };
    let most = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(usize::MAX);
    say("start", Instant::now());
    let begun = Instant::now();
    let index = Arc::new(Index::open(&path, &Quiet::default()).unwrap());
    say(&format!("index of {} frames", index.len()), begun);
    let begun = Instant::now();
    let mut reader = Reader::with_index(Arc::clone(&index)).unwrap();
    say("reader", begun);
    let mut converter = RgbConverter::new();
    let mut rgb = vec![0; index.width() * index.height() * 3];
    let (begun, mut read, mut missing) = (Instant::now(), 0, 0);
    while let Some(step) = reader.next_raw().unwrap() {
        missing +=
            usize::from(step.picture.and_then(|raw| converter.convert(&raw, &index, &mut rgb)).is_err());
        read += 1;
        if read >= most {
            break;
        }
    }
    say(&format!("{read} frames read"), begun);
    println!("{:.0} frames per second, {missing} missing", read as f64 / begun.elapsed().as_secs_f64());
}
