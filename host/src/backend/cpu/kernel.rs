//! The micro-kernel under every convolution: a tile of sums of products in registers, written once
//! and compiled for each instruction set; which of them runs is decided when the program does.

use std::sync::LazyLock;

/// Columns of the right factor that lie beside each other: the width of a panel.
pub const PANEL: usize = 32;

/// Sums of products of two strided arrays,
///
/// ```text
/// out[g][r][c] = Σ s, t  a[g][r][s][t] · b[g][s][t][c]
/// ```
///
/// Every index has a stride of its own, so one form serves windows that overlap, on either side, and
/// sums that run over pixels.
#[derive(Clone, Copy, Debug)]
pub struct Contraction {
    /// Values of g.
    pub groups: usize,
    /// Values of r.
    pub rows: usize,
    /// Values of c.
    pub columns: usize,
    /// Values of s.
    pub segments: usize,
    /// Values of t.
    pub terms: usize,
    /// Strides of `a`.
    pub a: Left,
    /// Strides of `b`.
    pub b: Right,
    /// Strides of `out`.
    pub out: Out,
}

/// Strides of the left factor.
#[derive(Clone, Copy, Debug)]
pub struct Left {
    /// Of g.
    pub group: usize,
    /// Of r.
    pub row: usize,
    /// Of s.
    pub segment: usize,
    /// Of t.
    pub term: usize,
}

/// Strides of the right factor, whose columns lie in panels of [`PANEL`].
#[derive(Clone, Copy, Debug)]
pub struct Right {
    /// Of g.
    pub group: usize,
    /// Of s.
    pub segment: usize,
    /// Of t.
    pub term: usize,
    /// From one panel to the next.
    pub panel: usize,
}

/// Strides of the sums, whose columns lie beside each other.
#[derive(Clone, Copy, Debug)]
pub struct Out {
    /// Of g.
    pub group: usize,
    /// Of r.
    pub row: usize,
}

impl Contraction {
    /// The product of two matrices, of so many `[rows, terms, columns]`, whose rows lie one after the
    /// other. Strides are those of `[row, term]` of `a`, and of `[term, panel]` of `b`.
    pub fn matrices(
        [rows, terms, columns]: [usize; 3],
        [row, a_term]: [usize; 2],
        [b_term, panel]: [usize; 2],
    ) -> Self {
        Self {
            groups: 1,
            rows,
            columns,
            segments: 1,
            terms,
            a: Left {
                group: 0,
                row,
                segment: 0,
                term: a_term,
            },
            b: Right {
                group: 0,
                segment: 0,
                term: b_term,
                panel,
            },
            out: Out {
                group: 0,
                row: columns,
            },
        }
    }

    /// The same with the factors exchanged, `out[g][c][r]`, where all columns of `b` lie beside each
    /// other, and so do the rows of `a`.
    pub fn exchanged(&self) -> Self {
        debug_assert!(self.a.row == 1 && self.b.panel == PANEL);
        Self {
            rows: self.columns,
            columns: self.rows,
            a: Left {
                group: self.b.group,
                row: 1,
                segment: self.b.segment,
                term: self.b.term,
            },
            b: Right {
                group: self.a.group,
                segment: self.a.segment,
                term: self.a.term,
                panel: PANEL,
            },
            out: Out {
                group: self.rows * self.columns,
                row: self.rows,
            },
            ..*self
        }
    }

    /// `out = Σ a · b`.
    pub fn set(&self, out: &mut [f32], a: &[f32], b: &[f32]) {
        self.run(*KERNELS, out, a, b, false);
    }

    /// `out += Σ a · b`.
    pub fn add(&self, out: &mut [f32], a: &[f32], b: &[f32]) {
        self.run(*KERNELS, out, a, b, true);
    }

    fn run(&self, kernels: Kernels, out: &mut [f32], a: &[f32], b: &[f32], add: bool) {
        if self.groups == 0 || self.rows == 0 || self.columns == 0 {
            return;
        }
        self.check(out.len(), a.len(), b.len());
        let blocks = self.rows.div_ceil(kernels.rows);
        for column in (0..self.columns).step_by(kernels.columns) {
            let (panel, within) = (column / PANEL, column % PANEL);
            for group in 0..self.groups {
                for block in 0..blocks {
                    // Blocks of about one size: none is left with a row or two.
                    let row = self.rows * block / blocks;
                    let rows = self.rows * (block + 1) / blocks - row;
                    let a_start = group * self.a.group + row * self.a.row;
                    let b_start = group * self.b.group + panel * self.b.panel + within;
                    let out_start = group * self.out.group + row * self.out.row + column;
                    let tile = Tile {
                        a: a.as_ptr().wrapping_add(a_start),
                        b: b.as_ptr().wrapping_add(b_start),
                        out: out.as_mut_ptr().wrapping_add(out_start),
                        columns: kernels.columns.min(self.columns - column),
                        add,
                        strides: self,
                    };
                    let kernel = kernels.table[rows - 1][usize::from(tile.columns > kernels.lanes)];
                    // SAFETY: the table holds kernels that this processor runs, `check` has
                    // bounded every index of the three slices, and `out` is borrowed alone.
                    unsafe { kernel(&tile) };
                }
            }
        }
    }

    /// Panics unless every index lies within the slices.
    fn check(&self, out: usize, a: usize, b: usize) {
        let Self {
            groups,
            rows,
            columns,
            segments,
            terms,
            ..
        } = *self;
        let out_end = (groups - 1) * self.out.group + (rows - 1) * self.out.row + columns;
        assert!(out_end <= out, "sums end at {out_end} of {out}");
        if segments * terms == 0 {
            return;
        }
        let a_last = (groups - 1) * self.a.group
            + (rows - 1) * self.a.row
            + (segments - 1) * self.a.segment
            + (terms - 1) * self.a.term;
        assert!(a_last < a, "the left factor ends at {a_last} of {a}");
        // The columns of the last panel, or of the whole one before it, end last.
        let panel_end = |panel: usize| {
            (groups - 1) * self.b.group
                + panel * self.b.panel
                + (segments - 1) * self.b.segment
                + (terms - 1) * self.b.term
                + PANEL.min(columns - panel * PANEL)
        };
        let last = (columns - 1) / PANEL;
        let b_end = panel_end(last).max(panel_end(last.saturating_sub(1)));
        assert!(b_end <= b, "the right factor ends at {b_end} of {b}");
    }
}

/// A tile of the sums, and where its factors begin.
struct Tile<'a> {
    a: *const f32,
    b: *const f32,
    out: *mut f32,
    columns: usize,
    add: bool,
    strides: &'a Contraction,
}

type Kernel = unsafe fn(&Tile<'_>);

/// The most rows of a tile on any instruction set.
const ROWS: usize = 14;

/// The kernels of an instruction set.
#[derive(Clone, Copy)]
struct Kernels {
    /// Columns of a vector.
    lanes: usize,
    /// The most columns of a tile: two vectors.
    columns: usize,
    /// The most rows of a tile.
    rows: usize,
    /// By rows less one, and vectors less one.
    table: &'static [[Kernel; 2]],
}

/// The best kernels that this processor runs.
static KERNELS: LazyLock<Kernels> = LazyLock::new(|| all()[0]);

/// All that this processor runs, the best first.
fn all() -> Vec<Kernels> {
    let mut all = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            all.push(x86::AVX512);
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            all.push(x86::AVX2);
        }
    }
    all.push(PORTABLE);
    all
}

/// A vector of an instruction set.
///
/// # Safety
///
/// Its functions run only where the processor has the instruction set. Pointers are good for the
/// lanes that are read or written; with a mask, for the lanes it holds.
trait Vector: Copy {
    const LANES: usize;
    type Mask: Copy;
    unsafe fn zero() -> Self;
    unsafe fn mask(lanes: usize) -> Self::Mask;
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn load_some(from: *const f32, mask: Self::Mask) -> Self;
    unsafe fn store(self, to: *mut f32);
    unsafe fn store_some(self, to: *mut f32, mask: Self::Mask);
    /// `x · b + self` in every lane.
    unsafe fn multiply_add(self, x: f32, b: Self) -> Self;
    unsafe fn add(self, other: Self) -> Self;
}

/// One tile of `R` rows and up to `V` vectors of columns.
///
/// # Safety
///
/// The processor has `T`'s instruction set, and the tile lies within its three arrays.
#[inline(always)]
unsafe fn tile<T: Vector, const R: usize, const V: usize>(tile: &Tile<'_>) {
    let Contraction {
        segments,
        terms,
        a: left,
        b: right,
        out: strides,
        ..
    } = *tile.strides;
    // SAFETY: the caller's promises are those of `Vector`; a tile's last vector is masked.
    unsafe {
        let mask = T::mask(tile.columns - (V - 1) * T::LANES);
        let mut sums = [[T::zero(); V]; R];
        for segment in 0..segments {
            let mut a = tile.a.wrapping_add(segment * left.segment);
            let mut b = tile.b.wrapping_add(segment * right.segment);
            for _ in 0..terms {
                let mut columns = [T::zero(); V];
                for (v, columns) in columns.iter_mut().enumerate() {
                    let from = b.wrapping_add(v * T::LANES);
                    *columns = if v + 1 < V {
                        T::load(from)
                    } else {
                        T::load_some(from, mask)
                    };
                }
                for (r, sums) in sums.iter_mut().enumerate() {
                    let x = *a.wrapping_add(r * left.row);
                    for (sum, columns) in sums.iter_mut().zip(columns) {
                        *sum = sum.multiply_add(x, columns);
                    }
                }
                a = a.wrapping_add(left.term);
                b = b.wrapping_add(right.term);
            }
        }
        for (r, sums) in sums.into_iter().enumerate() {
            for (v, sum) in sums.into_iter().enumerate() {
                let to = tile.out.wrapping_add(r * strides.row + v * T::LANES);
                if v + 1 < V {
                    let sum = if tile.add { sum.add(T::load(to)) } else { sum };
                    sum.store(to);
                } else {
                    let sum = if tile.add {
                        sum.add(T::load_some(to, mask))
                    } else {
                        sum
                    };
                    sum.store_some(to, mask);
                }
            }
        }
    }
}

/// A function's instances by rows less one and vectors less one.
macro_rules! table {
    ($kernel:ident: $($rows:literal)+) => {
        &[$([$kernel::<$rows, 1> as Kernel, $kernel::<$rows, 2>]),+]
    };
}

/// Four lanes in plain code.
#[derive(Clone, Copy)]
struct Lanes([f32; 4]);

const PORTABLE: Kernels = Kernels {
    lanes: Lanes::LANES,
    columns: 2 * Lanes::LANES,
    rows: 4,
    table: table!(portable: 1 2 3 4),
};

/// # Safety
///
/// As [`tile`].
unsafe fn portable<const R: usize, const V: usize>(tile: &Tile<'_>) {
    // SAFETY: the caller's.
    unsafe { self::tile::<Lanes, R, V>(tile) }
}

impl Vector for Lanes {
    const LANES: usize = 4;
    type Mask = usize;

    #[inline(always)]
    unsafe fn zero() -> Self {
        Self([0.0; 4])
    }

    #[inline(always)]
    unsafe fn mask(lanes: usize) -> usize {
        lanes
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: four values may be read.
        Self(unsafe { from.cast::<[f32; 4]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn load_some(from: *const f32, mask: usize) -> Self {
        if mask == Self::LANES {
            // SAFETY: the mask holds all lanes.
            return unsafe { Self::load(from) };
        }
        let mut lanes = [0.0; 4];
        for (lane, value) in lanes.iter_mut().enumerate().take(mask) {
            // SAFETY: the mask holds this lane.
            *value = unsafe { *from.add(lane) };
        }
        Self(lanes)
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: four values may be written.
        unsafe { to.cast::<[f32; 4]>().write_unaligned(self.0) };
    }

    #[inline(always)]
    unsafe fn store_some(self, to: *mut f32, mask: usize) {
        for (lane, value) in self.0.into_iter().enumerate().take(mask) {
            // SAFETY: the mask holds this lane.
            unsafe { *to.add(lane) = value };
        }
    }

    #[inline(always)]
    unsafe fn multiply_add(self, x: f32, b: Self) -> Self {
        // Without the instruction, a fused multiply-add would be a call of a function.
        let fused = cfg!(any(target_arch = "aarch64", target_feature = "fma"));
        let lane = |lane: usize| match fused {
            true => x.mul_add(b.0[lane], self.0[lane]),
            false => x * b.0[lane] + self.0[lane],
        };
        Self([lane(0), lane(1), lane(2), lane(3)])
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        Self(std::array::from_fn(|lane| self.0[lane] + other.0[lane]))
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Kernel, Kernels, ROWS, Tile, Vector, tile};

    pub const AVX512: Kernels = Kernels {
        lanes: 16,
        columns: 32,
        rows: ROWS,
        table: table!(avx512: 1 2 3 4 5 6 7 8 9 10 11 12 13 14),
    };

    pub const AVX2: Kernels = Kernels {
        lanes: 8,
        columns: 16,
        rows: 6,
        table: table!(avx2: 1 2 3 4 5 6),
    };

    /// # Safety
    ///
    /// As [`tile`].
    #[target_feature(enable = "avx512f")]
    unsafe fn avx512<const R: usize, const V: usize>(tile: &Tile<'_>) {
        // SAFETY: the caller's.
        unsafe { self::tile::<__m512, R, V>(tile) }
    }

    /// # Safety
    ///
    /// As [`tile`].
    #[target_feature(enable = "avx2,fma")]
    unsafe fn avx2<const R: usize, const V: usize>(tile: &Tile<'_>) {
        // SAFETY: the caller's.
        unsafe { self::tile::<__m256, R, V>(tile) }
    }

    // SAFETY of both: the instruction set and the pointers are the callers' promises.
    impl Vector for __m512 {
        const LANES: usize = 16;
        type Mask = __mmask16;

        #[inline(always)]
        unsafe fn zero() -> Self {
            // SAFETY: see above.
            unsafe { _mm512_setzero_ps() }
        }

        #[inline(always)]
        unsafe fn mask(lanes: usize) -> __mmask16 {
            u16::MAX >> (16 - lanes)
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: see above.
            unsafe { _mm512_loadu_ps(from) }
        }

        #[inline(always)]
        unsafe fn load_some(from: *const f32, mask: __mmask16) -> Self {
            // SAFETY: see above.
            unsafe { _mm512_maskz_loadu_ps(mask, from) }
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: see above.
            unsafe { _mm512_storeu_ps(to, self) }
        }

        #[inline(always)]
        unsafe fn store_some(self, to: *mut f32, mask: __mmask16) {
            // SAFETY: see above.
            unsafe { _mm512_mask_storeu_ps(to, mask, self) }
        }

        #[inline(always)]
        unsafe fn multiply_add(self, x: f32, b: Self) -> Self {
            // SAFETY: see above.
            unsafe { _mm512_fmadd_ps(_mm512_set1_ps(x), b, self) }
        }

        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            // SAFETY: see above.
            unsafe { _mm512_add_ps(self, other) }
        }
    }

    impl Vector for __m256 {
        const LANES: usize = 8;
        type Mask = __m256i;

        #[inline(always)]
        unsafe fn zero() -> Self {
            // SAFETY: see above.
            unsafe { _mm256_setzero_ps() }
        }

        #[inline(always)]
        unsafe fn mask(lanes: usize) -> __m256i {
            // SAFETY: see above.
            unsafe {
                let index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
                _mm256_cmpgt_epi32(_mm256_set1_epi32(lanes as i32), index)
            }
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: see above.
            unsafe { _mm256_loadu_ps(from) }
        }

        #[inline(always)]
        unsafe fn load_some(from: *const f32, mask: __m256i) -> Self {
            // SAFETY: see above.
            unsafe { _mm256_maskload_ps(from, mask) }
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: see above.
            unsafe { _mm256_storeu_ps(to, self) }
        }

        #[inline(always)]
        unsafe fn store_some(self, to: *mut f32, mask: __m256i) {
            // SAFETY: see above.
            unsafe { _mm256_maskstore_ps(to, mask, self) }
        }

        #[inline(always)]
        unsafe fn multiply_add(self, x: f32, b: Self) -> Self {
            // SAFETY: see above.
            unsafe { _mm256_fmadd_ps(_mm256_set1_ps(x), b, self) }
        }

        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            // SAFETY: see above.
            unsafe { _mm256_add_ps(self, other) }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The sums as they are defined.
    fn reference(product: &Contraction, out: &mut [f32], a: &[f32], b: &[f32]) {
        for g in 0..product.groups {
            for r in 0..product.rows {
                for c in 0..product.columns {
                    let mut sum = 0.0f64;
                    for s in 0..product.segments {
                        for t in 0..product.terms {
                            let a = a[g * product.a.group
                                + r * product.a.row
                                + s * product.a.segment
                                + t * product.a.term];
                            let b = b[g * product.b.group
                                + c / PANEL * product.b.panel
                                + s * product.b.segment
                                + t * product.b.term
                                + c % PANEL];
                            sum += f64::from(a) * f64::from(b);
                        }
                    }
                    out[g * product.out.group + r * product.out.row + c] += sum as f32;
                }
            }
        }
    }

    fn pattern(len: usize, factor: f64) -> Vec<f32> {
        (0..len)
            .map(|i| ((i as f64 * factor).fract() * 2.0 - 1.0) as f32)
            .collect()
    }

    proptest! {
        #[test]
        fn every_instruction_set_agrees_with_plain_loops(
            (groups, rows, columns) in (1usize..4, 1usize..40, 1usize..100),
            (segments, terms) in (0usize..4, 0usize..20),
            (group, row, segment, term) in (0usize..50, 0usize..30, 0usize..40, 1usize..10),
            gap in 0usize..5,
            (panels, b_group) in (any::<bool>(), 0usize..50),
        ) {
            let b_term = if panels { PANEL } else { columns + gap };
            let b = Right {
                group: b_group,
                segment: terms * b_term + gap,
                term: b_term,
                panel: if panels { segments * (terms * PANEL + gap) } else { PANEL },
            };
            let out = Out { row: columns + gap, group: rows * (columns + gap) };
            let a = Left { group, row, segment, term };
            let product = Contraction { groups, rows, columns, segments, terms, a, b, out };
            // Both factors are no longer than need be: what reads beyond them would panic.
            let a_len = (groups - 1) * group + (rows - 1) * row
                + segments.saturating_sub(1) * segment + terms.saturating_sub(1) * term + 1;
            let last_panel = (columns - 1) / PANEL;
            let b_end = |panel: usize| {
                (groups - 1) * b.group
                    + panel * b.panel
                    + segments.saturating_sub(1) * b.segment
                    + terms.saturating_sub(1) * b.term
                    + PANEL.min(columns - panel * PANEL)
            };
            let b_len = b_end(last_panel).max(b_end(last_panel.saturating_sub(1)));
            let (a, b) = (pattern(a_len, 0.618_034), pattern(b_len, 0.414_214));
            let before = pattern(groups * out.group, 0.732_051);
            let mut expected = before.clone();
            reference(&product, &mut expected, &a, &b);
            for kernels in all() {
                let mut found = before.clone();
                product.run(kernels, &mut found, &a, &b, true);
                for (found, expected) in found.iter().zip(&expected) {
                    prop_assert!((found - expected).abs() < 1e-4, "{found}, not {expected}");
                }
                let mut set = before.clone();
                product.run(kernels, &mut set, &a, &b, false);
                for (i, (set, found)) in set.iter().zip(&found).enumerate() {
                    let column = i % out.row;
                    let expected = if column < columns { found - before[i] } else { before[i] };
                    prop_assert!((set - expected).abs() < 1e-5, "{set}, not {expected}");
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "the left factor ends at 12 of 12")]
    fn a_short_factor_is_refused() {
        let product = Contraction::matrices([4, 4, 1], [3, 1], [1, 0]);
        product.set(&mut [0.0; 4], &[0.0; 12], &[0.0; 4]);
    }
}
