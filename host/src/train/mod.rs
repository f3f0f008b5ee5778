//! Pre-training and fine-tuning: one loop, two tasks.
//!
//! [`recipe`] says what the options are and their defaults, [`run`] is the loop with its
//! checkpoints and metrics, [`pretrain`] and [`finetune`] are what it runs; [`consistency`] and
//! `propagation` let the latter learn from unlabelled images too.

pub mod checkpoint;
pub mod consistency;
pub mod distillation;
pub mod finetune;
pub mod metrics;
pub mod pretrain;
pub mod progress;
mod propagation;
pub mod recipe;
pub mod reproduction;
pub mod run;
pub mod schedule;
mod settings;
pub mod tensorboard;
