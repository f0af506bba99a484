//! The compiler's world on a real machine: local modules are files beside the program.

use nnc_compiler::world::{DataInfo, DataSource, World};
use std::path::{Path, PathBuf};

/// Files beside a program.
pub struct Files {
    folder: PathBuf,
}

impl Files {
    /// The folder `program` lies in.
    pub fn beside(program: &Path) -> Files {
        Files { folder: program.parent().unwrap_or(Path::new("")).to_path_buf() }
    }
}

impl World for Files {
    fn read(&self, path: &str) -> Result<String, String> {
        std::fs::read_to_string(self.folder.join(path)).map_err(|error| error.to_string())
    }

    fn data(&self, _: &DataSource) -> Option<DataInfo> {
        None
    }
}
