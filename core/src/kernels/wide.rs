//! The inner loops of [packed](super::packed) convolutions in plain Rust: the arithmetic of the
//! kernels in assembly, operation for operation.

use super::packed::START;
use crate::packing::SHIFT;

const MASK: i64 = (1 << SHIFT) - 1;

/// Adds the three coefficients of `sum` to three sums.
#[inline(always)]
fn part(sum: i64, sums: &mut [i32]) {
    let coefficients = [sum & MASK, (sum >> SHIFT) & MASK, sum >> (2 * SHIFT)];
    for (sum, coefficient) in sums.iter_mut().zip(coefficients) {
        *sum = sum.wrapping_add(coefficient as i32);
    }
}

#[inline(always)]
fn add(sum: &mut i64, a: i32, b: i32) {
    *sum = sum.wrapping_add(i64::from(a).wrapping_mul(b.into()));
}

/// Sums of four pixels, the one before them and the one after them, of a 3×3 window of stride 1.
///
/// After an odd run, only the uppermost coefficient might overflow in the next one: it is noted,
/// and what is added to it then is found as a difference.
#[inline(always)]
pub(crate) fn unit3(
    pixels: &[i32],
    weights: &[i32],
    starts: &[i32],
    sums: &mut [i32],
    run: usize,
    runs: usize,
) {
    let pixels = pixels.chunks_exact((2 * run).max(1)).take(runs);
    let mut starts = starts.chunks_exact(8);
    let mut all = [0i64; 2];
    let mut outer = [0i64; 2];
    let mut noted = [0i32; 2];
    for (index, (pixels, weights)) in pixels
        .zip(&mut weights.chunks_exact(run.max(1)))
        .enumerate()
    {
        if index % 2 == 0
            && let Some(&[a, b, c, d, e, f, g, h]) = starts.next()
        {
            let long = |low: i32, high: i32| (i64::from(high) << 32) | i64::from(low as u32);
            (all, outer) = ([long(a, b), long(c, d)], [long(e, f), long(g, h)]);
        }
        let (pixels, _) = pixels.as_chunks::<2>();
        for (pixels, &word) in pixels.iter().zip(weights) {
            let middle = i32::from((word >> 8) as i8);
            for ((all, outer), &pixel) in all.iter_mut().zip(&mut outer).zip(pixels) {
                add(all, pixel, word);
                add(outer, pixel, middle);
            }
        }
        if index % 2 == 0 {
            for ((noted, all), outer) in noted.iter_mut().zip(all).zip(outer) {
                let high = ((all >> 32) as i32).wrapping_sub(((outer >> 32) as i32) << 8);
                *noted = high >> 12;
            }
            continue;
        }
        for (pair, ((all, outer), noted)) in all.into_iter().zip(outer).zip(noted).enumerate() {
            let all = all.wrapping_sub(outer << 8);
            let more = ((all >> 32) as i32).wrapping_sub(noted << 12) >> 12;
            if let Some(sums) = sums.get_mut(2 * pair..) {
                part(all & ((1 << (2 * SHIFT)) - 1), sums);
            }
            let shares = [
                noted + more + (outer & MASK) as i32,
                (outer >> SHIFT) as i32,
            ];
            for (sum, share) in sums.iter_mut().skip(2 * pair + 2).zip(shares) {
                *sum = sum.wrapping_add(share);
            }
        }
    }
}

/// Sums of eight pixels and the one after them, of a 3×3 window of stride 2.
#[inline(always)]
pub(crate) fn halving3(pixels: &[i32], weights: &[i32], sums: &mut [i32], run: usize, runs: usize) {
    let pixels = pixels.chunks_exact((8 * run).max(1)).take(runs);
    for (pixels, weights) in pixels.zip(&mut weights.chunks_exact((2 * run).max(1))) {
        let (pixels, _) = pixels.as_chunks::<8>();
        let (weights, _) = weights.as_chunks::<2>();
        let mut all = [START; 4];
        for (pixels, &[pair, single]) in pixels.iter().zip(weights) {
            let (even, odd) = pixels.split_at(4);
            for (all, (&even, &odd)) in all.iter_mut().zip(even.iter().zip(odd)) {
                add(all, even, pair);
                add(all, odd, single);
            }
        }
        for (pair, all) in all.into_iter().enumerate() {
            part(all, sums.get_mut(2 * pair..).unwrap_or_default());
        }
    }
}

/// Sums of four pixels, the one before them and the one after them, of a 5×5 window of stride 2.
#[inline(always)]
pub(crate) fn halving5(pixels: &[i32], weights: &[i32], sums: &mut [i32], run: usize, runs: usize) {
    let pixels = pixels.chunks_exact((4 * run).max(1)).take(runs);
    for (pixels, weights) in pixels.zip(&mut weights.chunks_exact((3 * run).max(1))) {
        let (pixels, _) = pixels.as_chunks::<4>();
        let (weights, _) = weights.as_chunks::<3>();
        let mut outer = [START; 2];
        let mut inner = [START; 2];
        for (&[a, b, c, d], &[even, single, odd]) in pixels.iter().zip(weights) {
            for ((outer, inner), (e, o)) in outer.iter_mut().zip(&mut inner).zip([(a, c), (b, d)]) {
                add(outer, e, even);
                add(inner, e, single);
                add(inner, o, odd);
            }
        }
        for (pair, (outer, inner)) in outer.into_iter().zip(inner).enumerate() {
            part(outer, sums.get_mut(2 * pair..).unwrap_or_default());
            part(inner, sums.get_mut(2 * pair + 1..).unwrap_or_default());
        }
    }
}
