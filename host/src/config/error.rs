//! What is wrong with a configuration, and where.

use std::fmt;
use std::path::PathBuf;

/// Everything that is wrong with a configuration: at least one error. As text: one line each.
#[derive(Debug)]
pub struct ConfigErrors(Vec<ConfigError>);

/// One thing that is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the file system says.
        source: std::io::Error,
    },
    /// The file's name does not say what it is written in.
    #[error("{}: the name of a configuration file ends in .toml or .json", path.display())]
    Extension {
        /// The file.
        path: PathBuf,
    },
    /// The file is not TOML or JSON.
    #[error("{}:{line}:{column}: {message}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
        /// What was found or expected.
        message: String,
    },
    /// A key that does not exist, or a value that cannot be.
    #[error("{place}{}{key}: {message}", if matches!(place, Place::Nowhere) { "" } else { ": " })]
    Key {
        /// Who set it.
        place: Place,
        /// Its path, such as `routes[0].intake.path`.
        key: String,
        /// What is wrong and what to do.
        message: String,
    },
    /// The command line or the machine leaves something open that no key can be named for.
    #[error("{0}")]
    Usage(String),
}

/// Who set a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A file.
    File {
        /// The file.
        path: PathBuf,
        /// From 1, where it is known.
        line: Option<usize>,
    },
    /// A variable of the environment.
    Environment(String),
    /// A flag of the command line.
    Flag(&'static str),
    /// Nobody: it is a default, or absent.
    Nowhere,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File { path, line: Some(line) } => write!(f, "{}:{line}", path.display()),
            Place::File { path, line: None } => write!(f, "{}", path.display()),
            Place::Environment(name) => f.write_str(name),
            Place::Flag(flag) => f.write_str(flag),
            Place::Nowhere => Ok(()),
        }
    }
}

impl ConfigErrors {
    /// The errors in the order in which they were found.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        self.0.iter()
    }

    /// These, and one more after them.
    pub(super) fn and(mut self, error: ConfigError) -> ConfigErrors {
        self.0.push(error);
        self
    }

    /// Nothing if there are no errors.
    pub fn from_vec(errors: Vec<ConfigError>) -> Option<ConfigErrors> {
        (!errors.is_empty()).then_some(ConfigErrors(errors))
    }
}

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        ConfigErrors(vec![error])
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}
