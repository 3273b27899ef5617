//! What is to be known of the machine and the run, beside the figures.
//!
//! Imports: nothing of the command's.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use annulus_measure::cores::Cores;
use annulus_measure::machine::{self, Machine};
use serde_json::{Value, json};

/// As seen before the first sample.
pub struct Facts {
    machine: Machine,
    load: f64,
    started: u64,
}

impl Facts {
    /// Of now.
    pub fn read() -> Facts {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Facts {
            machine: Machine::read(),
            load: machine::load(),
            started: now.map_or(0, |time| time.as_secs()),
        }
    }

    /// As JSON, after a run that took so long.
    pub fn json(&self, cores: Cores, quick: bool, took: Duration) -> Value {
        let Machine { processor, cores: count, caches, memory, guest, .. } = &self.machine;
        let Machine { kernel, system, huge_pages, governor, .. } = &self.machine;
        json!({
            "machine": {
                "processor": processor,
                "cores": count,
                "caches": caches,
                "memory_bytes": memory,
                "guest": guest,
                "huge_pages": huge_pages,
                "governor": governor,
            },
            "kernel": kernel,
            "versions": {
                "annulus": env!("CARGO_PKG_VERSION"),
                "system": system,
            },
            "run": {
                "quick": quick,
                "started": self.started,
                "seconds": (took.as_secs_f64() * 10.0).round() / 10.0,
                "load_before": self.load,
                "load_after": machine::load(),
                "cores": [cores.lead, cores.peer],
            },
        })
    }
}
