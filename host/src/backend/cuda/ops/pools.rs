//! Pooling: `kernels/pools.cu`.

use anyhow::Result;
use vae96::Shape;

use super::divisor::Divisor;
use super::{Gpu, check, count};
use crate::backend::cuda::machine::Argument;
use crate::backend::cuda::memory::Span;

/// Windows that do not overlap over a batch of planes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    images: usize,
    plane: Shape,
    height: usize,
    width: usize,
}

impl Pool {
    /// Windows of `height × width` over `images` planes of shape `plane`.
    pub fn new(images: usize, plane: Shape, height: usize, width: usize) -> Self {
        Self {
            images,
            plane,
            height,
            width,
        }
    }

    fn inputs(&self) -> usize {
        self.images * self.plane.len()
    }

    fn outputs(&self) -> usize {
        let (rows, columns) = (
            self.plane.height / self.height,
            self.plane.width / self.width,
        );
        self.images * rows * columns * self.plane.channels
    }

    /// The kernels' `Pool`.
    fn words(&self) -> Result<Vec<i32>> {
        let Self {
            plane,
            height,
            width,
            ..
        } = *self;
        let mut words = vec![count(self.inputs())?, count(self.outputs())?];
        for divisor in [
            plane.height,
            plane.width,
            plane.channels,
            height,
            width,
            plane.height / height,
            plane.width / width,
        ] {
            words.extend(Divisor::new(divisor)?.words());
        }
        Ok(words)
    }
}

impl Gpu {
    /// The maxima, and the tap that each came from.
    pub fn max_pool(&self, pool: Pool, inputs: Span, out: Span, winners: Span) -> Result<()> {
        self.check_values(&[inputs, out]);
        check(inputs, pool.inputs());
        check(out, pool.outputs());
        check(winners, pool.outputs());
        let words = pool.words()?;
        let arguments = [
            Argument::words(&words),
            inputs.into(),
            out.into(),
            winners.into(),
        ];
        self.each("max_pool", out.len(), &arguments)
    }

    /// The gradient of the inputs of [`max_pool`](Self::max_pool).
    pub fn max_pool_backward(
        &self,
        pool: Pool,
        gradient: Span,
        winners: Span,
        out: Span,
    ) -> Result<()> {
        self.check_values(&[gradient, out]);
        check(gradient, pool.outputs());
        check(winners, pool.outputs());
        check(out, pool.inputs());
        let words = pool.words()?;
        let arguments = [
            Argument::words(&words),
            gradient.into(),
            winners.into(),
            out.into(),
        ];
        self.each("max_pool_backward", out.len(), &arguments)
    }

    /// The means.
    pub fn average_pool(&self, pool: Pool, inputs: Span, out: Span) -> Result<()> {
        self.check_values(&[inputs, out]);
        check(inputs, pool.inputs());
        check(out, pool.outputs());
        let words = pool.words()?;
        let arguments = [Argument::words(&words), inputs.into(), out.into()];
        self.each("average_pool", out.len(), &arguments)
    }

    /// The gradient of the inputs of [`average_pool`](Self::average_pool).
    pub fn average_pool_backward(&self, pool: Pool, gradient: Span, out: Span) -> Result<()> {
        self.check_values(&[gradient, out]);
        check(gradient, pool.outputs());
        check(out, pool.inputs());
        let words = pool.words()?;
        let arguments = [Argument::words(&words), gradient.into(), out.into()];
        self.each("average_pool_backward", out.len(), &arguments)
    }
}
