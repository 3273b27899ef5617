//! What the command refuses, it refuses by name and with exit code 2.

use std::process::Command;

#[test]
fn demo_refuses_what_it_cannot_move_and_says_what() {
    for (file, reason) in
        [("/no/such/file", "No such file"), ("/dev/null", "not a regular file"), ("/", "not a")]
    {
        let output = Command::new(env!("CARGO_BIN_EXE_annulus"))
            .args(["demo", file])
            .output()
            .expect("the command starts");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{file}: {complaint}");
        assert!(complaint.starts_with(&format!("annulus: {file}: ")), "{complaint}");
        assert!(complaint.contains(reason), "{complaint}");
        assert!(output.stdout.is_empty());
    }
}
