//! Patterns of two colours.

/// The pattern on an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Texture {
    Checked,
    Dotted,
    Striped,
}

impl Texture {
    /// All textures, by name.
    pub const ALL: [Self; 3] = [Self::Checked, Self::Dotted, Self::Striped];

    pub fn name(self) -> &'static str {
        match self {
            Self::Checked => "checked",
            Self::Dotted => "dotted",
            Self::Striped => "striped",
        }
    }

    /// Share of the second colour at a point, in units of the pattern's period; `pixel` is the
    /// width of a pixel in that unit, over which edges are smoothed. Every pattern is half of
    /// each colour, so that the mean colour does not give it away.
    pub fn at(self, x: f32, y: f32, pixel: f32) -> f32 {
        // From −½ at the edges of the unit cell to ½.
        let cell = |v: f32| v - v.floor() - 0.5;
        let smooth = |distance: f32| (0.5 - distance / pixel).clamp(0.0, 1.0);
        let stripe = |v: f32| smooth(cell(v).abs() - 0.25);
        match self {
            Self::Striped => stripe(x),
            Self::Checked => {
                let (a, b) = (stripe(x), stripe(y));
                a + b - 2.0 * a * b
            }
            // A radius of 1 / √(2π) makes the disc half the cell.
            Self::Dotted => smooth(cell(x).hypot(cell(y)) - 0.399),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_texture_is_half_of_each_colour() {
        const STEPS: usize = 200;
        for texture in Texture::ALL {
            let mut sum = 0.0;
            for y in 0..STEPS {
                for x in 0..STEPS {
                    let at = |i: usize| (i as f32 + 0.5) / STEPS as f32;
                    sum += texture.at(at(x), at(y), 0.1);
                }
            }
            let mean = sum / (STEPS * STEPS) as f32;
            assert!((mean - 0.5).abs() < 0.02, "{texture:?}: {mean}");
        }
    }
}
