//! Input that is wrong gets an error that names what is wrong; examples/checks runs the same on a
//! device.

mod common;
#[path = "common/refusals.rs"]
mod refusals;

use common::{File, Random, description};
use vae96::{Classifier, Edge, Model};

#[test]
fn wrong_input_is_refused_by_name() {
    let expect = |what: &str, is_right: bool| assert!(is_right, "{what}");
    let file = File::random(&mut Random(1), description::<Edge>(), 12, false);
    let length = file.bytes().len();
    let mut memory = File::of(&[file.bytes(), &[0; refusals::SPARE]].concat());
    refusals::models(memory.bytes_mut(), length, expect);
    refusals::rows(&mut Classifier::new(file.bytes()).unwrap(), expect);
    refusals::frames(expect);
    refusals::taught(&Model::parse(file.bytes()).unwrap(), expect);
}
