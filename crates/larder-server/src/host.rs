//! What the process is to its system: its memory, its time, its number.

use std::fs;
use std::process;

use larder_resp::Host;

/// This process.
#[derive(Debug)]
pub struct ThisProcess {
    /// The port that clients connect to, for INFO.
    pub port: u16,
}

impl Host for ThisProcess {
    fn resident_bytes(&self) -> u64 {
        // The second number of statm is the resident pages; elsewhere than on Linux there is no
        // such file, and nothing to tell.
        let pages = fs::read_to_string("/proc/self/statm").ok();
        let pages = pages.as_deref().and_then(|text| text.split(' ').nth(1)?.parse::<u64>().ok());
        let page_bytes = u64::try_from(rustix::param::page_size()).unwrap_or(4096);
        pages.unwrap_or(0) * page_bytes
    }

    fn cpu_seconds(&self) -> (f64, f64) {
        cpu_seconds().unwrap_or((0.0, 0.0))
    }

    fn process_id(&self) -> u32 {
        process::id()
    }

    fn port(&self) -> u16 {
        self.port
    }
}

/// The time in the program and in the kernel, from `/proc/self/stat`: fields 14 and 15, in ticks
/// (proc(5)). The second field, the command's name, may hold spaces, so fields are counted from
/// behind its closing parenthesis.
fn cpu_seconds() -> Option<(f64, f64)> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ').skip(11);
    let ticks_per_second = rustix::param::clock_ticks_per_second() as f64;
    let mut seconds = || Some(fields.next()?.parse::<f64>().ok()? / ticks_per_second);
    Some((seconds()?, seconds()?))
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[test]
    fn a_running_process_has_memory_and_has_used_time() {
        let host = ThisProcess { port: 0 };
        assert!(host.resident_bytes() > 100_000);
        let before = host.cpu_seconds().0;
        while host.cpu_seconds().0 == before {
            std::hint::black_box((0..100_000).sum::<u64>());
        }
    }
}
