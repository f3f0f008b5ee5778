//! Outlines, as signed distances.

/// The outline of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Cross,
    Disc,
    Square,
    Triangle,
}

impl Shape {
    /// All shapes, by name.
    pub const ALL: [Self; 4] = [Self::Cross, Self::Disc, Self::Square, Self::Triangle];

    /// How far a shape of size 1 reaches from its centre at most.
    pub const REACH: f32 = 1.6;

    pub fn name(self) -> &'static str {
        match self {
            Self::Cross => "cross",
            Self::Disc => "disc",
            Self::Square => "square",
            Self::Triangle => "triangle",
        }
    }

    /// Signed distance of a point from the outline, negative inside (beyond corners outside, a
    /// little less than the distance). All shapes have the area of a disc of radius 1, so that
    /// the area does not give them away.
    pub fn distance(self, x: f32, y: f32) -> f32 {
        match self {
            // Arms of length l and half width l/3: the area is 20/9 l².
            Self::Cross => {
                const ARM: f32 = 1.189;
                let (x, y) = (x.abs(), y.abs());
                let bar = |along: f32, across: f32| (along - ARM).max(across - ARM / 3.0);
                bar(x, y).min(bar(y, x))
            }
            Self::Disc => x.hypot(y) - 1.0,
            // Half the edge is √π / 2.
            Self::Square => x.abs().max(y.abs()) - 0.886,
            // Equilateral: an inradius r gives the area 3√3 r².
            Self::Triangle => {
                const INRADIUS: f32 = 0.778;
                const HALF_ROOT_3: f32 = 0.866;
                (HALF_ROOT_3 * x.abs() - 0.5 * y).max(y) - INRADIUS
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_shapes_have_the_area_of_the_disc_and_stay_within_reach() {
        const STEPS: i32 = 400;
        let at = |i: i32| (i as f32 + 0.5) / STEPS as f32 * 2.0;
        for shape in Shape::ALL {
            let mut area = 0.0;
            for y in -STEPS..STEPS {
                for x in -STEPS..STEPS {
                    let (x, y) = (at(x), at(y));
                    if shape.distance(x, y) < 0.0 {
                        area += (2.0 / STEPS as f32).powi(2);
                        assert!(x.hypot(y) < Shape::REACH, "{shape:?}");
                    }
                }
            }
            assert!(
                (area - std::f32::consts::PI).abs() < 0.02,
                "{shape:?}: {area}"
            );
        }
    }
}
