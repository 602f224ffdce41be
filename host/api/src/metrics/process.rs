//! The process itself: its version and its memory.

use prometheus_client::{
    metrics::{
        family::Family,
        gauge::{ConstGauge, Gauge},
    },
    registry::Registry,
};

/// Where Linux tells of this process.
const STATUS: &str = "/proc/self/status";

pub(super) fn register(registry: &mut Registry) {
    let build = Family::<[(&'static str, &'static str); 1], Gauge>::default();
    build.get_or_create(&[("version", env!("CARGO_PKG_VERSION"))]).set(1);
    registry.register("oxide_build_info", "Always 1; the label says which version runs", build);
    // Other systems have no such file.
    if let Some(bytes) = std::fs::read_to_string(STATUS).ok().and_then(|status| resident_bytes(&status)) {
        registry.register("process_resident_memory_bytes", "Resident memory size in bytes", ConstGauge::new(bytes));
    }
}

/// The memory of a process that is not swapped out, from its status (proc_pid_status(5)).
fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_the_status() {
        let status = "Name:\toxide\nVmHWM:\t   90000 kB\nVmRSS:\t   81920 kB\nThreads:\t9\n";
        assert_eq!(resident_bytes(status), Some(80 << 20));
        assert_eq!(resident_bytes("Name:\toxide\n"), None);
        assert_eq!(resident_bytes("VmRSS:\tmuch\n"), None);
    }
}
