//! The arguments of every command that follows a recipe.

use std::path::{Path, PathBuf};

use bantam_kernels::pool;
use bantam_pipeline::{DataSource, Recipe, RunOptions};

/// Which recipe to follow, and how.
#[derive(clap::Args)]
pub(super) struct Following {
    /// The recipe: a folder with recipe.toml, or the file itself
    pub(super) recipe: PathBuf,
    /// A folder of other texts: CLINC150, BANKING77, or files named train.*, test.*, validation.*, unlabelled.*, and the first three with out_of_scope_ before them; with each of these background.*
    #[arg(long)]
    pub(super) data: Option<PathBuf>,
    /// The folder of what is made; runs/NAME when absent. What is there already is not made again
    #[arg(long)]
    pub(super) out: Option<PathBuf>,
    /// Another seed than the recipe's
    #[arg(long)]
    pub(super) seed: Option<u64>,
    /// Threads; 0 takes all
    #[arg(long, default_value_t = 0)]
    pub(super) threads: usize,
}

impl Following {
    /// The recipe as these arguments have it.
    pub(super) fn recipe(&self) -> anyhow::Result<Recipe> {
        pool::set_threads(self.threads);
        let mut recipe = Recipe::read(&self.recipe)?;
        recipe.text.seed = self.seed.unwrap_or(recipe.text.seed);
        Ok(recipe)
    }

    /// Where its texts come from and where what is made goes.
    pub(super) fn options(&self, recipe: &Recipe) -> anyhow::Result<RunOptions> {
        let source = self.data.as_deref().map_or(Ok(DataSource::Recipe), DataSource::of_folder)?;
        let out = self.out.clone().unwrap_or_else(|| default_folder(&recipe.text.name, self.data.as_deref()));
        Ok(RunOptions { source, out })
    }
}

fn default_folder(name: &str, data: Option<&Path>) -> PathBuf {
    let data = data.and_then(Path::file_name).map(|data| format!("-{}", data.to_string_lossy()));
    Path::new("runs").join(format!("{name}{}", data.unwrap_or_default()))
}
