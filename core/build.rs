//! Tells which instructions the target has where the compiler does not say.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(thumb2, dsp)");
    let target = std::env::var("TARGET").unwrap_or_default();
    let dsp = target.starts_with("thumbv7em");
    if dsp || target.starts_with("thumbv7m") || target.starts_with("thumbv8m.main") {
        println!("cargo::rustc-cfg=thumb2");
    }
    if dsp {
        println!("cargo::rustc-cfg=dsp");
    }
}
