//! What this process has used so far: memory and processor time, 0 where the system does not tell.

/// The most resident memory so far, in bytes (Linux: `VmHWM`).
pub fn peak_bytes() -> u64 {
    status_bytes("VmHWM:").unwrap_or_else(system::peak_bytes)
}

/// The resident memory now, in bytes (Linux: `VmRSS`; elsewhere 0).
pub fn current_bytes() -> u64 {
    status_bytes("VmRSS:").unwrap_or(0)
}

/// Forgets the peak, so that [`peak_bytes`] speaks of what follows. Only Linux can; elsewhere the peak stays.
pub fn reset_peak() {
    if cfg!(target_os = "linux") {
        // Refused in some sandboxes; the peak then covers the whole run, which is still true.
        let _ = std::fs::write("/proc/self/clear_refs", "5");
    }
}

/// The processor time of all threads so far, user and system, in seconds.
pub fn cpu_seconds() -> f64 {
    system::cpu_seconds()
}

fn status_bytes(key: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    let kibibytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(unix)]
mod system {
    fn usage() -> Option<libc::rusage> {
        let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
        // SAFETY: the call fills the structure it is given, and says whether it did.
        let status = unsafe { libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) };
        // SAFETY: a zeroed `rusage` is valid too.
        (status == 0).then(|| unsafe { usage.assume_init() })
    }

    pub(super) fn peak_bytes() -> u64 {
        // Apple counts bytes here, the others KiB.
        let unit = if cfg!(target_vendor = "apple") { 1 } else { 1024 };
        usage().map_or(0, |usage| usage.ru_maxrss as u64 * unit)
    }

    pub(super) fn cpu_seconds() -> f64 {
        let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 * 1e-6;
        usage().map_or(0.0, |usage| seconds(usage.ru_utime) + seconds(usage.ru_stime))
    }
}

#[cfg(not(unix))]
mod system {
    pub(super) fn peak_bytes() -> u64 {
        0
    }

    pub(super) fn cpu_seconds() -> f64 {
        0.0
    }
}
