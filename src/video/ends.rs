//! Where a container says that its file ends.

use super::source::{Source, cut_mend};
use crate::error::{Error, Kind, Result};
use std::path::Path;

pub(super) fn cut_off(path: &Path, whole: usize, promised: usize) -> Error {
    Error::new(Kind::Video, format!("the file ends after frame {whole} of {promised}"))
        .at(path.display())
        .mend(cut_mend(path))
}

/// AVI and Matroska say at their start how long they are; FFmpeg reads what is there and says nothing. Gives the
/// error of a file that ends before. A number of frames in the header proves nothing: what is there counts.
pub(super) fn cut_short(source: &Source, bytes: u64, packets: usize) -> Result<Option<Error>> {
    let mut head = Vec::new();
    std::fs::File::open(source.path())
        .and_then(|f| std::io::Read::read_to_end(&mut std::io::Read::take(f, 4096), &mut head))
        .map_err(|e| Error::io("read the video", source.path(), e))?;
    let stated = usize::try_from(source.stated_frames()).unwrap_or(0);
    let format = source.format_name();
    if format == "avi" && packets < stated && riff_end(&head).is_some_and(|end| end > bytes) {
        return Ok(Some(cut_off(source.path(), packets, stated)));
    }
    if format.contains("matroska")
        && let Some(end) = matroska_end(&head)
        && end > bytes
    {
        let what = format!("the file ends after frame {packets}, at {bytes} of its {end} bytes");
        let cut = Error::new(Kind::Video, what).at(source.path().display()).mend(cut_mend(source.path()));
        return Ok(Some(cut));
    }
    Ok(None)
}

/// Where an AVI's outermost chunk ends; recorders that never came to fill it in leave 0 or the largest number.
fn riff_end(head: &[u8]) -> Option<u64> {
    let size = u32::from_le_bytes(head.get(4..8)?.try_into().ok()?);
    (head.starts_with(b"RIFF") && size != 0 && size != u32::MAX).then_some(u64::from(size) + 8)
}

/// Where a Matroska file's Segment ends (RFC 8794): after the EBML header stand the Segment's id and its size, whose
/// first byte's leading zeros tell how many bytes it has. All ones: never filled in.
fn matroska_end(head: &[u8]) -> Option<u64> {
    fn size(bytes: &[u8]) -> Option<(usize, Option<u64>)> {
        let first = *bytes.first()?;
        let length = first.leading_zeros() as usize + 1;
        let rest = bytes.get(1..length)?;
        let largest = (1_u64 << (7 * length)) - 1;
        let value = rest.iter().fold(u64::from(first), |n, b| (n << 8) | u64::from(*b)) & largest;
        (length <= 8).then_some((length, (value != largest).then_some(value)))
    }
    let after_id = head.strip_prefix(&[0x1a, 0x45, 0xdf, 0xa3])?;
    let (length, header) = size(after_id)?;
    let segment = 4 + length + usize::try_from(header?).ok()?;
    let after_id = head.get(segment..)?.strip_prefix(&[0x18, 0x53, 0x80, 0x67])?;
    let (length, body) = size(after_id)?;
    Some((segment + 4 + length) as u64 + body?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_a_container_states() {
        let ebml = [0x1a, 0x45, 0xdf, 0xa3, 0x81, 0, 0x18, 0x53, 0x80, 0x67];
        let with = |size: &[u8]| matroska_end(&[&ebml[..], size].concat());
        assert_eq!(with(&[0x85]), Some(11 + 5));
        assert_eq!(with(&[0x01, 0, 0, 0, 0, 0, 1, 2]), Some(18 + 258));
        assert_eq!(with(&[0xff]), None);
        assert_eq!(with(&[0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), None);
        assert_eq!(with(&[0x00]), None);
        assert_eq!(with(&[]), None);
        assert_eq!(riff_end(b"RIFF\x10\0\0\0AVI "), Some(24));
        assert_eq!(riff_end(b"RIFF\0\0\0\0"), None);
        assert_eq!(riff_end(b"RI"), None);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_break_it(bytes: Vec<u8>) {
            let _ = (matroska_end(&bytes), riff_end(&bytes));
            let mut head = vec![0x1a, 0x45, 0xdf, 0xa3];
            head.extend(bytes);
            let _ = matroska_end(&head);
        }
    }
}
