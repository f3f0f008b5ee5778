//! What the firmware example is built with and checked against is what the host makes of it.

use std::fs;
use std::path::Path;

use tests::frames;

const AGAIN: &str =
    "cargo run -p tests --bin frames -- tests/fixtures core/examples/firmware/frames";

#[test]
fn the_examples_frames_and_answers_are_the_hosts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/examples/firmware/frames");
    for frame in frames::draw() {
        let path = folder.join(format!("{}.rgb", frame.name));
        let committed = fs::read(&path).unwrap();
        assert!(committed == frame.bytes, "{}: {AGAIN}", path.display());
    }
    let fixture = |name: &str| fs::read(tests::fixture(name)).unwrap();
    let committed = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let report = frames::report(&fixture("edge-conv.v96")).unwrap();
    assert_eq!(committed("report.txt"), report, "{AGAIN}");
    let encoder = fixture("edge-deep-encoder.v96");
    let taught = frames::taught_report(&encoder, &fixture("edge-deep-encoder.p96")).unwrap();
    assert_eq!(committed("taught.txt"), taught, "{AGAIN}");
}
