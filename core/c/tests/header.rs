//! The header is what the source says. `V96_HEADER=write cargo test -p vae96-c` makes it anew.

use std::path::Path;
use std::{env, fs};

#[test]
fn the_header_is_that_of_the_source() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).unwrap();
    let mut made = Vec::new();
    cbindgen::Builder::new()
        .with_config(config)
        .with_src(root.join("src/lib.rs"))
        .with_src(root.join("src/status.rs"))
        .generate()
        .unwrap()
        .write(&mut made);
    let header = root.join("v96.h");
    if env::var_os("V96_HEADER").is_some_and(|order| order == "write") {
        fs::write(&header, &made).unwrap();
    }
    let committed = fs::read(&header).unwrap_or_default();
    assert!(
        committed == made,
        "v96.h is not what the source says: V96_HEADER=write cargo test -p vae96-c"
    );
}
