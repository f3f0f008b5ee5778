//! Turns an image about its centre.

/// Turns `side × side × 3` values clockwise by `degrees`, bilinear between pixels; pixels from beyond the
/// edge are those at the edge.
///
/// # Panics
/// If `pixels` has another length.
pub fn rotate(pixels: &mut [f32], side: usize, degrees: f32) {
    assert_eq!(pixels.len(), side * side * 3);
    let source = pixels.to_vec();
    let (sin, cos) = degrees.to_radians().sin_cos();
    let centre = (side as f32 - 1.0) / 2.0;
    let last = side as f32 - 1.0;
    for (index, out) in pixels.chunks_exact_mut(3).enumerate() {
        let dx = (index % side) as f32 - centre;
        let dy = (index / side) as f32 - centre;
        let x = (centre + cos * dx + sin * dy).clamp(0.0, last);
        let y = (centre - sin * dx + cos * dy).clamp(0.0, last);
        let (left, top) = (x as usize, y as usize);
        let (right, bottom) = ((left + 1).min(side - 1), (top + 1).min(side - 1));
        let (fx, fy) = (x - left as f32, y - top as f32);
        for (channel, value) in out.iter_mut().enumerate() {
            let at = |row: usize, column: usize| source[(row * side + column) * 3 + channel];
            let above = at(top, left) + fx * (at(top, right) - at(top, left));
            let below = at(bottom, left) + fx * (at(bottom, right) - at(bottom, left));
            *value = above + fy * (below - above);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIDE: usize = 8;

    fn picture() -> Vec<f32> {
        (0..SIDE * SIDE * 3).map(|i| (i * i % 97) as f32).collect()
    }

    #[test]
    fn a_quarter_turn_moves_pixels_exactly() {
        let before = picture();
        let mut after = before.clone();
        rotate(&mut after, SIDE, 90.0);
        for (y, x, channel) in (0..SIDE * SIDE * 3).map(|i| (i / 3 / SIDE, i / 3 % SIDE, i % 3)) {
            let to = (y * SIDE + x) * 3 + channel;
            let from = ((SIDE - 1 - x) * SIDE + y) * 3 + channel;
            assert!((after[to] - before[from]).abs() < 1e-2, "{x} {y}");
        }
    }

    #[test]
    fn flat_images_and_no_turn_change_nothing() {
        let flat = vec![0.25; SIDE * SIDE * 3];
        let mut turned = flat.clone();
        rotate(&mut turned, SIDE, 13.0);
        assert!(turned.iter().all(|v| (v - 0.25).abs() < 1e-6));
        let mut still = picture();
        rotate(&mut still, SIDE, 0.0);
        assert_eq!(still, picture());
    }
}
