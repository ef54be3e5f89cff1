//! A symmetric system of equations whose blocks touch only their neighbours, as a sequence's do.

use nalgebra::{DMatrix, DVector};

/// The system: blocks on the diagonal, and those between each block and the next.
pub(super) struct Chain {
    pub diagonal: Vec<DMatrix<f64>>,
    pub upper: Vec<DMatrix<f64>>,
    pub right: Vec<DVector<f64>>,
}

/// Its block Cholesky factor.
pub(super) struct Factor {
    lower: Vec<DMatrix<f64>>,
    coupling: Vec<DMatrix<f64>>,
}

impl Chain {
    pub fn new(blocks: usize, size: usize) -> Self {
        Self {
            diagonal: vec![DMatrix::zeros(size, size); blocks],
            upper: vec![DMatrix::zeros(size, size); blocks.saturating_sub(1)],
            right: vec![DVector::zeros(size); blocks],
        }
    }

    pub fn clear(&mut self) {
        self.diagonal.iter_mut().chain(&mut self.upper).for_each(|m| m.fill(0.0));
        self.right.iter_mut().for_each(|v| v.fill(0.0));
    }

    /// Factorises it with the diagonal raised by the part `damping`; `None` where it is not positive definite. This is the
    /// forward pass of a Kalman filter in information form.
    pub fn factor(&self, damping: f64) -> Option<Factor> {
        let mut lower: Vec<DMatrix<f64>> = Vec::with_capacity(self.diagonal.len());
        let mut coupling: Vec<DMatrix<f64>> = Vec::with_capacity(self.upper.len());
        for (k, block) in self.diagonal.iter().enumerate() {
            let mut block = block.clone();
            for i in 0..block.nrows() {
                block[(i, i)] *= 1.0 + damping;
            }
            if let Some(before) = coupling.last() {
                block.gemm_tr(-1.0, before, before, 1.0);
            }
            let l = block.cholesky()?.unpack();
            if let Some(next) = self.upper.get(k) {
                let mut w = next.clone();
                l.solve_lower_triangular_mut(&mut w).then_some(())?;
                coupling.push(w);
            }
            lower.push(l);
        }
        Some(Factor { lower, coupling })
    }
}

impl Factor {
    /// The solution for this right side.
    pub fn solve(&self, right: &[DVector<f64>]) -> Option<Vec<DVector<f64>>> {
        let mut out: Vec<DVector<f64>> = right.to_vec();
        for k in 0..out.len() {
            if k > 0 {
                let (before, here) = out.split_at_mut(k);
                here.first_mut()?.gemv_tr(-1.0, self.coupling.get(k - 1)?, before.last()?, 1.0);
            }
            self.lower.get(k)?.solve_lower_triangular_mut(out.get_mut(k)?).then_some(())?;
        }
        for k in (0..out.len()).rev() {
            let (here, after) = out.split_at_mut(k + 1);
            if let (Some(w), Some(next)) = (self.coupling.get(k), after.first()) {
                here.last_mut()?.gemv(-1.0, w, next, 1.0);
            }
            self.lower.get(k)?.tr_solve_lower_triangular_mut(here.last_mut()?).then_some(())?;
        }
        Some(out)
    }

    /// The inverse's blocks on the diagonal: each block's covariance given all others (Rauch, Tung and Striebel 1965).
    pub fn covariances(&self) -> Option<Vec<DMatrix<f64>>> {
        let mut out: Vec<DMatrix<f64>> = Vec::with_capacity(self.lower.len());
        for k in (0..self.lower.len()).rev() {
            let l = self.lower.get(k)?;
            let mut root = DMatrix::identity(l.nrows(), l.nrows());
            l.solve_lower_triangular_mut(&mut root).then_some(())?;
            let mut own = root.tr_mul(&root);
            if let (Some(w), Some(next)) = (self.coupling.get(k), out.last()) {
                let mut gain = w.clone();
                l.tr_solve_lower_triangular_mut(&mut gain).then_some(())?;
                own += &gain * next * gain.transpose();
            }
            out.push(own);
        }
        out.reverse();
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_solves_and_inverts_as_the_full_matrix_does() {
        let (blocks, size) = (4, 3);
        let n = blocks * size;
        let mut chain = Chain::new(blocks, size);
        let mut full = DMatrix::<f64>::zeros(n, n);
        let value = |i: usize, j: usize| ((i * 7 + j * 3) % 5) as f64 - 2.0;
        for k in 0..blocks {
            let root = DMatrix::from_fn(size, size, |i, j| value(i + k, j));
            chain.diagonal[k] = &root * root.transpose() + DMatrix::identity(size, size) * 9.0;
            full.view_mut((k * size, k * size), (size, size)).copy_from(&chain.diagonal[k]);
            chain.right[k] = DVector::from_fn(size, |i, _| value(i, k));
            if k + 1 < blocks {
                chain.upper[k] = DMatrix::from_fn(size, size, |i, j| value(i, j + k));
                full.view_mut((k * size, (k + 1) * size), (size, size)).copy_from(&chain.upper[k]);
                let t = chain.upper[k].transpose();
                full.view_mut(((k + 1) * size, k * size), (size, size)).copy_from(&t);
            }
        }
        let inverse = full.try_inverse().unwrap();
        let right = DVector::from_iterator(n, chain.right.iter().flat_map(|v| v.iter().copied()));
        let want = &inverse * right;
        let factor = chain.factor(0.0).unwrap();
        let got = factor.solve(&chain.right).unwrap();
        for (k, covariance) in factor.covariances().unwrap().iter().enumerate() {
            assert!((want.rows(k * size, size) - &got[k]).norm() < 1e-12);
            assert!((inverse.view((k * size, k * size), (size, size)) - covariance).norm() < 1e-12);
        }
        chain.diagonal[2][(1, 1)] = -50.0;
        assert!(chain.factor(0.0).is_none());
    }
}
