//! Plugins: from a file in a folder to a converter that jobs can use, and back out again, while everything runs.
//!
//! [`load_file`] takes one file through digest, compiling (in a child process) and checks; [`PluginFolder`] does so with a folder
//! and everything that changes in it; [`Registry`] is what the others ask. None of them knows queues, routes or deliveries.

pub mod build;
pub mod child;
pub mod contract;
pub mod file;
pub mod wrap;

mod ask;
mod bad_producers;
pub mod bundled;
mod compiled;
mod compiler;
mod descriptor;
mod entry;
mod folder;
mod grant;
mod limits;
mod load;
mod options;
mod patterns;
mod plugin;
mod private;
mod registry;
mod route_options;
mod schema;
mod settings;
mod signature;
pub mod signing;
mod suspension;
mod versions;
mod watch;

pub use ask::{Answer, ask};
pub use compiled::{COMPILED_FOLDER, Report};
pub use compiler::{CompileError, set_compiler};
pub use descriptor::{DescriptorError, is_name};
pub use folder::{load_folder, load_folder_telling};
pub use grant::NotGranted;
pub use limits::LoadLimits;
pub use load::{LoadCause, LoadError, load_bundled, load_file};
pub use options::{OptionInfo, Options, OptionsError};
pub use plugin::Plugin;
pub use private::{PrivateFolderError, is_own_folder, open as open_private_folder};
pub use registry::{PluginStatus, Refusal, Registry, Running};
pub use route_options::{OptionsVerdict, RouteOptions, check_options};
pub use schema::SchemaError;
pub use settings::LoadSettings;
pub use suspension::{Admission, Change, Pass, Release, Suspended, SuspensionPolicy, Suspensions};
pub use versions::{KEPT, Rollback, VERSIONS_FOLDER, Version, Versions};
pub use watch::{PluginFolder, PluginsError};
