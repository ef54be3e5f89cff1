//! What several screens use.

pub mod canvas;
pub mod curves;
pub mod player;
pub mod traces;

/// A count as people read it: 2330 is `2,330`.
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

#[cfg(test)]
mod tests {
    #[test]
    fn counts_are_grouped() {
        assert_eq!(
            [7, 999, 1000, 2330, 1_234_567].map(super::count),
            ["7", "999", "1,000", "2,330", "1,234,567"]
        );
    }
}
