use super::head::to_i64;
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::picture::Picture;
use std::ops::Range;
use tch::{Device, Kind, Tensor};

/// Memory for a batch of frames of one size, as bytes, `[frame][row][column][R, G, B]`.
///
/// Decoders write straight into it and the network reads it from there. For a GPU it is page-locked, so that it crosses
/// without a detour; it is worth keeping and filling again.
#[derive(Debug)]
pub struct Frames {
    bytes: Tensor,
    room: usize,
    used: usize,
    width: usize,
    height: usize,
}

impl Frames {
    /// Room for `room` frames that will be computed on `device`.
    ///
    /// # Errors
    /// [`crate::Kind::Memory`] when memory is short.
    pub fn new(room: usize, width: usize, height: usize, device: Device) -> Result<Self> {
        let size = [room, height, width, 3].map(to_i64);
        let mut bytes = Tensor::f_zeros(size, (Kind::Uint8, Device::Cpu))?;
        if device.is_cuda() {
            bytes = bytes.f_pin_memory(device)?;
        }
        Ok(Self { bytes, room, used: 0, width, height })
    }

    /// One picture, copied.
    ///
    /// # Errors
    /// As [`Frames::new`].
    pub fn of(pictures: &[&Picture], device: Device) -> Result<Self> {
        let Some(first) = pictures.first() else {
            return Err(Error::new(ErrorKind::Usage, "there is no picture to look at"));
        };
        let mut frames = Self::new(pictures.len(), first.width(), first.height(), device)?;
        for picture in pictures {
            if (picture.width(), picture.height()) != (frames.width, frames.height) {
                return Err(Error::new(
                    ErrorKind::Usage,
                    format!("{picture:?} cannot go with {first:?} in one batch"),
                ));
            }
            if let Some(slot) = frames.push() {
                slot.copy_from_slice(picture.rgb());
            }
        }
        Ok(frames)
    }

    /// Pixels per row.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    #[must_use]
    pub fn height(&self) -> usize {
        self.height
    }

    /// Frames in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.used
    }

    /// Whether no frame is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// Forgets the frames and keeps the memory.
    pub fn clear(&mut self) {
        self.used = 0;
    }

    /// The bytes of one more frame, to be written; `None` when it is full.
    pub(crate) fn push(&mut self) -> Option<&mut [u8]> {
        if self.used == self.room {
            return None;
        }
        self.used += 1;
        self.slot(self.used - 1)
    }

    /// Takes the last frame away again.
    pub fn pop(&mut self) {
        self.used = self.used.saturating_sub(1);
    }

    #[allow(unsafe_code)] // libtorch gives its memory as a bare pointer
    fn slot(&mut self, index: usize) -> Option<&mut [u8]> {
        let length = self.width * self.height * 3;
        if index >= self.room {
            return None;
        }
        // SAFETY: a contiguous CPU tensor of room * length bytes, made above; shares of it are given out only for
        // reading by `some`, and those that a device may still be copying from are waited for before it comes back.
        Some(unsafe {
            std::slice::from_raw_parts_mut(self.bytes.data_ptr().cast::<u8>().add(index * length), length)
        })
    }

    /// Some of the frames in it, `[N, H, W, 3]`, sharing their memory.
    ///
    /// # Errors
    /// [`crate::Kind::Usage`] when there are not so many.
    pub(super) fn some(&self, which: Range<usize>) -> Result<Tensor> {
        if which.is_empty() || which.end > self.used {
            return Err(Error::new(ErrorKind::Usage, "there is no picture to look at"));
        }
        Ok(self.bytes.f_narrow(0, to_i64(which.start), to_i64(which.len()))?)
    }
}
