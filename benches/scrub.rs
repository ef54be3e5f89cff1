//! How long a person waits for a frame: 100 random jumps and 300 single steps in a long video, straight from the
//! reader and through the window's frame server, before its viewing copy is there ("cold") and after ("warm").
//!
//! `cargo bench --bench scrub -- VIDEO...`; without a video it makes one of 1920 x 1080 and 250-frame groups.

#![allow(clippy::print_stdout)] // it reports

use limn::video::{FrameServer, Options, Reader, ServerOptions, State, Writer};
use limn::watch::Quiet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let given: Vec<PathBuf> =
        std::env::args().skip(1).filter(|a| !a.starts_with('-')).map(PathBuf::from).collect();
    let scratch = tempfile::tempdir()?;
    let videos = if given.is_empty() { vec![made(scratch.path())?] } else { given };
    for video in videos {
        println!("{}", video.display());
        reader(&video)?;
        server(&video, scratch.path())?;
    }
    Ok(())
}

/// Sensor noise over moving blobs: what costs a decoder time.
fn made(folder: &Path) -> Result<PathBuf, limn::Error> {
    let path = folder.join("made.mp4");
    let options = Options { keyframe_every: Some(250), quality: 22, ..Options::default() };
    let mut writer = Writer::create_with(&path, 1920, 1080, 30.0, &options)?;
    let mut picture = limn::picture::Picture::new(1920, 1080);
    let mut state = 1_u64;
    for n in 0..500_usize {
        let (mx, my) = (n * 7 % 1800, n * 3 % 1000);
        for (i, pixel) in picture.rgb_mut().chunks_exact_mut(3).enumerate() {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let (x, y) = (i % 1920, i / 1920);
            let near = x.abs_diff(mx) < 90 && y.abs_diff(my) < 60;
            let level = if near { 60 } else { 150 + ((x / 40 + y / 40) % 2 * 20) as u8 };
            pixel.fill(level + (state % 12) as u8);
        }
        writer.write(&picture)?;
    }
    writer.finish()?;
    Ok(path)
}

/// The same 100 places every time.
fn places(frames: usize) -> impl Iterator<Item = usize> {
    (0..100_u64).scan(0x9e37_79b9_u64, move |state, _| {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Some((*state >> 33) as usize % frames)
    })
}

fn said(what: &str, mut times: Vec<f64>) {
    times.sort_by(f64::total_cmp);
    let at = |q: f64| times[((times.len() - 1) as f64 * q) as usize];
    println!("  {what:<44} median {:7.1} ms  95 % {:7.1} ms  worst {:7.1} ms", at(0.5), at(0.95), at(1.0));
}

fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

fn reader(video: &Path) -> Result<(), limn::Error> {
    let begun = Instant::now();
    let mut reader = Reader::open(video, &Quiet::default())?;
    println!("  indexed in {:.0} ms: {:?}", ms(begun), reader.index());
    let mut picture = limn::picture::Picture::new(reader.index().width(), reader.index().height());
    let frames = reader.index().len();
    let mut times = Vec::new();
    for n in places(frames) {
        let begun = Instant::now();
        reader.frame_into(n, &mut picture)?;
        times.push(ms(begun));
    }
    said("reader, jump", times);
    reader.frame_into(frames / 4, &mut picture)?;
    let mut times = Vec::new();
    for n in 0..300.min(frames / 2) {
        let begun = Instant::now();
        reader.frame_into(frames / 4 + 1 + n, &mut picture)?;
        times.push(ms(begun));
    }
    said("reader, next", times);
    Ok(())
}

type Image = Vec<[u8; 4]>;

fn server(video: &Path, scratch: &Path) -> Result<(), limn::Error> {
    let make = |p: &limn::picture::Picture| -> Image {
        p.rgb().chunks_exact(3).map(|c| [c[0], c[1], c[2], 255]).collect()
    };
    let options = ServerOptions {
        memory_bytes: 512 << 20,
        copies: Some(scratch.join("copies")),
        ..ServerOptions::default()
    };
    let server = FrameServer::open_with(video, options.clone(), make, Arc::new(|| ()));
    let index = ready(&server)?;
    measured(&server, index.len(), "cold");
    let begun = Instant::now();
    while !server.copy().is_settled() {
        std::thread::sleep(Duration::from_millis(20));
    }
    println!("  viewing copy: {:?} after {:.1} s more", server.copy(), begun.elapsed().as_secs_f64());
    drop(server);
    let server = FrameServer::open_with(video, options, make, Arc::new(|| ()));
    ready(&server)?;
    std::thread::sleep(Duration::from_millis(300));
    measured(&server, index.len(), "warm");
    Ok(())
}

fn ready(server: &FrameServer<Image>) -> Result<Arc<limn::video::Index>, limn::Error> {
    loop {
        match server.state() {
            State::Ready(index) => return Ok(index),
            State::Failed(e) => {
                return Err(limn::Error::new(e.kind(), e.to_string()));
            }
            State::Opening { .. } => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

/// Waits until the frame is there, exact or not; milliseconds.
fn wait(server: &FrameServer<Image>, n: usize, exact: bool) -> f64 {
    let begun = Instant::now();
    server.want(n);
    while server.get(n).is_none_or(|s| exact && !s.exact) {
        std::thread::sleep(Duration::from_micros(200));
    }
    ms(begun)
}

fn measured(server: &FrameServer<Image>, frames: usize, name: &str) {
    let (mut shown, mut exact) = (Vec::new(), Vec::new());
    for n in places(frames) {
        let first = wait(server, n, false);
        shown.push(first);
        exact.push(first + wait(server, n, true));
        std::thread::sleep(Duration::from_millis(30));
    }
    said(&format!("server {name}, jump: shown"), shown);
    said(&format!("server {name}, jump: exact"), exact);
    // As fast as the screen shows them, like a key held down.
    wait(server, frames / 4, true);
    std::thread::sleep(Duration::from_millis(400));
    let mut times = Vec::new();
    for n in 0..300.min(frames / 2) {
        times.push(wait(server, frames / 4 + 1 + n, true));
        std::thread::sleep(Duration::from_secs_f64(1.0 / 30.0));
    }
    said(&format!("server {name}, next at 30 a second: exact"), times);
    let mut times = Vec::new();
    for n in 0..60.min(frames / 2) {
        times.push(wait(server, frames / 2 - 1 - n, false));
        std::thread::sleep(Duration::from_secs_f64(1.0 / 30.0));
    }
    said(&format!("server {name}, back at 30 a second: shown"), times);
}
