//! What the command refuses, it refuses by name and with exit code 2.

mod support;

use support::run;

#[test]
fn demo_refuses_what_it_cannot_move_and_says_what() {
    for (file, reason) in
        [("/no/such/file", "No such file"), ("/dev/null", "not a regular file"), ("/", "not a")]
    {
        let (ended, output) = run(&["demo", file]);
        ended.expect_code(2);
        let complaint = ended.complaint;
        assert!(complaint.starts_with(&format!("annulus: {file}: ")), "{complaint}");
        assert!(complaint.contains(reason), "{complaint}");
        assert_eq!(output, "");
    }
}
