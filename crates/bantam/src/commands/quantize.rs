//! `bantam quantize`: a language model in fewer bits, or a recipe followed as far as its bundle.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, ensure};
use bantam_compress::{Importance, group};
use bantam_eval::language::{Divergence, Windows, divergence};
use bantam_kernels::gemm::grouped::Bits;
use bantam_kernels::memory::Mapped;
use bantam_kernels::pool;
use bantam_model::arrays::Arrays;
use bantam_model::folder::PredictorFolder;
use bantam_model::gguf::{Gguf, TensorFormat, write_predictor};
use bantam_model::schema::{Entry, Kind};
use bantam_pipeline::{Goal, Observer};
use serde_json::json;

use super::eval::{divergence_table, watched, windows_of};
use super::following::Following;
use super::language_model::{Format, open, read};
use super::make::follow;
use super::print_json;
use crate::screen::Screen;

/// The arguments of `bantam quantize`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  bantam quantize model --to q8_0 --out model.gguf
  bantam quantize model --to q4_0 --calibration texts.txt --out small.gguf
  bantam quantize recipes/support

With --to, MODEL is a language model and what is written is a GGUF file, which llama.cpp loads too. The last tenth of the calibration text is
not calibrated with: the result is compared with the original on it, unless --text names another text. Weights whose rows are no multiple of
32 numbers are stored with 16 bits; the report says how many.")]
pub(crate) struct Arguments {
    /// With --to a language model: a Hugging Face folder, a GGUF file, or a llama2.c file; otherwise a recipe
    model: PathBuf,
    /// The format of the weights; without it, a recipe is followed
    #[arg(long, value_enum)]
    to: Option<Target>,
    /// The format of the table of tokens and of the head, where it is another
    #[arg(long, value_enum, requires = "to")]
    table: Option<Target>,
    /// Plain text as the model will meet it: each weight counts as much as it is used there
    #[arg(long, requires = "to")]
    calibration: Option<PathBuf>,
    /// Plain text on which the result is compared with the original
    #[arg(long, requires = "to")]
    text: Option<PathBuf>,
    /// Write over a file that is there
    #[arg(long, requires = "to")]
    force: bool,
    /// Where the GGUF file goes; for a recipe the folder of all that is made, runs/NAME when absent
    #[arg(long)]
    out: Option<PathBuf>,
    /// Other texts for a recipe
    #[arg(long, conflicts_with = "to")]
    data: Option<PathBuf>,
    /// Another seed than the recipe's
    #[arg(long, conflicts_with = "to")]
    seed: Option<u64>,
    /// Threads; 0 takes all
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What weights can be stored as.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Target {
    /// 32 bits
    F32,
    /// 16 bits, half precision
    F16,
    /// 16 bits, the range of 32
    Bf16,
    /// 8 bits in groups of 32 with a scale each: 8.5 bits a weight
    #[value(name = "q8_0", alias = "int8")]
    Q8,
    /// 4 bits in groups of 32 with a scale each: 4.5 bits a weight
    #[value(name = "q4_0", alias = "int4")]
    Q4,
}

impl Target {
    /// Bits of a code, `None` for plain numbers.
    fn bits(self) -> Option<Bits> {
        match self {
            Self::Q8 => Some(Bits::Eight),
            Self::Q4 => Some(Bits::Four),
            Self::F32 | Self::F16 | Self::Bf16 => None,
        }
    }

    /// The format of plain numbers, `None` for groups.
    fn plain(self) -> Option<TensorFormat> {
        match self {
            Self::F32 => Some(TensorFormat::F32),
            Self::F16 => Some(TensorFormat::F16),
            Self::Bf16 => Some(TensorFormat::Bf16),
            Self::Q8 | Self::Q4 => None,
        }
    }
}

/// One part of so many windows of the calibration text is kept for the comparison.
const HELD_OUT: usize = 10;

impl Arguments {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self.to {
            Some(target) => self.quantize(target),
            None => self.follow(),
        }
    }

    fn follow(self) -> anyhow::Result<()> {
        let is_model =
            self.model.join("config.json").exists() || self.model.extension().is_some_and(|end| end == "gguf");
        ensure!(!is_model, "{}: a model; name the format that it shall have with --to", self.model.display());
        let Self { model, out, data, seed, threads, json, .. } = self;
        follow(&Following { recipe: model, data, out, seed, threads }, Goal::Bundle, json)
    }

    fn quantize(&self, target: Target) -> anyhow::Result<()> {
        let began = Instant::now();
        pool::set_threads(self.threads);
        let out = self.out.as_deref().context("name the file that is to be written with --out")?;
        ensure!(out.extension().is_some_and(|end| end == "gguf"), "{}: name a file that ends in .gguf", out.display());
        ensure!(self.force || !out.exists(), "{}: is there already; --force writes over it", out.display());
        let table = self.table.unwrap_or(target);
        let plain = target.plain().or(table.plain()).unwrap_or(TensorFormat::F16);
        ensure!(
            table.plain().is_none_or(|format| format == plain),
            "two formats of plain numbers cannot be in one file; --table takes q8_0 or q4_0 here"
        );
        let model = read(&self.model)?;
        let (calibration, comparison) = self.texts(&model)?;
        let mut screen = Screen::new();
        let arrays = stored(&model, target, table, calibration, &mut screen)?;
        write_predictor(
            out,
            model.architecture.as_ref(),
            &arrays,
            model.tokenizer.as_ref(),
            model.chat_template.as_deref(),
            &model.ends,
            plain,
        )?;
        drop((arrays, model));
        let compared = comparison.map(|windows| self.compare(out, &windows, &mut screen)).transpose();
        screen.finish();
        let written = Written { compared: compared?, seconds: began.elapsed().as_secs_f64(), ..Written::of(out)? };
        if self.json { Ok(print_json(&written.json(out))?) } else { written.print(out) }
    }

    /// The texts to calibrate with and to compare on.
    fn texts(&self, model: &PredictorFolder) -> anyhow::Result<(Option<Windows>, Option<Windows>)> {
        let windows =
            |path: &PathBuf| windows_of(path, None, model.tokenizer.as_ref(), model.architecture.max_tokens());
        let calibration = self.calibration.as_ref().map(windows).transpose()?;
        let comparison = self.text.as_ref().map(windows).transpose()?;
        Ok(match (calibration, comparison) {
            (Some(all), None) if all.count() > 1 => {
                let used = all.count() - (all.count() / HELD_OUT).max(1);
                (Some(all.clone().first(used)), Some(all.after(used)?))
            }
            texts => texts,
        })
    }

    fn compare(&self, out: &Path, windows: &Windows, screen: &mut Screen) -> anyhow::Result<Divergence> {
        let (model, original) = (open(out, Format::F32)?, open(&self.model, Format::F32)?);
        Ok(watched(screen, "comparison", windows, |watch| divergence(&model, &original, windows, watch))?)
    }
}

/// The arrays as they are to be stored.
fn stored(
    model: &PredictorFolder,
    target: Target,
    table: Target,
    calibration: Option<Windows>,
    screen: &mut Screen,
) -> anyhow::Result<Arrays> {
    let architecture = model.architecture.as_ref();
    let importance = calibration.map(|windows| {
        let (count, mut done) = (windows.count(), 0);
        watched(screen, "calibration", &windows, |watch| {
            Importance::measure(
                architecture,
                &model.weights,
                (0..count).map(|index| windows.window(index)),
                &mut || {
                    done += 1;
                    watch(done as f64 / count as f64)
                },
            )
        })
    });
    ensure!(!screen.is_stopped(), "stopped before anything was written");
    screen.stage("fitting", "scales and codes of each group", false);
    let head = architecture.head_entry().name();
    let is_table = |entry: &Entry| entry.kind == Kind::Table || entry.name() == head;
    let bits = |entry: &Entry| if is_table(entry) { table.bits() } else { target.bits() };
    Ok(group(architecture.schema(), &model.weights.to_arrays(), bits, importance.as_ref()))
}

/// What was written.
struct Written {
    file_bytes: u64,
    parameters: usize,
    bits_per_weight: f64,
    /// How many weights have which format.
    formats: BTreeMap<&'static str, usize>,
    compared: Option<Divergence>,
    seconds: f64,
}

/// Why there is no comparison.
const NOT_COMPARED: &str =
    "not compared with the original: name a text with --text, or a --calibration of two windows or more";

impl Written {
    /// Looks into the file, so that what is told is what is there.
    fn of(path: &Path) -> anyhow::Result<Self> {
        let bytes = Mapped::open(path).with_context(|| path.display().to_string())?;
        let file = Gguf::parse(&bytes)?;
        let (mut formats, mut tensor_bytes) = (BTreeMap::new(), 0);
        for tensor in file.tensors().values() {
            *formats.entry(tensor.format.name()).or_default() += tensor.shape.iter().product::<usize>();
            tensor_bytes += tensor.bytes.len();
        }
        let parameters: usize = formats.values().sum();
        let bits_per_weight = 8.0 * tensor_bytes as f64 / parameters.max(1) as f64;
        Ok(Self { file_bytes: bytes.len() as u64, parameters, bits_per_weight, formats, compared: None, seconds: 0.0 })
    }

    fn json(&self, path: &Path) -> serde_json::Value {
        json!({
            "path": path,
            "bytes": self.file_bytes,
            "parameters": self.parameters,
            "bits_per_weight": self.bits_per_weight,
            "weights_by_format": self.formats,
            "divergence": self.compared,
            "not_compared": self.compared.is_none().then_some(NOT_COMPARED),
            "seconds": self.seconds,
        })
    }

    fn print(&self, path: &Path) -> anyhow::Result<()> {
        let mut output = std::io::stdout().lock();
        let Self { file_bytes, parameters, bits_per_weight, formats, compared, seconds } = self;
        let formats: Vec<String> = formats.iter().map(|(name, count)| format!("{count} as {name}")).collect();
        writeln!(output, "{:<28} {:.2} MB in {}", "File", *file_bytes as f64 / 1e6, path.display())?;
        writeln!(output, "{:<28} {parameters}: {}", "Weights", formats.join(", "))?;
        writeln!(output, "{:<28} {bits_per_weight:.3}", "Bits a weight")?;
        match compared {
            Some(found) => output.write_all(divergence_table(found).as_bytes())?,
            None => writeln!(output, "{NOT_COMPARED}")?,
        }
        Ok(writeln!(output, "{:<28} {seconds:.1}", "Seconds")?)
    }
}
