//! CUDA C++ to machine code by NVRTC, found when first asked for: at `NNC_NVRTC` (the library or its folder), else
//! where the loader looks.

use cudarc::nvrtc::{result, sys};
use libloading::Library;
use std::ffi::{CString, c_char};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Machine code for one architecture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cubin {
    /// Such as `sm_80`.
    pub arch: String,
    /// An ELF file.
    pub code: Vec<u8>,
}

/// Why a source was not compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompileError {
    /// NVRTC is not installed.
    NoCompiler,
    /// `NNC_NVRTC` names no library that can be loaded.
    NotLoaded {
        /// Its value.
        path: PathBuf,
        /// What the loader says.
        why: String,
    },
    /// Source or architecture contain a zero byte.
    ZeroByte,
    /// The compiler refused the source: its report.
    Refused(String),
    /// The compiler failed.
    Failed(String),
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CompileError::NoCompiler => f.write_str(
                "the CUDA compiler library (libnvrtc) is not installed: install it, or set NNC_NVRTC to it",
            ),
            CompileError::NotLoaded { path, why } => {
                write!(f, "NNC_NVRTC is `{}`, which cannot be loaded: {why}", path.display())
            }
            CompileError::ZeroByte => f.write_str("CUDA source contains a zero byte"),
            CompileError::Refused(report) => write!(f, "the CUDA compiler refused a kernel:\n{report}"),
            CompileError::Failed(why) => write!(f, "the CUDA compiler failed: {why}"),
        }
    }
}

impl std::error::Error for CompileError {}

/// Whether [`compile`] can work, or why not.
pub fn compiler_is_present() -> Result<(), CompileError> {
    // The libraries stay loaded: the binding finds them by their names among those in memory.
    static LOADED: OnceLock<Result<Vec<Library>, CompileError>> = OnceLock::new();
    let load_named = || std::env::var_os("NNC_NVRTC").map_or(Ok(Vec::new()), |path| load(Path::new(&path)));
    LOADED.get_or_init(load_named).as_ref().map_err(Clone::clone)?;
    // SAFETY: loads a library by name and runs its initializers, as any use of it would.
    if unsafe { sys::is_culib_present() } { Ok(()) } else { Err(CompileError::NoCompiler) }
}

/// The compiler at `path`, a file or its folder, and the built-in functions that lie beside it.
fn load(path: &Path) -> Result<Vec<Library>, CompileError> {
    let refuse = |why: String| CompileError::NotLoaded { path: path.to_path_buf(), why };
    let folder = if path.is_dir() { path } else { path.parent().unwrap_or(path) };
    let entries = std::fs::read_dir(folder).map_err(|error| refuse(error.to_string()))?;
    let mut names: Vec<String> = entries.flatten().filter_map(|e| e.file_name().into_string().ok()).collect();
    names.sort();
    let builtins = names.iter().find(|name| name.starts_with("libnvrtc-builtins.so"));
    let compiler = match path.is_dir() {
        true => names.iter().find(|name| name.starts_with("libnvrtc.so")).map(|name| folder.join(name)),
        false => Some(path.to_path_buf()),
    };
    let compiler = compiler.ok_or_else(|| refuse("the folder has no libnvrtc.so".to_string()))?;
    let files = builtins.map(|name| folder.join(name)).into_iter().chain([compiler]);
    // SAFETY: the user names these files as the compiler library.
    let load = |file: PathBuf| unsafe { Library::new(file) }.map_err(|error| refuse(error.to_string()));
    files.map(load).collect()
}

/// Compiles `source` for an architecture such as `sm_80` or `sm_90a`.
pub fn compile(source: &str, arch: &str) -> Result<Cubin, CompileError> {
    compiler_is_present()?;
    let source = CString::new(source).map_err(|_| CompileError::ZeroByte)?;
    let option = format!("--gpu-architecture={arch}");
    CString::new(option.as_str()).map_err(|_| CompileError::ZeroByte)?;
    let program = Program(result::create_program(&source, None).map_err(failed)?);
    // SAFETY: the program is alive until `program` is dropped.
    let compiled = unsafe { result::compile_program(program.0, &[option.as_str(), "--std=c++17"]) };
    compiled.map_err(|error| program.refusal(error))?;
    Ok(Cubin { arch: arch.to_string(), code: program.code()? })
}

/// A program of the compiler, destroyed when dropped.
struct Program(sys::nvrtcProgram);

impl Program {
    fn refusal(&self, error: result::NvrtcError) -> CompileError {
        // SAFETY: the program is alive.
        let Ok(log) = (unsafe { result::get_program_log(self.0) }) else { return failed(error) };
        let bytes: Vec<u8> = log.iter().map(|c| *c as u8).take_while(|c| *c != 0).collect();
        match String::from_utf8_lossy(&bytes).trim() {
            "" => failed(error),
            report => CompileError::Refused(report.to_string()),
        }
    }

    fn code(&self) -> Result<Vec<u8>, CompileError> {
        let mut size = 0;
        // SAFETY: the program is alive; the compiler writes one number.
        unsafe { sys::nvrtcGetCUBINSize(self.0, &mut size) }.result().map_err(failed)?;
        let mut code = vec![0u8; size];
        // SAFETY: the program is alive; the compiler writes as many bytes as it said.
        unsafe { sys::nvrtcGetCUBIN(self.0, code.as_mut_ptr().cast::<c_char>()) }.result().map_err(failed)?;
        match code.is_empty() {
            true => Err(CompileError::Failed("it made no code for this architecture".to_string())),
            false => Ok(code),
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // SAFETY: made by `create_program`, destroyed once. There is nobody to report a failure to.
        let _ = unsafe { result::destroy_program(self.0) };
    }
}

fn failed(error: result::NvrtcError) -> CompileError {
    CompileError::Failed(error.to_string())
}
