//! `bantam serve`: a bundle over HTTP, with a page to talk to it.

use std::io::Write;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use bantam_runtime::Assistant;

/// The arguments of `bantam serve`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  bantam serve runs/support/support.bantam
  curl http://127.0.0.1:8080/v1/classify -H 'Content-Type: application/json' -d '{\"text\": \"where is my order?\"}'")]
pub(crate) struct Arguments {
    /// The bundle: a .bantam file
    bundle: PathBuf,
    /// The address to listen on; 0.0.0.0 lets other machines in
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// The port; 0 takes any free one
    #[arg(long, default_value_t = 8080)]
    port: u16,
}

impl Arguments {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let address = self.address()?;
        let assistant = Arc::new(Assistant::load(&self.bundle)?);
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let name = assistant.parts().name.clone();
        let ready = move |address: SocketAddr| {
            let mut output = std::io::stdout().lock();
            // The server goes on where nobody reads this.
            let _ = writeln!(output, "{name} answers at http://{address}/ (Ctrl-C ends)").and_then(|()| output.flush());
        };
        Ok(runtime.block_on(bantam_server::serve(assistant, address, asked_to_end(), ready))?)
    }

    fn address(&self) -> anyhow::Result<SocketAddr> {
        let remedy = || format!("--host {} is no address of this machine; try 127.0.0.1 or 0.0.0.0", self.host);
        (self.host.trim_matches(['[', ']']), self.port)
            .to_socket_addrs()
            .with_context(remedy)?
            .next()
            .with_context(remedy)
    }
}

/// Done when Ctrl-C is pressed or the system asks the program to end.
async fn asked_to_end() {
    let interrupted = async {
        if tokio::signal::ctrl_c().await.is_err() {
            // Without a handler, Ctrl-C ends the program by itself.
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending::<()>().await,
        }
    };
    #[cfg(not(unix))]
    let terminated = std::future::pending::<()>();
    tokio::select! {
        () = interrupted => {}
        () = terminated => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_addresses_or_names() {
        let address = |host: &str| Arguments { bundle: PathBuf::new(), host: host.to_owned(), port: 80 }.address();
        assert_eq!(address("0.0.0.0").unwrap().to_string(), "0.0.0.0:80");
        assert_eq!(address("[::1]").unwrap().to_string(), "[::1]:80");
        assert!(address("not a host").unwrap_err().to_string().contains("--host not a host"));
    }
}
