//! How the machine of an agent fares: what a heartbeat tells, and nothing else is read.

use std::path::{Path, PathBuf};

use oxide_core::protocol::SystemMetrics;
use rustix::fs::statvfs;
use sysinfo::{MemoryRefreshKind, System};

/// Measures. The processors are measured from one time to the next.
pub(crate) struct Meter {
    system: Option<System>,
    data_dir: PathBuf,
}

impl Meter {
    /// For the disk that holds this directory.
    pub(crate) fn new(data_dir: &Path) -> Meter {
        let mut system = System::new().ok();
        if let Some(system) = &mut system {
            system.refresh_cpu_usage();
        }
        Meter { system, data_dir: data_dir.to_owned() }
    }

    /// Measures now.
    pub(crate) fn read(&mut self) -> Option<SystemMetrics> {
        let system = self.system.as_mut()?;
        system.refresh_cpu_usage();
        system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
        let disk = statvfs(&self.data_dir).ok();
        let blocks = |count: u64, size: u64| count.saturating_mul(size);
        Some(SystemMetrics {
            cpu_percent: rounded(f64::from(system.global_cpu_usage())),
            load_1m: System::load_average().map_or(0.0, |load| rounded(load.one)),
            memory_used_bytes: system.used_memory(),
            memory_total_bytes: system.total_memory(),
            disk_used_bytes: disk.as_ref().map_or(0, |disk| blocks(disk.f_blocks - disk.f_bfree, disk.f_frsize)),
            disk_total_bytes: disk.as_ref().map_or(0, |disk| blocks(disk.f_blocks, disk.f_frsize)),
        })
    }
}

/// More digits would tell nothing, and a number that is none is not JSON.
fn rounded(value: f64) -> f64 {
    if value.is_finite() { (value * 100.0).round() / 100.0 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_measured_is_possible() {
        let mut meter = Meter::new(Path::new("/"));
        let began = std::time::Instant::now();
        while began.elapsed() < sysinfo::MINIMUM_CPU_UPDATE_INTERVAL * 2 {}
        let metrics = meter.read().unwrap();
        assert!((0.0..=100.0).contains(&metrics.cpu_percent) && metrics.cpu_percent > 0.0, "{metrics:?}");
        assert!(metrics.memory_used_bytes > 0 && metrics.memory_used_bytes < metrics.memory_total_bytes, "{metrics:?}");
        assert!(metrics.disk_used_bytes > 0 && metrics.disk_used_bytes <= metrics.disk_total_bytes, "{metrics:?}");
        assert_eq!(rounded(f64::NAN), 0.0);
    }
}
