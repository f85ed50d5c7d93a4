//! What can go wrong, in kinds by what the user can do about it.

use std::fmt;
use std::path::{Path, PathBuf};

/// The result of an operation of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the engine or of its runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder is not there, or cannot be read: put it there, or correct the path.
    NotFound {
        /// What was looked for.
        path: PathBuf,
        /// Why it could not be used, and what to do.
        hint: String,
    },
    /// A model file is not what it should be: get the right one.
    Model {
        /// The file at fault.
        file: PathBuf,
        /// What it should hold.
        expected: String,
        /// What it holds.
        found: String,
    },
    /// A setting has a value that cannot be used: change it.
    Setting {
        /// The setting's name, as the user writes it.
        name: &'static str,
        /// The value given.
        value: String,
        /// What would do.
        expected: String,
    },
    /// ONNX Runtime's shared library cannot be found or used: install it, or say where it is.
    Library {
        /// What was tried, why each failed, and what to install.
        message: String,
    },
    /// The network failed while it ran: the model and the library do not fit, or memory ran out.
    Network {
        /// What the network was doing, and what it says.
        message: String,
    },
    /// The caller gave the operation up: nothing is wrong.
    Cancelled,
}

impl Error {
    /// A model file that is not what it should be.
    pub fn model(file: impl AsRef<Path>, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self::Model { file: file.as_ref().into(), expected: expected.into(), found: found.into() }
    }

    /// A file that is missing or unreadable.
    pub fn not_found(path: impl AsRef<Path>, hint: impl Into<String>) -> Self {
        Self::NotFound { path: path.as_ref().into(), hint: hint.into() }
    }

    /// A failure of the network at run time.
    pub fn network(message: impl Into<String>) -> Self {
        Self::Network { message: message.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound { path, hint } => write!(f, "{}: {hint}", path.display()),
            Self::Model { file, expected, found } => {
                write!(f, "{}: expected {expected}, found {found}", file.display())
            }
            Self::Setting { name, value, expected } => write!(f, "{name}={value}: expected {expected}"),
            Self::Library { message } => write!(f, "ONNX Runtime: {message}"),
            Self::Network { message } => write!(f, "inference failed: {message}"),
            Self::Cancelled => write!(f, "cancelled"),
        }
    }
}

impl std::error::Error for Error {}
