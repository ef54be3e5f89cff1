//! How a stream is coded, kept when its file is closed, and decoders for it.
#![allow(unsafe_code)] // the door to FFmpeg: what ffmpeg-next does not wrap is called here

use crate::error::{Error, Kind, Result};
use ff::ffi;
use ffmpeg_next as ff;
use std::path::Path;
use std::sync::Arc;

/// How a stream is coded.
#[derive(Clone)]
pub(super) struct Coding {
    parameters: Arc<Parameters>,
    time_base: ff::Rational,
}

struct Parameters(ff::codec::Parameters);

// SAFETY: they are our own copy, which is only read from the moment it is made.
unsafe impl Sync for Parameters {}

impl Coding {
    /// Copies what a stream says.
    pub fn new(parameters: &ff::codec::Parameters, time_base: ff::Rational) -> Self {
        Self { parameters: Arc::new(Parameters(parameters.clone())), time_base }
    }

    pub fn codec_id(&self) -> ff::codec::Id {
        self.parameters.0.id()
    }

    /// Seconds per tick of the stream's timestamps, as a fraction (above, below).
    pub fn tick(&self) -> (f64, f64) {
        (f64::from(self.time_base.numerator()), f64::from(self.time_base.denominator().max(1)))
    }

    /// Whether the codec says of every picture if others lean on it, so that skipping those on which none does
    /// changes no other: H.264's `nal_ref_idc` (ITU-T H.264, 7.4.1). Of interlaced pictures only one half may say so.
    pub fn marks_unreferenced(&self) -> bool {
        // SAFETY: reads a value of parameters that live as long as this.
        let order = unsafe { (*self.parameters.0.as_ptr()).field_order };
        self.codec_id() == ff::codec::Id::H264
            && matches!(order, ffi::AVFieldOrder::AV_FIELD_PROGRESSIVE | ffi::AVFieldOrder::AV_FIELD_UNKNOWN)
    }

    /// A decoder on the CPU; `threads` 0 lets FFmpeg choose by the machine. `path` is for errors.
    pub fn software(&self, threads: usize, path: &Path) -> Result<ff::decoder::Video> {
        self.context(threads).and_then(ff::codec::decoder::Decoder::video).map_err(|e| self.failed(e, path))
    }

    fn context(&self, threads: usize) -> std::result::Result<ff::codec::decoder::Decoder, ff::Error> {
        let mut context = ff::codec::Context::new();
        // SAFETY: the context is ours and not opened yet; the parameters are copied; both fields are plain numbers
        // meant to be set here.
        unsafe {
            let code = ffi::avcodec_parameters_to_context(context.as_mut_ptr(), self.parameters.0.as_ptr());
            if code < 0 {
                return Err(ff::Error::from(code));
            }
            (*context.as_mut_ptr()).thread_count = i32::try_from(threads).unwrap_or(0);
            (*context.as_mut_ptr()).thread_type = ffi::FF_THREAD_FRAME | ffi::FF_THREAD_SLICE;
        }
        let mut decoder = context.decoder();
        decoder.set_packet_time_base(self.time_base);
        decoder.check(ff::codec::decoder::Check::CRC);
        Ok(decoder)
    }

    fn failed(&self, e: ff::Error, path: &Path) -> Error {
        let mend = match e {
            ff::Error::DecoderNotFound => {
                "install an FFmpeg with this codec, or convert it: ffmpeg -i IN -c:v libx264 OUT.mp4"
            }
            _ => "convert it: ffmpeg -i IN -c:v libx264 OUT.mp4",
        };
        Error::new(Kind::Video, format!("cannot decode {}: {e}", self.codec_id().name()))
            .at(path.display())
            .mend(mend)
    }
}
