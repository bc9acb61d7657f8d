//! `bantam serve` as a process of its own, seen from outside.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::client::Connection;

/// A server that is killed when it is dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Serves a model at any free port.
    pub(crate) fn start(model: &Path, more: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bantam"));
        command.arg("serve").arg(model).args(["--port", "0"]).args(more).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.split("http://").nth(1).and_then(|rest| rest.split('/').next()).expect(&line);
        Self { address: address.parse().unwrap(), child }
    }

    /// The value of a metric that has one.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let text = Connection::open(self.address).unwrap().get("/metrics").unwrap();
        let line = text.lines().find(|line| line.split(['{', ' ']).next() == Some(name)).expect(name);
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// Memory that the process has now, in KiB; `None` where the system does not tell.
    pub(crate) fn memory(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().split(' ').next()?.parse().ok()
    }

    /// Asks it to end, as a system does, and waits for it.
    #[cfg(unix)]
    pub(crate) fn end(mut self) {
        assert!(Command::new("kill").arg(self.child.id().to_string()).status().unwrap().success());
        assert!(self.child.wait().unwrap().success(), "a server that is asked to end ends well");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
