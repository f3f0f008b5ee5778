//! Tells which instructions the target has where the compiler does not say.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(thumb1, thumb2, dsp, helium)");
    let target = env::var("TARGET").unwrap_or_default();
    let is = |prefix| target.starts_with(prefix);
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let vectors = ["cortex-m55", "cortex-m85"]
        .iter()
        .any(|core| flags.contains(core));
    for (instructions, there) in [
        ("thumb1", is("thumbv6m") || is("thumbv8m.base")),
        (
            "thumb2",
            is("thumbv7m") || is("thumbv7em") || is("thumbv8m.main"),
        ),
        ("dsp", is("thumbv7em")),
        ("helium", is("thumbv8m.main") && vectors),
    ] {
        if there {
            println!("cargo::rustc-cfg={instructions}");
        }
    }
}
