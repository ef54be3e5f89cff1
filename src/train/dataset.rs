use crate::error::{Error, Kind, Result};
use crate::picture::Picture;
use crate::pose::{FrameKey, Keypoint, LabeledFrame};
use crate::watch::Watch;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// Decoded pictures are kept in memory up to this many bytes; the rest are read again each time.
const CACHE_BYTES: usize = 2 << 30;

/// One labelled picture: where it lies and what was clicked in it.
#[derive(Debug, Clone)]
pub struct Example {
    /// Which picture.
    pub key: FrameKey,
    /// The picture's file.
    pub path: PathBuf,
    /// Labels in pixels of the picture, in the skeleton's point order.
    pub points: Vec<Option<Keypoint>>,
}

impl Example {
    /// An example from a labelled frame.
    #[must_use]
    pub fn new(key: FrameKey, path: PathBuf, frame: &LabeledFrame) -> Self {
        Self { key, path, points: frame.points.clone() }
    }
}

/// Labelled pictures, decoded once and kept while they fit in memory.
#[derive(Debug)]
pub struct Dataset {
    examples: Vec<Example>,
    cache: Vec<Option<Arc<Picture>>>,
}

impl Dataset {
    /// Decodes the pictures, in parallel, up to the memory bound.
    ///
    /// # Errors
    /// When a picture is gone or damaged: it is named.
    pub fn load(examples: Vec<Example>, watch: &dyn Watch) -> Result<Self> {
        if examples.is_empty() {
            return Err(Error::new(Kind::Labels, "there are no labelled frames to read")
                .mend("label some frames, then run `limn split`"));
        }
        let mut room = CACHE_BYTES;
        let keep = examples
            .iter()
            .map(|e| {
                let (w, h) = size_of(e)?;
                let bytes = w.saturating_mul(h).saturating_mul(3);
                let fits = bytes <= room;
                room -= if fits { bytes } else { 0 };
                Ok(fits)
            })
            .collect::<Result<Vec<_>>>()?;
        watch.begin("read frames", Some(examples.len() as u64));
        let read = examples
            .par_iter()
            .zip(&keep)
            .map(|(e, keep)| {
                watch.check()?;
                watch.advance(1);
                if *keep {
                    decode(e).map(|p| ((p.width(), p.height()), Some(Arc::new(p))))
                } else {
                    size_of(e).map(|size| (size, None))
                }
            })
            .collect::<Result<Vec<_>>>();
        watch.end();
        let (sizes, cache): (Vec<_>, _) = read?.into_iter().unzip();
        Ok(Self { examples: inside(examples, &sizes, watch)?, cache })
    }

    /// Pictures that are in memory already.
    #[must_use]
    pub fn of(examples: Vec<(Example, Picture)>) -> Self {
        let (examples, cache) = examples.into_iter().map(|(e, p)| (e, Some(Arc::new(p)))).unzip();
        Self { examples, cache }
    }

    /// How many pictures.
    #[must_use]
    pub fn len(&self) -> usize {
        self.examples.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.examples.is_empty()
    }

    /// All examples.
    #[must_use]
    pub fn examples(&self) -> &[Example] {
        &self.examples
    }

    /// One picture.
    ///
    /// # Errors
    /// When it has to be read again and is gone by now.
    pub fn picture(&self, index: usize) -> Result<Arc<Picture>> {
        if let Some(Some(p)) = self.cache.get(index) {
            return Ok(Arc::clone(p));
        }
        let example = self
            .examples
            .get(index)
            .ok_or_else(|| Error::new(Kind::Usage, format!("there is no example {index}")))?;
        decode(example).map(Arc::new)
    }

    /// Width and height of most pictures, in pixels; of several sizes equally usual the largest.
    #[must_use]
    pub fn usual_size(&self) -> (usize, usize) {
        let mut counts: BTreeMap<(usize, usize), usize> = BTreeMap::new();
        for (example, cached) in self.examples.iter().zip(&self.cache) {
            let size = cached.as_ref().map(|p| (p.width(), p.height())).or_else(|| size_of(example).ok());
            *counts.entry(size.unwrap_or_default()).or_default() += 1;
        }
        counts.into_iter().max_by_key(|(size, n)| (*n, size.0 * size.1)).map_or((0, 0), |(size, _)| size)
    }

    /// The 90th percentile of the animals' extent: the longer side of the box around a picture's labels, in pixels.
    #[must_use]
    pub fn animal_extent(&self) -> f64 {
        let mut extents: Vec<f64> = self.examples.iter().filter_map(|e| extent(&e.points)).collect();
        extents.sort_by(f64::total_cmp);
        extents.get(extents.len() * 9 / 10).copied().unwrap_or(0.0)
    }
}

/// Takes away the labels that do not lie inside their picture, as DeepLabCut does, and tells of them.
fn inside(mut examples: Vec<Example>, sizes: &[(usize, usize)], watch: &dyn Watch) -> Result<Vec<Example>> {
    let mut outside = 0;
    let mut first = None;
    for (e, &(w, h)) in examples.iter_mut().zip(sizes) {
        #[allow(clippy::cast_precision_loss)] // pixels
        let (w, h) = (w as f64, h as f64);
        for p in e.points.iter_mut().filter(|p| p.is_some_and(|p| !p.inside(w, h))) {
            *p = None;
            outside += 1;
            first.get_or_insert_with(|| e.key.to_string());
        }
    }
    let Some(first) = first else { return Ok(examples) };
    let mend = "see `limn check-labels`";
    if examples.iter().all(|e| e.points.iter().all(Option::is_none)) {
        return Err(Error::new(Kind::Labels, "no label lies inside its picture").at(first).mend(mend));
    }
    watch.warn(&format!(
        "{outside} labels lie outside their picture, the first in {first}; they are not used ({mend})"
    ));
    Ok(examples)
}

fn extent(points: &[Option<Keypoint>]) -> Option<f64> {
    let seen: Vec<Keypoint> = points.iter().flatten().copied().collect();
    let range = |of: fn(&Keypoint) -> f64| {
        let (low, high) =
            seen.iter().map(of).fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        high - low
    };
    (seen.len() > 1).then(|| range(|p| p.x).max(range(|p| p.y)))
}

fn decode(example: &Example) -> Result<Picture> {
    Picture::load(&example.path).map_err(gone)
}

fn size_of(example: &Example) -> Result<(usize, usize)> {
    Picture::size_of(&example.path).map_err(gone)
}

fn gone(e: Error) -> Error {
    if e.kind() != Kind::NotFound {
        return e;
    }
    Error::new(Kind::NotFound, "a labelled picture is gone")
        .at(e.place().unwrap_or_default())
        .mend("put the picture back, or remove its row from the labels, then run `limn check-labels`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::Quiet;

    #[test]
    fn a_missing_picture_is_named() {
        let example = Example {
            key: FrameKey::new("v", "img0.png"),
            path: "/nowhere/labeled-data/v/img0.png".into(),
            points: vec![],
        };
        let e = Dataset::load(vec![example], &Quiet::default()).unwrap_err();
        assert!(e.to_string().contains("img0.png"), "{e}");
        assert_eq!(Dataset::load(vec![], &Quiet::default()).unwrap_err().kind(), Kind::Labels);
    }

    #[test]
    fn extent_is_the_longer_side() {
        let p = |x, y| Some(Keypoint::new(x, y));
        assert_eq!(extent(&[p(1.0, 2.0), None, p(4.0, 10.0)]), Some(8.0));
        assert_eq!(extent(&[p(1.0, 2.0)]), None);
    }
}
