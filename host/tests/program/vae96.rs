//! Runs the program.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// Options that make the trainings of `run` as short as they can be.
pub const SHORT: &str = "--pretrain-epochs 1 --pretrain-side 32 --finetune-epochs 1 \
    --finetune-side 32 --consistency-batch 16 --labels-per-class 4";

/// A command that works in `folder`, whose arguments are the words of `line`.
pub fn command(folder: &Path, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vae96"));
    command
        .args(line.split_whitespace())
        .current_dir(folder)
        .env("XDG_CACHE_HOME", folder)
        .env("RUST_BACKTRACE", "1")
        .stdin(Stdio::null());
    command
}

fn output(command: &mut Command) -> (Output, String) {
    let output = command.output().expect("the program starts");
    let stderr = String::from_utf8(output.stderr.clone()).expect("stderr is UTF-8");
    (output, stderr)
}

/// What a command that succeeds answers with `--json`, and what it says on stderr.
pub fn answer_of(command: &mut Command) -> (Value, String) {
    let (output, stderr) = output(command.arg("--json"));
    assert!(output.status.success(), "{command:?}: {stderr}");
    let stdout = String::from_utf8(output.stdout).expect("stdout is UTF-8");
    assert_eq!(stdout.trim_end().lines().count(), 1, "{stdout}");
    let answer = serde_json::from_str(&stdout).expect("stdout is JSON");
    (answer, stderr)
}

/// What a command that succeeds answers.
pub fn answer(folder: &Path, line: &str) -> Value {
    answer_of(&mut command(folder, line)).0
}

/// The one line in which a command says why it cannot do what it was asked.
pub fn refusal_of(command: &mut Command) -> String {
    let (output, stderr) = output(command.args(["--json", "--quiet"]));
    assert!(!output.status.success(), "{command:?} succeeded");
    assert!(output.status.code().is_some(), "{command:?}: {stderr}");
    assert!(output.stdout.is_empty(), "{command:?} wrote to stdout");
    for trace in ["panicked", "backtrace"] {
        assert!(!stderr.contains(trace), "{command:?}: {stderr}");
    }
    assert!(stderr.starts_with("error: "), "{command:?}: {stderr}");
    stderr
}

/// Asserts that a command fails with a line that has all of `parts` in it.
pub fn refuses(folder: &Path, line: &str, parts: &[&str]) {
    let said = refusal_of(&mut command(folder, line));
    assert_eq!(said.lines().count(), 1, "{line}: {said}");
    for part in parts {
        assert!(said.contains(part), "{line}: no {part:?} in: {said}");
    }
}

/// Asserts that an object has exactly these keys.
pub fn has_keys(object: &Value, keys: &[&str]) {
    let mut expected = keys.to_vec();
    expected.sort_unstable();
    let object = object.as_object().expect("an object");
    let mut found: Vec<_> = object.keys().map(String::as_str).collect();
    found.sort_unstable();
    assert_eq!(found, expected);
}

/// The number under a path of keys, as in `/baseline/top1`.
pub fn number(value: &Value, pointer: &str) -> f64 {
    let found = value.pointer(pointer).and_then(Value::as_f64);
    found.unwrap_or_else(|| panic!("no number {pointer} in {value}"))
}

/// A file's bytes.
pub fn read(path: impl AsRef<OsStr>) -> Vec<u8> {
    let path = Path::new(path.as_ref());
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
