//! The built program, run as a user runs it; shared by the tests of the command line.

#[allow(dead_code)] // not every test needs one
pub mod project;

use assert_cmd::Command;
use serde_json::Value;

/// `limn` with these arguments.
pub fn limn(args: &[&str]) -> Command {
    let mut command = Command::cargo_bin("limn").unwrap();
    command.args(args).env_remove("LIMN_LOG");
    command
}

/// Runs with `--json` and gives exit code and the one object that standard output must be.
pub fn json(args: &[&str]) -> (i32, Value) {
    let out = limn(args).arg("--json").output().unwrap();
    let value: Value =
        serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{args:?}: {e}: {out:?}"));
    assert!(value.is_object() && value["warnings"].is_array(), "{value}");
    (out.status.code().unwrap(), value)
}
