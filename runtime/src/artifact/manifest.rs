//! What an artifact says of itself.

use super::entry::Interface;
use super::target::Target;
use serde::{Deserialize, Serialize};

/// The version of the format. It grows whenever an older reader would misread a newer file: with every change of the
/// types of a plan, of the members, or of the calling convention of kernels.
pub const SCHEMA: u32 = 1;

/// The first word of a manifest.
const FORMAT: &str = "nnb";

/// What an artifact says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// `nnb`.
    format: String,
    /// The version of the format.
    pub schema: u32,
    /// The version of nnc that wrote the file.
    pub nnc: String,
    /// The model.
    pub model: String,
    /// What its code was made for.
    pub target: Target,
    /// What can be called with what.
    #[serde(flatten)]
    pub interface: Interface,
    /// Every other member.
    pub members: Vec<Member>,
}

/// A member of the archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Its bytes, uncompressed.
    pub bytes: u64,
    /// The CRC-32 of its bytes, eight hexadecimal digits.
    pub crc32: String,
}

impl Manifest {
    /// A manifest of this version.
    pub(super) fn new(model: &str, target: Target, interface: Interface, members: Vec<Member>) -> Manifest {
        let (format, nnc) = (FORMAT.to_string(), env!("CARGO_PKG_VERSION").to_string());
        Manifest { format, schema: SCHEMA, nnc, model: model.to_string(), target, interface, members }
    }

    /// Reads a manifest; an error is its code and message.
    pub(super) fn parse(text: &[u8]) -> Result<Manifest, (&'static str, String)> {
        /// What every version of the format has.
        #[derive(Deserialize)]
        struct Version {
            format: String,
            schema: u32,
            nnc: String,
        }
        let foreign = |error: String| ("artifact::foreign", format!("the manifest cannot be read: {error}"));
        let text = std::str::from_utf8(text).map_err(|error| foreign(error.to_string()))?;
        let version: Version = serde_json::from_str(text).map_err(|error| foreign(error.to_string()))?;
        if version.format != FORMAT {
            return Err(foreign(format!("its format is `{}`, not `{FORMAT}`", version.format)));
        }
        if version.schema > SCHEMA {
            let (found, by) = (version.schema, version.nnc);
            let message =
                format!("nnc {by} wrote this in format {found}; this nnc reads formats up to {SCHEMA}");
            return Err(("artifact::version", message));
        }
        if version.schema < SCHEMA {
            let (found, by) = (version.schema, version.nnc);
            let message = format!("nnc {by} wrote this in format {found}; this nnc reads format {SCHEMA}");
            return Err(("artifact::version", message));
        }
        serde_json::from_str(text).map_err(|error| foreign(error.to_string()))
    }
}
