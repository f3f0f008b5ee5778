//! One scene.

use std::f32::consts::TAU;
use std::ops::RangeInclusive;

use rand::{Rng, RngExt};
use vae96::SIDE;

use super::shape::Shape;
use super::texture::Texture;

/// Size of the main object: the radius, in pixels, of a disc of its area.
const MAIN_SIZE: RangeInclusive<f32> = 24.0..=34.0;
/// The size of other objects, as a share of the main object's.
const OTHER_SIZE: RangeInclusive<f32> = 0.25..=0.45;
/// How many other objects lie behind the main one.
const BEHIND: RangeInclusive<usize> = 1..=3;
/// How many lie before it. They are the smallest, and hide a part of it at most.
const BEFORE: RangeInclusive<usize> = 0..=1;
/// How far objects are turned either way, in radians. Patterns are turned by any angle.
const TILT: f32 = 0.25;
/// Width of the light rim of every object, in pixels. It tells outlines from patterns: without
/// it, a few labels teach a small network textures, but no shapes.
const RIM: f32 = 2.5;
/// Pixels from one stripe, dot or second check to the next.
const PERIOD: RangeInclusive<f32> = 8.0..=12.0;
/// Brightness of a pattern's dark colour, as a share of the light one's.
const SHADE: RangeInclusive<f32> = 0.05..=0.35;
/// Share of the background that is a texture.
const FAINTNESS: RangeInclusive<f32> = 0.0..=0.15;

type Colour = [f32; 3];

/// Draws a scene whose main object has that shape and texture into 96×96 RGB bytes.
pub fn draw(shape: Shape, texture: Texture, rng: &mut impl Rng, out: &mut [u8]) {
    let mut canvas = vec![[0.0; 3]; SIDE * SIDE];
    background(&mut canvas, rng);
    let size = rng.random_range(MAIN_SIZE);
    for _ in 0..rng.random_range(BEHIND) {
        other(size * rng.random_range(OTHER_SIZE), rng).paint(&mut canvas);
    }
    Object::new(shape, texture, size, rng).paint(&mut canvas);
    for _ in 0..rng.random_range(BEFORE) {
        other(size * *OTHER_SIZE.start(), rng).paint(&mut canvas);
    }
    light(&mut canvas, rng);
    expose(&canvas, rng, out);
}

/// An object of any shape and texture.
fn other(size: f32, rng: &mut impl Rng) -> Object {
    let shape = Shape::ALL[rng.random_range(0..Shape::ALL.len())];
    let texture = Texture::ALL[rng.random_range(0..Texture::ALL.len())];
    Object::new(shape, texture, size, rng)
}

/// A pattern in two colours, turned and scaled.
struct Fill {
    texture: Texture,
    colours: [Colour; 2],
    /// Cosine and sine of its direction over its period, in pixels.
    direction: [f32; 2],
    phase: [f32; 2],
    /// One over its period.
    pixel: f32,
}

impl Fill {
    fn new(texture: Texture, colours: [Colour; 2], period: f32, rng: &mut impl Rng) -> Self {
        let (sine, cosine) = rng.random_range(0.0..TAU).sin_cos();
        Self {
            texture,
            colours,
            direction: [cosine / period, sine / period],
            phase: [rng.random(), rng.random()],
            pixel: 1.0 / period,
        }
    }

    fn at(&self, x: f32, y: f32) -> Colour {
        let [cosine, sine] = self.direction;
        let share = self.texture.at(
            cosine * x + sine * y + self.phase[0],
            cosine * y - sine * x + self.phase[1],
            self.pixel,
        );
        mix(self.colours[0], self.colours[1], share)
    }
}

/// An object at its place.
struct Object {
    shape: Shape,
    rim: Colour,
    fill: Fill,
    centre: [f32; 2],
    size: f32,
    /// Its two axes in pixels: turned, and one longer than the other.
    axes: [[f32; 2]; 2],
}

impl Object {
    fn new(shape: Shape, texture: Texture, size: f32, rng: &mut impl Rng) -> Self {
        // The centre stays in the picture, so the main object can be cut off but never gone.
        let margin = size * 0.8;
        let mut place = || rng.random_range(margin..=SIDE as f32 - margin);
        let centre = [place(), place()];
        let (sine, cosine) = rng.random_range(-TILT..=TILT).sin_cos();
        let stretch = rng.random_range(0.85f32..=1.18).sqrt();
        let (long, short) = (size * stretch, size / stretch);
        let period = rng.random_range(PERIOD);
        Self {
            shape,
            rim: [rng.random_range(0.8..=1.0); 3],
            fill: Fill::new(texture, shades(rng), period, rng),
            centre,
            size,
            axes: [
                [cosine / long, sine / long],
                [-sine / short, cosine / short],
            ],
        }
    }

    /// Paints it over what is there, with smooth edges.
    fn paint(&self, canvas: &mut [Colour]) {
        let reach = self.size * Shape::REACH;
        let span = |centre: f32| {
            let pixel = |at: f32| (at.max(0.0) as usize).min(SIDE);
            pixel(centre - reach)..pixel(centre + reach + 1.0)
        };
        for y in span(self.centre[1]) {
            for x in span(self.centre[0]) {
                let (across, down) = (x as f32 - self.centre[0], y as f32 - self.centre[1]);
                let along = |axis: [f32; 2]| axis[0] * across + axis[1] * down;
                let distance = self
                    .shape
                    .distance(along(self.axes[0]), along(self.axes[1]));
                let cover = (0.5 - distance * self.size).clamp(0.0, 1.0);
                if cover > 0.0 {
                    let under = &mut canvas[y * SIDE + x];
                    let inside = (0.5 - (distance * self.size + RIM)).clamp(0.0, 1.0);
                    let body = mix(self.rim, self.fill.at(across, down), inside);
                    *under = mix(*under, body, cover);
                }
            }
        }
    }
}

/// A gradient under a faint texture: no object's texture is alone in its picture.
fn background(canvas: &mut [Colour], rng: &mut impl Rng) {
    let [from, to] = [dull(rng), dull(rng)];
    let slope = gradient(rng);
    let texture = Texture::ALL[rng.random_range(0..Texture::ALL.len())];
    let period = rng.random_range(4.0..=24.0);
    let fill = Fill::new(texture, [dull(rng), dull(rng)], period, rng);
    let faintness = rng.random_range(FAINTNESS);
    for (y, row) in canvas.chunks_exact_mut(SIDE).enumerate() {
        for (x, pixel) in row.iter_mut().enumerate() {
            let (x, y) = (x as f32, y as f32);
            *pixel = mix(mix(from, to, slope(x, y)), fill.at(x, y), faintness);
        }
    }
}

/// Light from one side, of some strength and tint.
fn light(canvas: &mut [Colour], rng: &mut impl Rng) {
    let slope = gradient(rng);
    let bright: f32 = rng.random_range(0.7..=1.1);
    let dark = bright * rng.random_range(0.5..=1.0);
    let tint: Colour = std::array::from_fn(|_| rng.random_range(0.8..=1.2));
    for (y, row) in canvas.chunks_exact_mut(SIDE).enumerate() {
        for (x, pixel) in row.iter_mut().enumerate() {
            let strength = dark + (bright - dark) * slope(x as f32, y as f32);
            *pixel = std::array::from_fn(|c| pixel[c] * tint[c] * strength);
        }
    }
}

/// To bytes, with a sensor's noise.
fn expose(canvas: &[Colour], rng: &mut impl Rng, out: &mut [u8]) {
    // The sum of two uniform bytes is a triangular distribution, of a deviation of 104.5.
    let deviation = rng.random_range(1.0f32..=6.0);
    let mut noise = vec![0; 2 * out.len()];
    rng.fill_bytes(&mut noise);
    let values = canvas.iter().flatten();
    for ((out, value), noise) in out.iter_mut().zip(values).zip(noise.chunks_exact(2)) {
        let noise = f32::from(noise[0]) + f32::from(noise[1]) - 255.0;
        *out = (value * 255.0 + noise * deviation / 104.5).round() as u8;
    }
}

/// From 0 at one side of the picture to 1 at the other, in a random direction.
fn gradient<R: Rng>(rng: &mut R) -> impl Fn(f32, f32) -> f32 + use<R> {
    let (sine, cosine) = rng.random_range(0.0..TAU).sin_cos();
    let half = SIDE as f32 / 2.0;
    let reach = half * (sine.abs() + cosine.abs());
    move |x, y| 0.5 + 0.5 * ((x - half) * cosine + (y - half) * sine) / reach
}

/// A colour of the background: dull, and darker than most objects.
fn dull(rng: &mut impl Rng) -> Colour {
    let grey = rng.random_range(0.08..=0.4);
    std::array::from_fn(|_| grey + rng.random_range(-0.08..=0.12))
}

/// A light and a dark shade of one vivid colour, in either order.
fn shades(rng: &mut impl Rng) -> [Colour; 2] {
    let hue: f32 = rng.random_range(0.0..6.0);
    let saturation: f32 = rng.random_range(0.7..=1.0);
    let value: f32 = rng.random_range(0.7..=1.0);
    // From hue, saturation and value to red, green and blue (Smith, 1978).
    let light = [5.0, 3.0, 1.0].map(|offset: f32| {
        let turned = (hue + offset) % 6.0;
        value * (1.0 - saturation * turned.min(4.0 - turned).clamp(0.0, 1.0))
    });
    let shade = rng.random_range(SHADE);
    let dark = light.map(|value| value * shade);
    if rng.random() {
        [light, dark]
    } else {
        [dark, light]
    }
}

fn mix(a: Colour, b: Colour, share: f32) -> Colour {
    std::array::from_fn(|c| a[c] + (b[c] - a[c]) * share)
}
