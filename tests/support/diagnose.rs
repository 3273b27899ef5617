//! What a process is doing right now, as /proc tells.

use std::fmt::Write;
use std::fs;
use std::path::Path;

/// The state of a process (`self`, or a pid) and, for each of its threads, its name,
/// where in the kernel it sleeps and in which system call.
pub fn describe(process: &str) -> String {
    let folder = Path::new("/proc").join(process);
    let mut text = String::new();
    let status = read(&folder.join("status"));
    for line in status.lines() {
        let wanted = ["State:", "Threads:", "SigPnd:", "ShdPnd:", "SigBlk:"];
        if wanted.iter().any(|name| line.starts_with(name)) {
            let _ = writeln!(text, "  {line}");
        }
    }
    let tasks = fs::read_dir(folder.join("task"));
    for task in tasks.into_iter().flatten().filter_map(Result::ok) {
        let folder = task.path();
        let _ = writeln!(
            text,
            "  thread {} ({}): wchan {}, syscall {}",
            task.file_name().to_string_lossy(),
            read(&folder.join("comm")).trim(),
            read(&folder.join("wchan")).trim(),
            read(&folder.join("syscall")).trim(),
        );
    }
    text
}

/// Whether a process is there and no zombie.
pub fn lives(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        let state = stat.rfind(')').and_then(|end| stat.get(end + 2..end + 3));
        !matches!(state, Some("Z" | "X"))
    })
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| format!("unreadable: {error}"))
}
