//! Folder of the bars, looked for in a stated order where the configuration names none.

use std::{
    env,
    path::{Path, PathBuf},
};

use crate::config::RunSection;

/// The default of `run.data_dir`.
pub(crate) const DEFAULT_FOLDER: &str = "bars";
/// Variable that names the folder where no flag does.
const VARIABLE: &str = "ZERODTE_DATA";

impl RunSection {
    /// Returns the folder of the bars: that of the configuration; where it is the default `bars` and there is none, the
    /// folder that `ZERODTE_DATA` names, and then `zerodte/bars` in the user's data folder.
    pub fn data_folder(&self) -> PathBuf {
        let data_home = env::var_os("XDG_DATA_HOME").map(PathBuf::from);
        let data_home = data_home.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".local/share")));
        found(&self.data_dir, Path::exists, env::var_os(VARIABLE).map(PathBuf::from), data_home)
    }
}

fn found(
    named: &Path,
    exists: impl Fn(&Path) -> bool,
    variable: Option<PathBuf>,
    data_home: Option<PathBuf>,
) -> PathBuf {
    if named != Path::new(DEFAULT_FOLDER) || exists(named) {
        return named.to_owned();
    }
    let own = data_home.map(|home| home.join("zerodte").join(DEFAULT_FOLDER)).filter(|folder| exists(folder));
    variable.or(own).unwrap_or_else(|| named.to_owned())
}

/// Returns the ways to bars, for a folder that does not exist.
pub(crate) fn ways_to_bars() -> String {
    format!(
        "looked for --data-dir or run.data_dir, {DEFAULT_FOLDER}, ${VARIABLE} and ~/.local/share/zerodte/{DEFAULT_FOLDER}\n  \
         zerodte demo                        needs no bars\n  \
         zerodte train --data-dir FOLDER     reads SYMBOL_1m.parquet or .csv files\n  \
         zerodte import FILE                 turns a file of bars into such a folder\n  \
         zerodte train --data-source yahoo   fetches the last 30 days, without a key"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_looked_for_in_the_stated_order() {
        let own = "home/zerodte/bars";
        let of = |named: &str, existing: &[&str], variable: Option<&str>| {
            let exists = |path: &Path| existing.iter().any(|known| path == Path::new(known));
            let folder = found(Path::new(named), exists, variable.map(PathBuf::from), Some(PathBuf::from("home")));
            folder.to_str().unwrap().to_owned()
        };
        assert_eq!(of("elsewhere", &["bars", own], Some("variable")), "elsewhere", "a named folder wins");
        assert_eq!(of("bars", &["bars", own], Some("variable")), "bars");
        assert_eq!(of("bars", &[own], Some("variable")), "variable");
        assert_eq!(of("bars", &[own], None), own);
        assert_eq!(of("bars", &[], None), "bars", "nothing exists");
    }
}
