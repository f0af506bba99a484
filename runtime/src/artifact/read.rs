//! Reading an artifact. Nothing in the file is believed: names, sizes and places are compared with the file before
//! anything is read, content with its checksum before anything is decoded, and the plan is verified before it is run.

use super::entry::Interface;
use super::manifest::{Manifest, Member};
use super::{member, nesting};
use crate::file::error::{FileError, Place};
use crate::file::{Bytes, MappedFile, TensorFile, read_exactly};
use flate2::read::DeflateDecoder;
use nnc_ir::plan::{Plan, verify};
use nnc_kernels::CpuLevel;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use zip::{CompressionMethod, ZipArchive};

/// What would work for a file that is not whole.
const AGAIN: &str = "copy the file again, or build it again with `nnc build -o`";

/// An opened artifact: its manifest is read, its members are known to be there.
#[derive(Clone, Debug)]
pub struct Artifact {
    file: Arc<MappedFile>,
    parts: BTreeMap<String, Part>,
    manifest: Manifest,
}

/// Where a member lies.
#[derive(Clone, Debug)]
struct Part {
    range: Range<usize>,
    deflated: bool,
    /// Bytes, uncompressed.
    len: u64,
    crc32: u32,
}

impl Artifact {
    /// Maps a file, reads its manifest and compares the sizes of all members with it.
    pub fn open(path: &Path) -> Result<Artifact, FileError> {
        let file = Arc::new(MappedFile::open(path)?);
        let parts = directory(&file)?;
        let Some(part) = parts.get(member::MANIFEST) else {
            let message = format!("this archive has no `{}`: it is not made by nnc", member::MANIFEST);
            return Err(file.error("artifact::foreign", message));
        };
        let text = content(&file, member::MANIFEST, part, part.crc32)?;
        let manifest = Manifest::parse(&text).map_err(|(code, message)| {
            let error = file.error(code, message);
            if code == "artifact::version" {
                error.help("use that version of nnc, or build the file again")
            } else {
                error
            }
        })?;
        let artifact = Artifact { file, parts, manifest };
        artifact.check_members()?;
        Ok(artifact)
    }

    /// What the file says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Where the file lies.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// The plan, verified and compared with the manifest.
    pub fn plan(&self) -> Result<Plan, FileError> {
        let wrong = |message: String| {
            self.file
                .error("artifact::plan", format!("the plan {message}"))
                .at(Place::Part(member::PLAN.into()))
        };
        let plan: Plan = nesting::decode(&self.read(member::PLAN)?).map_err(wrong)?;
        verify(&plan).map_err(|errors| wrong(format!("is wrong: {}", errors.join("; "))))?;
        if Interface::of(&plan) != self.manifest.interface {
            return Err(wrong("is not the one that the manifest describes".into()));
        }
        Ok(plan)
    }

    /// The entries as tensor IR.
    pub fn graph(&self) -> Result<String, FileError> {
        self.text(member::GRAPH)
    }

    /// The readable texts of the kernels of `plan`, in its order.
    pub fn kernels(&self, plan: &Plan) -> Result<Vec<String>, FileError> {
        let kernels = plan.kernels.iter().enumerate();
        kernels.map(|(place, kernel)| self.text(&member::kernel(place, &kernel.name))).collect()
    }

    /// The machine code of every kernel of `plan` for processors of `level`.
    pub fn code(&self, plan: &Plan, level: CpuLevel) -> Result<Vec<Vec<u8>>, FileError> {
        let kernels = plan.kernels.iter().enumerate();
        let read = |(place, kernel): (usize, &nnc_ir::kernel::Kernel)| {
            let name = member::code(level.name(), place, &kernel.name);
            let code = self.read(&name)?;
            if code.is_empty() {
                return Err(self.file.error("artifact::damaged", "there is no code").at(Place::Part(name)));
            }
            Ok(code.to_vec())
        };
        kernels.map(read).collect()
    }

    /// The weights, mapped.
    pub fn weights(&self) -> Result<TensorFile, FileError> {
        self.read(member::WEIGHTS)?;
        let part = self.part(member::WEIGHTS)?;
        if part.deflated {
            let error = self.file.error("artifact::foreign", "weights are compressed and cannot be mapped");
            return Err(error.at(Place::Part(member::WEIGHTS.into())));
        }
        TensorFile::within(self.file.clone(), part.range.clone())
            .map_err(|error| error.within(member::WEIGHTS))
    }

    /// The level of code that this machine runs.
    pub fn level(&self) -> Result<CpuLevel, FileError> {
        self.manifest.target.level_here().map_err(|message| {
            let help = "build it on this machine, or run it with `nnc run --no-native`";
            self.file.error("artifact::target", message).help(help)
        })
    }

    fn part(&self, name: &str) -> Result<&Part, FileError> {
        self.parts.get(name).ok_or_else(|| {
            self.file.error("artifact::damaged", format!("the artifact lacks `{name}`")).help(AGAIN)
        })
    }

    /// A member whose checksum is the manifest's.
    fn read(&self, name: &str) -> Result<Bytes, FileError> {
        let part = self.part(name)?;
        let stated = self.manifest.members.iter().find(|member| member.name == name);
        let crc32 = stated.and_then(|member| u32::from_str_radix(&member.crc32, 16).ok());
        content(&self.file, name, part, crc32.ok_or_else(|| unlisted(&self.file, name))?)
    }

    fn text(&self, name: &str) -> Result<String, FileError> {
        let bytes = self.read(name)?;
        let text = std::str::from_utf8(&bytes).map_err(|error| {
            let place = Place::PartByte(name.to_string(), error.valid_up_to() as u64);
            self.file.error("artifact::foreign", "this is not UTF-8 text").at(place)
        })?;
        Ok(text.to_string())
    }

    /// Every member is listed with its size, and every listed member is there.
    fn check_members(&self) -> Result<(), FileError> {
        let mut listed = BTreeSet::from([member::MANIFEST]);
        for Member { name, bytes, .. } in &self.manifest.members {
            let part = self.part(name)?;
            if part.len != *bytes {
                let message = format!("the manifest says {bytes} bytes, the archive {}", part.len);
                let error = self.file.error("artifact::damaged", message).at(Place::Part(name.clone()));
                return Err(error.help(AGAIN));
            }
            listed.insert(name);
        }
        match self.parts.keys().find(|name| !listed.contains(name.as_str())) {
            Some(name) => Err(unlisted(&self.file, name)),
            None => Ok(()),
        }
    }
}

fn unlisted(file: &MappedFile, name: &str) -> FileError {
    let error = file.error("artifact::foreign", "the manifest does not list this member");
    error.at(Place::Part(name.to_string()))
}

/// The members by name. Their places are inside the file, their sizes possible and within the limits.
fn directory(file: &Arc<MappedFile>) -> Result<BTreeMap<String, Part>, FileError> {
    let foreign = |error: String| {
        let message = format!("an artifact is a zip archive, and this is none or not all of one: {error}");
        file.error("artifact::foreign", message).help(AGAIN)
    };
    let mut archive = ZipArchive::new(Cursor::new(&file[..])).map_err(|error| foreign(error.to_string()))?;
    let mut parts = BTreeMap::new();
    for index in 0..archive.len() {
        let found = archive.by_index_raw(index).map_err(|error| foreign(error.to_string()))?;
        let name = found.name().to_string();
        let wrong = |code, message: String| Err(file.error(code, message).at(Place::Part(name.clone())));
        let deflated = match found.compression() {
            CompressionMethod::Stored => false,
            CompressionMethod::Deflated => true,
            other => {
                return wrong("artifact::foreign", format!("members compressed by {other} are not read"));
            }
        };
        let (start, packed, len) = (found.data_start(), found.compressed_size(), found.size());
        let start = start.and_then(|start| usize::try_from(start).ok());
        let end =
            start.zip(usize::try_from(packed).ok()).and_then(|(start, packed)| start.checked_add(packed));
        let (Some(start), Some(end)) = (start, end.filter(|end| *end <= file.len())) else {
            return wrong("artifact::damaged", "the member leaves the file".into());
        };
        if len > member::largest(&name) {
            return wrong("artifact::large", format!("{len} bytes are more than this member may have"));
        }
        if !deflated && packed != len {
            return wrong("artifact::damaged", format!("{len} stored bytes take {packed} bytes"));
        }
        parts.insert(name, Part { range: start..end, deflated, len, crc32: found.crc32() });
    }
    Ok(parts)
}

/// The bytes of a member, if they have this checksum.
fn content(file: &Arc<MappedFile>, name: &str, part: &Part, crc32: u32) -> Result<Bytes, FileError> {
    let bytes = match part.deflated {
        false => Bytes::Mapped(file.clone(), part.range.clone()),
        true => {
            let packed = &file[part.range.clone()];
            let bytes =
                read_exactly(&mut DeflateDecoder::new(packed), part.len, packed.len() as u64, file.path(), 0);
            Bytes::owned(bytes.map_err(|error| error.within(name))?)
        }
    };
    let found = crc32fast::hash(&bytes);
    if found == crc32 {
        return Ok(bytes);
    }
    let message =
        format!("the content has checksum {found:08x}, it was written with {crc32:08x}: it is damaged");
    Err(file.error("artifact::damaged", message).at(Place::Part(name.to_string())).help(AGAIN))
}
