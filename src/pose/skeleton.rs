/// The body parts of a project, whom they belong to, and how they are joined.
///
/// A frame has one *point* for each pair of individual and body part, then one for each unique body part. That order
/// (individuals, then body parts within each, then unique body parts) is the order of columns in every file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Skeleton {
    /// Names of the individuals; one unnamed slot (`""`) in a single-animal project.
    pub individuals: Vec<String>,
    /// Names of the body parts every individual has.
    pub bodyparts: Vec<String>,
    /// Body parts that exist once per frame (DeepLabCut's `uniquebodyparts`).
    pub unique_bodyparts: Vec<String>,
    /// Pairs of body parts joined by a line, by name.
    pub edges: Vec<[String; 2]>,
    /// Whether files carry the `individuals` level (DeepLabCut's `multianimalproject`).
    pub multi_animal: bool,
}

/// The names of one point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PointName<'a> {
    /// The individual; `""` in a single-animal project, `"single"` for a unique body part.
    pub individual: &'a str,
    /// The body part.
    pub bodypart: &'a str,
}

impl Skeleton {
    /// One animal with these body parts and no edges.
    pub fn single<S: Into<String>>(bodyparts: impl IntoIterator<Item = S>) -> Self {
        Self {
            individuals: vec![String::new()],
            bodyparts: bodyparts.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }

    /// How many points a frame has.
    #[must_use]
    pub fn points(&self) -> usize {
        self.individuals.len() * self.bodyparts.len() + self.unique_bodyparts.len()
    }

    /// The names of point `index`, when there is such a point.
    #[must_use]
    pub fn point(&self, index: usize) -> Option<PointName<'_>> {
        let per = self.bodyparts.len();
        let many = self.individuals.len() * per;
        if index < many {
            Some(PointName {
                individual: &self.individuals[index / per],
                bodypart: &self.bodyparts[index % per],
            })
        } else {
            let bodypart = self.unique_bodyparts.get(index - many)?;
            Some(PointName { individual: "single", bodypart })
        }
    }

    /// All points in column order.
    pub fn names(&self) -> impl Iterator<Item = PointName<'_>> {
        (0..self.points()).filter_map(|i| self.point(i))
    }

    /// The index of a point by its names.
    #[must_use]
    pub fn index_of(&self, name: PointName<'_>) -> Option<usize> {
        self.names().position(|n| n == name)
    }

    /// Edges as pairs of body-part indices; edges to unknown parts are left out.
    #[must_use]
    pub fn edge_indices(&self) -> Vec<[usize; 2]> {
        let find = |name: &String| self.bodyparts.iter().position(|b| b == name);
        self.edges.iter().filter_map(|[a, b]| Some([find(a)?, find(b)?])).collect()
    }

    /// Pairs of body parts that swap when the image is mirrored, found by their names: `left`/`right`, or `l`/`r` as
    /// a word of its own at either end (`leftear`/`rightear`, `ear_L`/`ear_R`, `L-paw`/`R-paw`).
    #[must_use]
    pub fn mirror_pairs(&self) -> Vec<[usize; 2]> {
        let mut pairs = Vec::new();
        for (i, left) in self.bodyparts.iter().enumerate() {
            if let Some(j) = mirror_names(left)
                .into_iter()
                .find_map(|right| self.bodyparts.iter().position(|b| b.eq_ignore_ascii_case(&right)))
            {
                pairs.push([i, j]);
            }
        }
        pairs
    }
}

/// Possible names of the right-hand counterpart of a left-hand body part; none when it is not one.
fn mirror_names(left: &str) -> Vec<String> {
    let low = left.to_ascii_lowercase();
    let mut names = Vec::new();
    if let Some(at) = low.find("left") {
        names.push(format!("{}right{}", &low[..at], &low[at + 4..]));
    }
    let separator = |c: char| matches!(c, '_' | '-' | ' ' | '.');
    if let Some(rest) = low.strip_prefix('l').filter(|r| r.starts_with(separator)) {
        names.push(format!("r{rest}"));
    }
    if let Some(rest) = low.strip_suffix('l').filter(|r| r.ends_with(separator)) {
        names.push(format!("{rest}r"));
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirror_pairs_come_from_names() {
        let s = Skeleton::single([
            "snout", "leftear", "rightear", "paw_L", "Paw_R", "tail", "l-hip", "r-hip", "left",
        ]);
        assert_eq!(s.mirror_pairs(), vec![[1, 2], [3, 4], [6, 7]]);
    }

    #[test]
    fn points_are_individuals_by_parts_then_unique() {
        let s = Skeleton {
            individuals: vec!["m1".into(), "m2".into()],
            bodyparts: vec!["a".into(), "b".into()],
            unique_bodyparts: vec!["corner".into()],
            edges: vec![],
            multi_animal: true,
        };
        let names: Vec<_> = s.names().map(|n| format!("{}/{}", n.individual, n.bodypart)).collect();
        assert_eq!(names, ["m1/a", "m1/b", "m2/a", "m2/b", "single/corner"]);
        assert!(s.point(5).is_none());
        for (i, n) in s.names().enumerate() {
            assert_eq!(s.index_of(n), Some(i));
        }
    }
}
