//! Numbers, times and names as people read them, the same on every screen.
//!
//! ```
//! use limn::gui::widgets::words::{count, counted, lasting};
//! assert_eq!(count(2330), "2,330");
//! assert_eq!(counted(1, "frame"), "1 frame");
//! assert_eq!(lasting(130.0), "2 min 10 s");
//! ```

use crate::pose::PointName;
use std::path::Path;
use std::time::SystemTime;

/// A count: 2330 is `2,330`.
#[must_use]
pub fn count(n: usize) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(c);
    }
    text
}

/// `1 frame`, `12 frames`, of a word whose plural ends in s.
#[must_use]
pub fn counted(n: usize, what: &str) -> String {
    format!("{} {what}{}", count(n), if n == 1 { "" } else { "s" })
}

/// How long work takes, from seconds: `1 h 5 min`, `2 min 10 s`, `8 s`.
#[must_use]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // seconds of work
pub fn lasting(seconds: f64) -> String {
    let s = seconds.max(0.0) as u64;
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{} min {} s", s / 60, s % 60),
        _ => format!("{} h {} min", s / 3600, s / 60 % 60),
    }
}

/// How much longer, when that is known: `2 min 10 s left`.
#[must_use]
pub fn left(seconds: Option<f64>) -> Option<String> {
    seconds.filter(|s| s.is_finite() && *s < 1e7).map(|s| format!("{} left", lasting(s)))
}

/// A place in a video, from seconds, to the millisecond: `1:02:03.040`.
#[must_use]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // times of videos
pub fn clock(seconds: f64) -> String {
    let ms = (seconds.max(0.0) * 1000.0).round() as u64;
    let (h, m, s, ms) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000);
    if h > 0 { format!("{h}:{m:02}:{s:02}.{ms:03}") } else { format!("{m}:{s:02}.{ms:03}") }
}

/// A place in a video, from seconds, where there is little room: `1:02:03`, `2:03.5`, `3.50 s`.
#[must_use]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // times of videos
pub fn clock_brief(seconds: f64) -> String {
    let whole = seconds.max(0.0) as u64;
    match whole {
        0..60 => format!("{seconds:.2} s"),
        60..3600 => format!("{}:{:04.1}", whole / 60, seconds - (whole / 60 * 60) as f64),
        _ => format!("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60),
    }
}

fn in_zone(time: SystemTime, form: &str) -> Option<String> {
    let time = jiff::Timestamp::try_from(time).ok()?;
    Some(time.to_zoned(jiff::tz::TimeZone::system()).strftime(form).to_string())
}

/// A time of day in the user's zone: `13:05:40`.
#[must_use]
pub fn time_of_day(time: SystemTime) -> String {
    in_zone(time, "%H:%M:%S").unwrap_or_default()
}

/// A day and its time in the user's zone: `2026-01-31 13:05`.
#[must_use]
pub fn date(time: SystemTime) -> String {
    in_zone(time, "%Y-%m-%d %H:%M").unwrap_or_default()
}

/// A point's name: the body part, with its individual where there are several.
#[must_use]
pub fn point_title(name: PointName<'_>) -> String {
    if name.individual.is_empty() {
        name.bodypart.to_owned()
    } else {
        format!("{} {}", name.individual, name.bodypart)
    }
}

/// A path's last part.
#[must_use]
pub fn file_name(path: &Path) -> String {
    path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}

/// A long name without its middle.
#[must_use]
pub fn brief(name: &str) -> String {
    const MOST: usize = 46;
    let letters: Vec<char> = name.chars().collect();
    if letters.len() <= MOST {
        return name.to_owned();
    }
    let (head, tail) = (&letters[..MOST / 2], &letters[letters.len() - MOST / 2..]);
    head.iter().chain(&['…']).chain(tail).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped() {
        assert_eq!([7, 999, 1000, 2330, 1_234_567].map(count), ["7", "999", "1,000", "2,330", "1,234,567"]);
        assert_eq!([counted(1, "video"), counted(1200, "video")], ["1 video", "1,200 videos"]);
    }

    #[test]
    fn times() {
        assert_eq!(
            [0.0, 61.5, 3723.0404, -1.0].map(clock),
            ["0:00.000", "1:01.500", "1:02:03.040", "0:00.000"]
        );
        assert_eq!([3.5, 123.5, 3723.0].map(clock_brief), ["3.50 s", "2:03.5", "1:02:03"]);
        assert_eq!([8.9, 130.0, 3900.0, -5.0].map(lasting), ["8 s", "2 min 10 s", "1 h 5 min", "0 s"]);
        assert_eq!(left(Some(f64::INFINITY)), None);
        assert_eq!(left(Some(61.0)).as_deref(), Some("1 min 1 s left"));
    }

    #[test]
    fn long_names_lose_their_middle() {
        assert_eq!(brief("m1"), "m1");
        let short = brief(&"x".repeat(100));
        assert_eq!(short.chars().count(), 47);
    }
}
