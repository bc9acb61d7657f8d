//! `bantam serve`: bundles and language models over HTTP.

use std::io::Write;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use bantam_kernels::pool;
use bantam_model::folder::is_folder;
use bantam_model::task_folder::{hashes_features, is_encoder};
use bantam_runtime::Assistant;
use bantam_runtime::tasks::TaskModel;
use bantam_server::{Place, ServeOptions, Served, ServedModel, TlsFiles};

use super::language_model::{Format, PastKind, open};

/// Keys of which requests have to show one, separated by commas.
const KEYS_VARIABLE: &str = "BANTAM_API_KEYS";

/// The arguments of `bantam serve`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  bantam serve runs/support/support.bantam
  curl http://127.0.0.1:8080/v1/classify -H 'Content-Type: application/json' -d '{\"text\": \"where is my order?\"}'

  bantam serve chat=SmolLM2-135M-Instruct stories.gguf
  curl http://127.0.0.1:8080/v1/chat/completions -H 'Content-Type: application/json' \\
    -d '{\"model\": \"chat\", \"messages\": [{\"role\": \"user\", \"content\": \"Hello!\"}]}'

  bantam serve bert-base-NER
  curl http://127.0.0.1:8080/models/bert-base-NER -H 'Content-Type: application/json' -d '{\"inputs\": \"I live in London\"}'

Clients of OpenAI's interface take http://127.0.0.1:8080/v1 as their base URL. GET /openapi.json lists all endpoints.")]
pub(crate) struct Arguments {
    /// The models, each PATH or NAME=PATH: .bantam files, Hugging Face folders (of language models, or of encoders for a task), GGUF
    /// files, llama2.c files; FOLDER+ADAPTER adds a low-rank adapter of peft to a folder's weights
    #[arg(required = true, value_name = "MODEL")]
    models: Vec<String>,
    /// The address to listen on; 0.0.0.0 lets other machines in
    #[arg(long, default_value = "127.0.0.1", conflicts_with = "unix")]
    host: String,
    /// The port; 0 takes any free one
    #[arg(long, default_value_t = 8080, conflicts_with = "unix")]
    port: u16,
    /// Listen at a Unix socket instead
    #[arg(long, value_name = "PATH")]
    unix: Option<PathBuf>,
    /// Speak TLS with this certificate: a PEM file
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// The certificate's private key: a PEM file
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
    /// A key that requests have to show; may be given several times. Other users of this machine can see it: a file or the
    /// variable BANTAM_API_KEYS (keys separated by commas) keeps it from them
    #[arg(long, value_name = "KEY")]
    api_key: Vec<String>,
    /// A file with such keys, one on each line
    #[arg(long, value_name = "FILE")]
    api_key_file: Option<PathBuf>,
    /// Let pages of this origin ask, such as https://example.org, or * for all; may be given several times
    #[arg(long, value_name = "ORIGIN")]
    cors: Vec<String>,
    /// What the weights of language models and encoders are held as; encoders have int8 for int4
    #[arg(long, value_enum, default_value_t = Format::Int8)]
    format: Format,
    /// What the keys and values of what was read are kept as; int8 takes about half the memory
    #[arg(long, value_enum, default_value_t = PastKind::Half)]
    past: PastKind,
    /// Threads; 0 takes all
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Answers that each language model makes at once [default: 32]
    #[arg(long, value_name = "COUNT")]
    most_running: Option<usize>,
    /// Answers that wait at each language model; more are turned away with status 429. Callers take turns, and one request, or key,
    /// has half of these places at most [default: 256]
    #[arg(long, value_name = "COUNT")]
    most_waiting: Option<usize>,
    /// Memory for what each language model has read, in MiB [default: 1024]
    #[arg(long, value_name = "MIB")]
    past_mebibytes: Option<usize>,
    /// The most tokens of an answer [default: as many as the model has positions for]
    #[arg(long, value_name = "COUNT")]
    most_tokens: Option<usize>,
    /// The largest body of a request, in KiB
    #[arg(long, value_name = "KIB", default_value_t = 4096)]
    most_body_kibibytes: usize,
    /// Seconds that an answer may take, its wait included [default: no limit]
    #[arg(long, value_name = "SECONDS")]
    deadline: Option<f64>,
    /// Seconds that started requests may go on after Ctrl-C or a signal to end
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0)]
    drain: f64,
    /// Log requests to standard error; what they say only with --log-prompts
    #[arg(long, value_enum)]
    log: Option<LogForm>,
    /// Log prompts, too
    #[arg(long, requires = "log")]
    log_prompts: bool,
}

/// How a log is written.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum LogForm {
    /// Lines for people
    Text,
    /// A JSON object on each line
    Json,
}

impl Arguments {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let options = self.options()?;
        match self.log {
            Some(LogForm::Text) => tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init(),
            Some(LogForm::Json) => tracing_subscriber::fmt().json().with_writer(std::io::stderr).init(),
            None => {}
        }
        if !self.log_prompts {
            hide_what_faults_say(self.log.is_some());
        }
        pool::set_threads(self.threads);
        let models = self.load()?;
        let names: Vec<String> = models.iter().map(|served| served.name.clone()).collect();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let scheme = if options.tls.is_some() { "https" } else { "http" };
        let ready = move |place: &Place| {
            let place = match place {
                Place::Address(address) => format!("{scheme}://{address}/"),
                Place::Socket(path) => path.display().to_string(),
            };
            let (names, verb) = (names.join(", "), if names.len() == 1 { "answers" } else { "answer" });
            let mut output = std::io::stdout().lock();
            // The server goes on where nobody reads this.
            let _ = writeln!(output, "{names} {verb} at {place} (Ctrl-C ends)").and_then(|()| output.flush());
        };
        Ok(runtime.block_on(bantam_server::serve(models, options, asked_to_end(), ready))?)
    }

    fn load(&self) -> anyhow::Result<Vec<Served>> {
        let mut models: Vec<Served> = Vec::new();
        for argument in &self.models {
            let (name, path) = named(argument)?;
            if models.iter().any(|served| served.name == name) {
                bail!("two models are called {name}; name them with NAME=PATH");
            }
            let is_bundle = path.extension().is_some_and(|extension| extension == "bantam") || hashes_features(&path);
            let model = if is_bundle {
                ServedModel::Bundle(Box::new(Assistant::open(&path, self.format.packed())?))
            } else if is_encoder(&path) {
                ServedModel::Encoder(Box::new(TaskModel::open(&path, self.format.packed())?))
            } else {
                ServedModel::Language(Box::new(self.past.of(open(&path, self.format)?)))
            };
            models.push(Served { name, model });
        }
        Ok(models)
    }

    fn options(&self) -> anyhow::Result<ServeOptions> {
        let place = match &self.unix {
            Some(path) => Place::Socket(path.clone()),
            None => Place::Address(self.address()?),
        };
        let plain = ServeOptions::at(place);
        let mut engine = plain.engine.clone();
        let counts = [
            ("--most-running", self.most_running, &mut engine.most_running),
            ("--most-waiting", self.most_waiting, &mut engine.most_waiting),
        ];
        for (flag, asked, count) in counts {
            if asked == Some(0) {
                bail!("{flag} is 0, and must be from 1");
            }
            *count = asked.unwrap_or(*count);
        }
        if let Some(mebibytes) = self.past_mebibytes {
            engine.past_bytes = mebibytes.checked_mul(1 << 20).context("--past-mebibytes is more than there can be")?;
        }
        let tls = self.tls_certificate.clone().zip(self.tls_key.clone());
        let deadline = self.deadline.map(|seconds| duration("--deadline", seconds)).transpose()?;
        let body_bytes = self.most_body_kibibytes.checked_mul(1 << 10).filter(|&bytes| bytes > 0);
        Ok(ServeOptions {
            tls: tls.map(|(certificate, key)| TlsFiles { certificate, key }),
            keys: self.keys()?,
            origins: self.cors.clone(),
            body_bytes: body_bytes.context("--most-body-kibibytes must be from 1, and no more than memory")?,
            answer_tokens: self.most_tokens,
            deadline,
            drain: duration("--drain", self.drain)?,
            engine,
            logs_prompts: self.log_prompts,
            ..plain
        })
    }

    fn keys(&self) -> anyhow::Result<Vec<String>> {
        let mut keys = self.api_key.clone();
        if let Some(path) = &self.api_key_file {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("cannot read {}; give --api-key-file a text file", path.display()))?;
            let before = keys.len();
            keys.extend(text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()));
            if keys.len() == before {
                bail!("{}: there is no key in it; write one on each line", path.display());
            }
        }
        let variable = std::env::var(KEYS_VARIABLE).unwrap_or_default();
        keys.extend(variable.split(',').map(|key| key.trim().to_owned()).filter(|key| !key.is_empty()));
        if keys.iter().any(|key| key.trim().is_empty()) {
            bail!("--api-key is empty; give a key of some length, such as 32 random letters");
        }
        Ok(keys)
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

/// Tells of a panic where it was and not what it said, which may quote a prompt.
fn hide_what_faults_say(is_logged: bool) {
    std::panic::set_hook(Box::new(move |panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        if is_logged {
            tracing::error!(place, "a fault of the program; please report it");
        } else {
            let _ = writeln!(std::io::stderr(), "a fault of the program at {place}; please report it");
        }
    }));
}

fn duration(flag: &str, seconds: f64) -> anyhow::Result<Duration> {
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => bail!("{flag} is {seconds}, and must be a number of seconds above 0"),
    }
}

/// The name and the path of a model: NAME=PATH, or a path whose last part without its ending is the name.
fn named(argument: &str) -> anyhow::Result<(String, PathBuf)> {
    if let Some((name, path)) = argument.split_once('=').filter(|(name, _)| !name.contains(['/', '\\']))
        && !Path::new(argument).exists()
    {
        if name.is_empty() || path.is_empty() {
            bail!("{argument}: a model is PATH or NAME=PATH");
        }
        return Ok((name.to_owned(), PathBuf::from(path)));
    }
    let path = PathBuf::from(argument);
    // The name of `.` is that of the folder it stands for.
    let whole = path.canonicalize().unwrap_or_else(|_| path.clone());
    let part = if is_folder(&whole) { whole.file_name() } else { whole.file_stem() };
    let name = part.with_context(|| format!("{argument}: it has no name; write NAME=PATH"))?;
    Ok((name.to_string_lossy().into_owned(), path))
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
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn arguments(line: &[&str]) -> Arguments {
        Line::try_parse_from([&["serve", "model"], line].concat()).unwrap().arguments
    }

    #[test]
    fn hosts_are_addresses_or_names() {
        let address = |host: &str| arguments(&["--port", "80", "--host", host]).address();
        assert_eq!(address("0.0.0.0").unwrap().to_string(), "0.0.0.0:80");
        assert_eq!(address("[::1]").unwrap().to_string(), "[::1]:80");
        assert!(address("not a host").unwrap_err().to_string().contains("--host not a host"));
    }

    #[test]
    fn models_are_called_by_their_files_unless_named() {
        let found = |argument| named(argument).unwrap();
        assert_eq!(found("runs/support.bantam"), ("support".to_owned(), PathBuf::from("runs/support.bantam")));
        assert_eq!(found("chat=models/a=b.gguf"), ("chat".to_owned(), PathBuf::from("models/a=b.gguf")));
        assert_eq!(found("./a=b.gguf").0, "a=b");
        assert_eq!(found(".").0, "bantam");
        assert!(named("=path").is_err() && named("name=").is_err());
    }

    #[test]
    fn the_help_names_the_defaults() {
        use clap::CommandFactory;
        let help = Line::command().render_long_help().to_string();
        let plain = bantam_server::ServeOptions::at(Place::Address(([127, 0, 0, 1], 0).into())).engine;
        let mebibytes = plain.past_bytes >> 20;
        for (flag, value) in
            [("running", plain.most_running), ("waiting", plain.most_waiting), ("mebibytes", mebibytes)]
        {
            let (_, after) = help.split_once(&format!("{flag} <")).unwrap();
            let (_, value_told) = after.split_once("[default: ").unwrap();
            assert!(value_told.starts_with(&format!("{value}]")), "{flag}: {after}");
        }
    }

    #[test]
    fn what_no_server_can_do_is_refused_by_flag() {
        let refused = |line: &[&str]| arguments(line).options().unwrap_err().to_string();
        assert!(refused(&["--deadline", "0"]).contains("--deadline is 0"));
        assert!(refused(&["--deadline", "nan"]).contains("--deadline"));
        assert!(refused(&["--drain=-1"]).contains("--drain is -1"));
        assert!(refused(&["--most-waiting", "0"]).contains("--most-waiting is 0"));
        assert!(refused(&["--most-body-kibibytes", "0"]).contains("--most-body-kibibytes"));
        assert!(refused(&["--api-key", ""]).contains("--api-key is empty"));
        assert!(refused(&["--api-key-file", "nowhere"]).contains("nowhere"));
    }
}
