use crate::draw::{self, Style};
use crate::error::{Error, Kind, Result};
use crate::picture::Picture;
use crate::pose::{Keypoint, Tracks};
use crate::video::{Reader, Writer};
use crate::watch::Watch;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;

/// Frames that wait between decoding, drawing and encoding.
const AHEAD: usize = 8;

/// How a labelled video looks.
#[derive(Debug, Clone)]
pub struct VideoStyle {
    /// Dots, colours, cut-off.
    pub marks: Style,
    /// So many past frames are drawn as a trail; 0 for none.
    pub trail: usize,
    /// Whether to write the body parts in their colours into the corner.
    pub legend: bool,
}

/// A labelled video that was written.
#[derive(Debug, Clone, Serialize)]
pub struct Rendered {
    /// The file.
    pub path: PathBuf,
    /// Its codec.
    pub codec: String,
    /// Its frames.
    pub frames: usize,
}

/// Draws tracks over their video: every frame at its own time, those that cannot be decoded as the one before.
///
/// # Errors
/// [`Kind::Usage`] when tracks and video differ in length; when the video cannot be read or written.
pub fn render_video(
    video: &Path,
    tracks: &Tracks,
    style: &VideoStyle,
    out: &Path,
    watch: &dyn Watch,
) -> Result<Rendered> {
    let mut reader = Reader::open(video, watch)?;
    let index = reader.shared_index();
    if index.len() != tracks.frames() {
        return Err(Error::new(
            Kind::Usage,
            format!("the tracks have {} rows and the video {} frames", tracks.frames(), index.len()),
        )
        .at(video.display())
        .mend("analyze this very video again with `limn analyze --force`"));
    }
    let mut writer = Writer::create(out, index.width(), index.height(), index.fps())?;
    let name = video.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    watch.begin(&format!("render {name}"), Some(index.len() as u64));
    let result = std::thread::scope(|scope| {
        let (send, receive) = sync_channel::<(usize, Picture)>(AHEAD);
        let encoder = scope.spawn(move || -> Result<Writer> {
            for (frame, picture) in receive {
                writer.write_at(&picture, index.time(frame).unwrap_or(0.0))?;
            }
            Ok(writer)
        });
        let mut picture = Picture::new(reader.index().width(), reader.index().height());
        let drawn = (|| {
            while let Some(step) = reader.next_into(&mut picture)? {
                watch.check()?;
                let mut frame = picture.clone();
                draw_frame(&mut frame, tracks, step.frame, style);
                if send.send((step.frame, frame)).is_err() {
                    break; // the encoder failed and says why
                }
                watch.advance(1);
            }
            Ok(())
        })();
        drop(send);
        let writer = encoder
            .join()
            .unwrap_or_else(|_| Err(Error::new(Kind::Video, "the encoding thread ended unexpectedly")));
        drawn.and(writer)
    });
    watch.end();
    let written = result?.finish()?;
    if let Some(note) = &written.note {
        watch.note(note);
    }
    Ok(Rendered { path: written.path, codec: written.codec, frames: written.frames })
}

fn draw_frame(picture: &mut Picture, tracks: &Tracks, frame: usize, style: &VideoStyle) {
    let row = |f: usize| -> Vec<Option<(Keypoint, f64)>> {
        (0..tracks.skeleton.points()).map(|p| tracks.get(f, p)).collect()
    };
    if style.trail > 0 {
        let past: Vec<_> = (frame.saturating_sub(style.trail)..=frame).map(row).collect();
        let past: Vec<&[_]> = past.iter().map(Vec::as_slice).collect();
        draw::trail(picture, &tracks.skeleton, &past, &style.marks);
    }
    draw::points(picture, &tracks.skeleton, &row(frame), &style.marks);
    if style.legend {
        draw::legend(picture, &tracks.skeleton, &style.marks);
    }
}
