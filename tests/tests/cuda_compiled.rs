//! The kernels, compiled by NVRTC for the GPUs there are. `tests/fixtures/check_kernels.sh` fetches
//! NVRTC and runs this.

use anyhow::{Result, ensure};
use host::backend::cuda::kernels;
use host::backend::cuda::program::Compiler;

const ARCHITECTURES: [&str; 3] = ["sm_75", "sm_80", "sm_90"];

#[test]
#[ignore = "needs NVRTC: tests/fixtures/check_kernels.sh"]
fn every_kernel_compiles_for_every_architecture() -> Result<()> {
    let compiler = Compiler::find()?;
    for architecture in ARCHITECTURES {
        let code = compiler.compile(architecture)?;
        ensure!(
            code.starts_with(b"\x7fELF"),
            "{architecture}: no machine code"
        );
        for name in kernels::NAMES {
            let section = format!(".text.{name}\0");
            let found = code
                .windows(section.len())
                .any(|bytes| bytes == section.as_bytes());
            ensure!(found, "{architecture}: no kernel {name}");
        }
        println!(
            "{architecture}: {} kernels in {} bytes",
            kernels::NAMES.len(),
            code.len()
        );
    }
    Ok(())
}

#[test]
#[ignore = "needs NVRTC: tests/fixtures/check_kernels.sh"]
fn machine_code_is_kept_by_all_it_depends_on() -> Result<()> {
    let compiler = Compiler::find()?;
    let folder = tempfile::tempdir()?;
    let place = Some(folder.path());
    let (code, found) = compiler.cached("sm_80", 1, place)?;
    assert!(!found);
    assert_eq!(compiler.cached("sm_80", 1, place)?, (code, true));
    assert!(!compiler.cached("sm_80", 2, place)?.1, "another driver");
    assert!(
        !compiler.cached("sm_90", 1, place)?.1,
        "another architecture"
    );
    assert_eq!(std::fs::read_dir(folder.path())?.count(), 3);
    Ok(())
}

#[test]
#[ignore = "needs NVRTC: tests/fixtures/check_kernels.sh"]
fn an_unknown_architecture_is_named() -> Result<()> {
    let error = Compiler::find()?.compile("sm_1").unwrap_err().to_string();
    assert!(error.contains("sm_1") && !error.contains('\n'), "{error}");
    Ok(())
}
