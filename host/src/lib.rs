//! vae96 on a computer: data, training, quantisation, reports.
//!
//! One folder a stage, and data flows one way through them:
//!
//! ```text
//! data ─▶ train ─▶ quantise ─▶ model.v96        commands tie the stages together,
//!           │ └▶ backend    └▶ export           report shows what they found
//!           └▶ latent                           says which images to label first
//!
//! model.v96 ─▶ few_shot                         teaches it classes, as a device would
//! ```
#![deny(unsafe_code)]

pub mod backend;
pub mod cli;
pub mod commands;
pub mod data;
pub mod evaluate;
pub mod export;
pub mod few_shot;
pub mod files;
pub mod latent;
pub mod quantise;
pub mod report;
pub mod train;
