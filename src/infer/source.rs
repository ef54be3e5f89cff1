//! Where frames come from.

use crate::error::{Error, Kind, Result};

/// A frame, or why there is none.
#[derive(Debug)]
pub struct Given<R> {
    /// Its number: 0-based and dense, rising.
    pub frame: usize,
    /// What [`Source::write`] makes pixels of, or why the frame is missing.
    pub raw: std::result::Result<R, String>,
}

/// Gives frames in order. What it gives is made pixels elsewhere, on another thread, by its [`Paint`].
pub trait Source: Send {
    /// A frame as it is decoded.
    type Raw: Send;
    /// What makes pixels of it.
    type Paint: Paint<Self::Raw>;

    /// The next frame, `None` after the last. Where that may take long, it asks now and then whether it is still
    /// `wanted`.
    ///
    /// # Errors
    /// When the file cannot be read on; a frame that cannot be decoded is no error. [`Kind::Cancelled`] when it is not
    /// wanted any more.
    fn next(&mut self, wanted: &dyn Fn() -> bool) -> Result<Option<Given<Self::Raw>>>;

    /// The second stage, for another thread.
    fn paint(&self) -> Self::Paint;
}

/// Makes pixels of decoded frames.
pub trait Paint<R>: Send {
    /// Width and height of the picture this frame becomes.
    fn size(&self, raw: &R) -> (usize, usize);

    /// Writes the picture, row after row, R, G, B; or says why it cannot.
    ///
    /// # Errors
    /// The reason, in words.
    fn write(&mut self, raw: &R, rgb: &mut [u8]) -> std::result::Result<(), String>;
}

/// Frames of noise made beforehand, for measuring where there is no video: only numbers pass from stage to stage, and
/// the pixels are copied.
pub struct Synthetic {
    next: usize,
    frames: usize,
    size: (usize, usize),
}

impl Synthetic {
    /// `frames` frames of `width` x `height`.
    ///
    /// # Errors
    /// [`Kind::Usage`] for a picture without pixels.
    pub fn new(frames: usize, width: usize, height: usize) -> Result<Self> {
        if width * height == 0 {
            return Err(Error::new(Kind::Usage, "a picture of 0 pixels is none")
                .mend("give --width and --height above 0"));
        }
        Ok(Self { next: 0, frames, size: (width, height) })
    }
}

/// The pixels of [`Synthetic`] frames.
pub struct Noise {
    pixels: Vec<u8>,
    size: (usize, usize),
}

impl Source for Synthetic {
    type Raw = usize;
    type Paint = Noise;

    fn next(&mut self, _: &dyn Fn() -> bool) -> Result<Option<Given<usize>>> {
        let frame = self.next;
        self.next += 1;
        Ok((frame < self.frames).then_some(Given { frame, raw: Ok(frame) }))
    }

    fn paint(&self) -> Noise {
        use rand::{RngCore, SeedableRng};
        let mut pixels = vec![0; self.size.0 * self.size.1 * 3];
        rand_chacha::ChaCha8Rng::seed_from_u64(1).fill_bytes(&mut pixels);
        Noise { pixels, size: self.size }
    }
}

impl Paint<usize> for Noise {
    fn size(&self, _: &usize) -> (usize, usize) {
        self.size
    }

    fn write(&mut self, frame: &usize, rgb: &mut [u8]) -> std::result::Result<(), String> {
        // Another picture each time, so that nothing can be remembered.
        let turn = (frame * 97) % self.pixels.len().max(1);
        let (a, b) = self.pixels.split_at(turn);
        rgb[..b.len()].copy_from_slice(b);
        rgb[b.len()..].copy_from_slice(a);
        Ok(())
    }
}
