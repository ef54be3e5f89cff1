//! How a stream is coded, kept when its file is closed, and decoders for it: on the CPU, or on a device that FFmpeg
//! knows to use.
#![allow(unsafe_code)] // the door to FFmpeg: what ffmpeg-next does not wrap is called here

use crate::error::{Error, Kind, Result};
use ff::ffi;
use ffmpeg_next as ff;
use std::path::Path;
use std::sync::Arc;

/// What decodes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Hardware {
    /// The CPU: the same pixels on every machine.
    #[default]
    Off,
    /// The first device that can be opened and decodes this video; where there is none, the CPU. Devices round colours
    /// otherwise than the CPU where they convert them (4:2:0 comes as NV12), by a level or so.
    Auto,
    /// This kind of device, by FFmpeg's name for it (`cuda`, `vaapi`, `videotoolbox`, `d3d11va`, `qsv`, `vulkan`), and
    /// an error where it cannot be had.
    Named(String),
}

/// How a [`super::Reader`] decodes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReaderOptions {
    /// Threads of the decoder on the CPU; 0 lets FFmpeg choose, which takes all processors (16 at most).
    pub threads: usize,
    /// What decodes.
    pub hardware: Hardware,
}

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

    /// A decoder as `options` say. `works` tries one that uses a device, and leaves it at its start.
    ///
    /// # Errors
    /// [`Kind::Device`] when the device named cannot be had, or [`Kind::Video`] when nothing decodes this.
    pub fn decoder(
        &self,
        options: &ReaderOptions,
        path: &Path,
        works: &mut dyn FnMut(&mut Decoder) -> std::result::Result<(), String>,
    ) -> Result<Decoder> {
        let mut tried = |kind| {
            let mut decoder = self.hardware(kind)?;
            works(&mut decoder).map(|()| decoder)
        };
        match &options.hardware {
            Hardware::Off => {}
            Hardware::Auto => {
                for kind in kinds() {
                    match tried(kind) {
                        Ok(decoder) => return Ok(decoder),
                        Err(why) => tracing::debug!("not decoded by {}: {why}", kind_name(kind)),
                    }
                }
            }
            Hardware::Named(name) => {
                let known = kinds();
                let kind = known.iter().find(|k| kind_name(**k) == *name);
                return kind.map_or_else(|| Err("this FFmpeg was built without it".to_owned()), |k| tried(*k)).map_err(
                    |why| {
                        let all: Vec<_> = known.iter().map(|k| kind_name(*k)).collect();
                        let all = if all.is_empty() { "none".to_owned() } else { all.join(", ") };
                        Error::new(Kind::Device, format!("`{name}` cannot decode this video: {why}"))
                            .at(path.display())
                            .mend(format!(
                                "decode on the CPU (`off`), or with what is there (`auto`); this FFmpeg knows: {all}"
                            ))
                    },
                );
            }
        }
        Ok(Decoder { open: self.software(options.threads, path)?, device: None })
    }

    /// A decoder that gives its frames in a device's memory.
    fn hardware(&self, kind: ffi::AVHWDeviceType) -> std::result::Result<Decoder, String> {
        let name = self.codec_id().name();
        let (codec, format) =
            self.codec_for(kind).ok_or_else(|| format!("FFmpeg has no decoder of {name} that uses it"))?;
        let mut decoder = self.context(1).map_err(|e| e.to_string())?;
        // SAFETY: the device is made into a null pointer of ours; on success its one reference goes to the context,
        // which gives it back when it is dropped. The context is not opened yet.
        unsafe {
            let mut device = std::ptr::null_mut();
            let code =
                ffi::av_hwdevice_ctx_create(&raw mut device, kind, std::ptr::null(), std::ptr::null_mut(), 0);
            if code < 0 {
                return Err(format!("the device cannot be opened: {}", ff::Error::from(code)));
            }
            // With a device and no callback of ours, FFmpeg's own choice of the format is this device's, and the
            // CPU's where the device cannot do this stream.
            (*decoder.as_mut_ptr()).hw_device_ctx = device;
        }
        let open = decoder.open_as(codec).and_then(ff::codec::decoder::Opened::video);
        let open = open.map_err(|e| format!("its decoder cannot be opened: {e}"))?;
        Ok(Decoder { open, device: Some(Device { name: kind_name(kind), format }) })
    }

    /// The first decoder of this codec that uses such a device, and its pixel format there.
    fn codec_for(&self, kind: ffi::AVHWDeviceType) -> Option<(ff::Codec, i32)> {
        let wanted: ffi::AVCodecID = self.codec_id().into();
        let mut place = std::ptr::null_mut();
        // SAFETY: walks FFmpeg's static tables of codecs and of their configurations; each ends in null.
        unsafe {
            loop {
                let codec = ffi::av_codec_iterate(&raw mut place);
                if codec.is_null() {
                    return None;
                }
                if (*codec).id != wanted || ffi::av_codec_is_decoder(codec) == 0 {
                    continue;
                }
                for i in 0.. {
                    let Some(config) = ffi::avcodec_get_hw_config(codec, i).as_ref() else { break };
                    let by_device = ffi::AV_CODEC_HW_CONFIG_METHOD_HW_DEVICE_CTX as i32;
                    if config.device_type == kind && config.methods & by_device != 0 {
                        return Some((ff::Codec::wrap(codec.cast_mut()), config.pix_fmt as i32));
                    }
                }
            }
        }
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
            // With several threads its decoder sometimes hands out a damaged picture before it has marked it as such.
            if (*context.as_mut_ptr()).codec_id == ffi::AVCodecID::AV_CODEC_ID_MPEG4 {
                (*context.as_mut_ptr()).thread_count = 1;
            }
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

/// An opened decoder.
pub(super) struct Decoder {
    pub open: ff::decoder::Video,
    device: Option<Device>,
}

struct Device {
    name: String,
    /// FFmpeg's number of the pixel format that stands for frames in the device's memory.
    format: i32,
}

impl Decoder {
    /// Whether a device decodes.
    pub fn is_hardware(&self) -> bool {
        self.device.is_some()
    }

    /// Whether a frame lies in the device's memory.
    pub fn is_there(&self, frame: &ff::frame::Video) -> bool {
        // SAFETY: reads a number of a frame that is alive.
        self.device.as_ref().is_some_and(|d| d.format == unsafe { (*frame.as_ptr()).format })
    }

    /// Copies a frame from the device's memory; one that is in ours comes back as it is.
    pub fn fetched(&self, frame: ff::frame::Video) -> std::result::Result<ff::frame::Video, ff::Error> {
        if !self.is_there(&frame) {
            return Ok(frame);
        }
        let mut copy = ff::frame::Video::empty();
        // SAFETY: both frames are alive; an empty one gets memory and format of its own, then the time, the colour
        // matrix and the marks of damage of the other.
        let code = unsafe {
            match ffi::av_hwframe_transfer_data(copy.as_mut_ptr(), frame.as_ptr(), 0) {
                0.. => ffi::av_frame_copy_props(copy.as_mut_ptr(), frame.as_ptr()),
                code => code,
            }
        };
        if code < 0 { Err(ff::Error::from(code)) } else { Ok(copy) }
    }

    /// What decodes, in words.
    pub fn words(&self) -> String {
        match &self.device {
            Some(device) => device.name.clone(),
            None => match self.open.threading().count {
                0 | 1 => "software, 1 thread".to_owned(),
                n => format!("software, {n} threads"),
            },
        }
    }
}

/// The kinds of device FFmpeg was built for, those first that decode fastest and are least often there by name only.
fn kinds() -> Vec<ffi::AVHWDeviceType> {
    const FIRST: [&str; 5] = ["cuda", "videotoolbox", "d3d11va", "vaapi", "qsv"];
    let none = ffi::AVHWDeviceType::AV_HWDEVICE_TYPE_NONE;
    // SAFETY: walks a static table.
    let next = |kind| Some(unsafe { ffi::av_hwdevice_iterate_types(kind) }).filter(|k| *k != none);
    let mut all: Vec<_> = std::iter::successors(next(none), |kind| next(*kind)).collect();
    all.sort_by_key(|kind| FIRST.iter().position(|f| *f == kind_name(*kind)).unwrap_or(FIRST.len()));
    all
}

fn kind_name(kind: ffi::AVHWDeviceType) -> String {
    // SAFETY: its names are static.
    super::text(unsafe { ffi::av_hwdevice_get_type_name(kind) })
}

/// The kinds of device FFmpeg was built for, by its names.
pub(super) fn hardware_names() -> Vec<String> {
    kinds().into_iter().map(kind_name).collect()
}
