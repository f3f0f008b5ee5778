//! The program `vae96` as its users run it: whole commands on a small folder of photographs.

mod commands;
mod devices;
mod few_shot;
mod interop;
mod labels;
mod paper;
mod photographs;
mod precise_bn;
mod refusals;
mod reproduce;
mod resume;
mod suggest;
mod teachers;
mod threads;
mod vae96;
