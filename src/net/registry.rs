use crate::error::{Error, Kind as ErrorKind, Result};
use serde::Deserialize;
use std::sync::OnceLock;

/// One backbone of `models/registry.yaml`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its name in limn and DeepLabCut, such as `resnet_50`.
    pub net: String,
    /// What it is good for, in a few words.
    pub about: String,
    /// The name of its weight file.
    pub file: String,
    /// Where the file can be downloaded.
    #[serde(default)]
    pub url: Option<String>,
    /// The package that holds the file, when it cannot be downloaded alone.
    #[serde(default)]
    pub package: Option<String>,
    /// SHA-256 of the file in hexadecimal, at least the first eight digits.
    pub sha256: String,
    /// The licence of the weights.
    pub licence: String,
    /// Subtracted from each of R, G, B in 0..1.
    pub mean: [f64; 3],
    /// Divides each of R, G, B then.
    pub std: [f64; 3],
    /// Channels of the maps at strides 4, 8, 16 and 32.
    pub channels: [i64; 4],
    /// How many numbers it learns, without the classifier.
    pub parameters: usize,
}

/// All backbones limn knows.
///
/// # Errors
/// Never in a released program: the list is part of it.
pub fn registry() -> Result<&'static [Entry]> {
    static ENTRIES: OnceLock<std::result::Result<Vec<Entry>, String>> = OnceLock::new();
    ENTRIES
        .get_or_init(|| {
            serde_yaml::from_str(include_str!("../../models/registry.yaml")).map_err(|e| e.to_string())
        })
        .as_deref()
        .map_err(|e| Error::new(ErrorKind::Config, format!("the list of networks is damaged: {e}")))
}

impl Entry {
    /// The backbone of this name.
    ///
    /// # Errors
    /// [`crate::Kind::Usage`] when limn knows none.
    pub fn find(net: &str) -> Result<&'static Self> {
        let all = registry()?;
        all.iter().find(|e| e.net == net).ok_or_else(|| {
            let known: Vec<_> = all.iter().map(|e| e.net.as_str()).collect();
            Error::new(ErrorKind::Usage, format!("`{net}` is no network limn knows"))
                .mend(format!("use one of {}", known.join(", ")))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{Backbone, Device, Params};

    #[test]
    fn entries_tell_the_truth_about_the_networks() {
        for e in registry().unwrap() {
            let mut params = Params::new(Device::Cpu);
            let net = Backbone::new(&mut params, &e.net, 32, None).unwrap();
            let expected: Vec<_> = [4, 8, 16, 32].into_iter().zip(e.channels).collect();
            assert_eq!(net.maps(), expected, "{}", e.net);
            assert_eq!(params.learnt_numbers(), e.parameters, "{}", e.net);
            assert!(e.url.is_some() != e.package.is_some(), "{}", e.net);
            assert!(!e.about.is_empty());
            assert!(e.file.contains(&e.sha256[..8]), "{}", e.net);
        }
        assert!(Entry::find("resnet_51").unwrap_err().how_to_mend().unwrap().contains("resnet_50"));
    }
}
