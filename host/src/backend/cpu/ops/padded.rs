//! Planes within zeros.

use vae96::Shape;

use crate::backend::cpu::source::Source;

/// A plane within a border of zeros.
#[derive(Clone, Copy, Debug)]
pub struct Padded {
    /// Without its border.
    pub inner: Shape,
    top: usize,
    left: usize,
    /// With its border.
    pub shape: Shape,
}

impl Padded {
    /// With so many rows and columns of zeros before and after.
    pub fn new(inner: Shape, rows: [usize; 2], columns: [usize; 2]) -> Self {
        Self {
            inner,
            top: rows[0],
            left: columns[0],
            shape: Shape::plane(
                inner.height + rows[0] + rows[1],
                inner.width + columns[0] + columns[1],
                inner.channels,
            ),
        }
    }

    /// Where the image begins.
    pub fn start(&self) -> usize {
        (self.top * self.shape.width + self.left) * self.inner.channels
    }

    /// A buffer for an image, its border zero.
    pub fn buffer(&self) -> Vec<f32> {
        vec![0.0; self.shape.len()]
    }

    /// Reads image number `image` into its border.
    pub fn read(&self, images: &dyn Source, image: usize, buffer: &mut [f32]) {
        let first = image * self.inner.len();
        if self.shape == self.inner {
            images.read(first, buffer);
            return;
        }
        let row = self.inner.row();
        let rows = buffer[self.start()..].chunks_mut(self.shape.row());
        for (index, to) in rows.take(self.inner.height).enumerate() {
            images.read(first + index * row, &mut to[..row]);
        }
    }
}
