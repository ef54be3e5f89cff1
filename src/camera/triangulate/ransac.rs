use super::Observation;
use super::point::{Found, Sight, Views, bits};

impl Views {
    /// The point on which most cameras agree (Fischler and Bolles 1981), and which those are: [`Found::used`].
    ///
    /// Every pair of cameras proposes a point, so that the result does not depend on chance. Cameras agree that saw it within
    /// `threshold` pixels of where it would be seen; the point with most of them is taken, of equals the one with the least
    /// error, and fitted to them all.
    ///
    /// `agree`: how many must. By default three where four cameras or more saw something, else two. Two cameras agree by chance
    /// once in fifty times or so, as a wrong observation then lies near the other's epipolar line by chance; of three
    /// cameras, two that agree are taken only where no other two agree as well. With two cameras there is nothing to choose: they
    /// agree or there is no point.
    ///
    /// `None` also where [`Views::dlt`] has none.
    #[must_use]
    pub fn ransac(
        &self,
        seen: &[Option<Observation>],
        threshold: f64,
        agree: Option<usize>,
    ) -> Option<Found> {
        let mut sights = Vec::with_capacity(seen.len());
        let all = self.sights(seen, &mut sights);
        self.agreed(&sights, all, threshold, agree)
    }

    pub(super) fn agreed(
        &self,
        sights: &[Option<Sight>],
        all: u64,
        threshold: f64,
        agree: Option<usize>,
    ) -> Option<Found> {
        let count = all.count_ones();
        let needed = agree.map_or(if count >= 4 { 3 } else { 2 }, |n| n.clamp(2, super::MOST_CAMERAS) as u32);
        (count >= needed).then_some(())?;
        // Where all agree there is nothing better.
        if let Some(found) = self.fit(sights, all)
            && self.within(sights, &found.at, threshold).0 == all
        {
            return Some(found);
        }
        if count == 2 {
            return None;
        }
        let (mut best, mut least, mut pairs) = (0_u64, f64::INFINITY, 0);
        for a in bits(all) {
            for b in bits(all).filter(|b| *b > a) {
                let pair = 1 << a | 1 << b;
                let Some(at) = self.linear(sights, pair, 1) else { continue };
                let (mask, squares) = self.within(sights, &at, threshold);
                if mask & pair != pair {
                    continue;
                }
                pairs += usize::from(mask == pair);
                let more = mask.count_ones().cmp(&best.count_ones());
                if more.is_gt() || (more.is_eq() && squares < least) {
                    (best, least) = (mask, squares);
                }
            }
        }
        // Two that agree are as good as any other two.
        (best.count_ones() > 2 || pairs == 1).then_some(())?;
        for _ in 0..4 {
            let found = self.fit(sights, best)?;
            let (now, _) = self.within(sights, &found.at, threshold);
            if now == best {
                return (best.count_ones() >= needed).then_some(found);
            }
            (now.count_ones() >= needed).then_some(())?;
            best = now;
        }
        let found = self.fit(sights, best)?;
        (best.count_ones() >= needed).then_some(found)
    }
}
