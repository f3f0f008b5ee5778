//! Networks with their tensors and their optimiser: what every learner does with its weights.

use std::cell::RefCell;

use anyhow::Result;

use super::memory::{Arena, Buffer};
use super::network::{Backward, Gradients, Memory};
use super::ops::Gpu;
use super::optimiser::{State, scratch};
use super::pack::Pack;
use super::share::Share;
use crate::backend::checks;
use crate::backend::{Form, Learner, Update, Weights};

/// Networks that learn.
pub struct Model<N> {
    /// The networks.
    pub networks: N,
    /// Launches the kernels.
    pub gpu: Gpu,
    /// The tensors.
    pub pack: Pack,
    /// Their values.
    pub values: Buffer,
    /// Their averaged values, once there are any.
    pub averaged: Option<Buffer>,
    gradients: Option<Buffer>,
    state: State,
    /// The memory of the last pass, for the next if it needs no more.
    idle: RefCell<Option<Buffer>>,
}

impl<N> Model<N> {
    /// The networks, whose tensors are in the pack, with their weights, all of them.
    pub fn new(gpu: &Gpu, networks: N, pack: Pack, weights: &Weights) -> Result<Self> {
        checks::complete(weights, &pack.shapes())?;
        // The gaps between tensors are averaged with them, so they hold something too.
        let values = gpu.filled(pack.len(), 0.0)?;
        pack.upload(weights, &values)?;
        Ok(Self {
            networks,
            gpu: gpu.clone(),
            pack,
            values,
            averaged: None,
            gradients: None,
            state: State::default(),
            idle: RefCell::default(),
        })
    }

    /// Runs a pass in memory that is laid out as the arena says.
    pub fn pass<T>(
        &self,
        values: &Buffer,
        arena: Arena,
        run: impl FnOnce(Memory) -> Result<T>,
    ) -> Result<T> {
        let (len, scratch) = arena.finish();
        let idle = self.idle.take().filter(|buffer| buffer.len() >= len);
        let buffer = match idle {
            Some(buffer) => buffer,
            None => self.gpu.buffer(len)?,
        };
        let result = run(Memory {
            gpu: &self.gpu,
            pack: &self.pack,
            values,
            arena: &buffer,
            scratch,
        });
        self.idle.replace(Some(buffer));
        result
    }

    /// Runs a step of training on a share of a batch: `run` leaves the gradients of what it learns,
    /// and gives what becomes of the step; then the weights move, but for those that have moved while
    /// their gradient was made. The machine has begun when this is back. After an error the learner is
    /// of no use.
    pub fn step<T>(
        &mut self,
        share: Share,
        mut arena: Arena,
        slots: Gradients,
        update: &Update,
        run: impl FnOnce(&N, Memory, &mut Backward) -> Result<T>,
    ) -> Result<T> {
        arena.need(scratch(&self.pack));
        let gradients = match self.gradients.take() {
            Some(gradients) => gradients,
            None => self.gpu.buffer(self.pack.len())?,
        };
        let mut state = std::mem::take(&mut self.state);
        let result = self.pass(&self.values, arena, |memory| {
            let mut backward = Backward {
                update,
                state: &mut state,
                gradients: &gradients,
                slots,
                learned: Vec::new(),
            };
            let result = run(&self.networks, memory, &mut backward);
            if !share.is_whole() {
                memory.gpu.join()?;
            }
            let result = result?;
            let learned = backward.learned;
            state.step(memory, &gradients, &learned, update)?;
            Ok(result)
        });
        self.state = state;
        self.gradients = Some(gradients);
        let result = result?;
        self.gpu.flush()?;
        Ok(result)
    }
}

impl<N> Learner for Model<N> {
    fn form(&self) -> Form {
        Form::Views
    }

    fn weights(&self) -> Result<Weights> {
        self.pack.download(&self.values)
    }

    fn set_weights(&mut self, weights: &Weights) -> Result<()> {
        self.pack.upload(weights, &self.values)
    }

    fn optimiser_state(&self) -> Result<Weights> {
        self.state.export(&self.pack)
    }

    fn set_optimiser_state(&mut self, state: &Weights) -> Result<()> {
        self.state = State::import(&self.gpu, &self.pack, state)?;
        Ok(())
    }

    fn average(&mut self, decay: f64) -> Result<()> {
        let present = self.values.whole();
        match &self.averaged {
            Some(averaged) => {
                let share = 1.0 - decay as f32;
                self.gpu.approach(averaged.whole(), present, share)
            }
            None => {
                let averaged = self.gpu.buffer(self.values.len())?;
                self.gpu.copy(present, averaged.whole())?;
                self.averaged = Some(averaged);
                Ok(())
            }
        }
    }

    fn averaged(&self) -> Result<Option<Weights>> {
        let averaged = self.averaged.as_ref();
        averaged
            .map(|buffer| self.pack.download(buffer))
            .transpose()
    }

    fn set_averaged(&mut self, weights: &Weights) -> Result<()> {
        checks::complete(weights, &self.pack.shapes())?;
        let averaged = self.gpu.filled(self.pack.len(), 0.0)?;
        self.pack.upload(weights, &averaged)?;
        self.averaged = Some(averaged);
        Ok(())
    }
}
