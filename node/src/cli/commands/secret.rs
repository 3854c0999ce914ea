//! `vaquita secret`: the secret by which the processes of a cluster know one another.

use std::io::ErrorKind;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::cli::exit::{Failure, Outcome, Status};
use crate::cli::terminal::Terminal;
use crate::secret_file::{self, SecretFileError};

/// The file's usual name, beside the file of `-config`.
pub(in crate::cli) const NAME: &str = "cluster.secret";

/// Make the secret by which the processes of a cluster know one another
///
/// Every process of a cluster needs the same file: beside the file of its `-config`, or where its
/// key `clusterSecretFile` says. Without one, processes talk on this machine only.
#[derive(Args, Clone, Debug)]
#[command(after_long_help = "\
Examples:
  vaquita secret                      writes ./cluster.secret
  vaquita secret generate config      writes config/cluster.secret
  vaquita secret path config          says where it is, and whether processes would take it
  scp -p config/cluster.secret P1:/vaquita/config/")]
pub(in crate::cli) struct MakeSecret {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Clone, Debug, Subcommand)]
enum Action {
    /// Write a new secret; a file that is there already stays as it is
    Generate {
        /// The file, or the directory that is to hold cluster.secret
        #[arg(value_name = "FILE|DIR", default_value = ".")]
        place: PathBuf,
    },
    /// Say where the secret is, and whether processes would take it
    Path {
        /// The file, or the directory that holds cluster.secret
        #[arg(value_name = "FILE|DIR", default_value = ".")]
        place: PathBuf,
    },
}

impl MakeSecret {
    pub(in crate::cli) fn run(self, terminal: &mut Terminal) -> Outcome {
        let action = self.action.unwrap_or(Action::Generate {
            place: PathBuf::from("."),
        });
        match action {
            Action::Generate { place } => {
                let path = file_of(place);
                secret_file::generate(&path).map_err(failed)?;
                terminal.say(path.display().to_string())?;
                terminal.note(
                    "copy it to every host, beside the file of -config, readable by its owner \
                     alone; whoever has it can join the cluster",
                )?;
                Ok(())
            }
            Action::Path { place } => {
                let path = file_of(place);
                secret_file::read(&path).map_err(failed)?;
                let path = std::path::absolute(&path).unwrap_or(path);
                Ok(terminal.say(path.display().to_string())?)
            }
        }
    }
}

fn file_of(place: PathBuf) -> PathBuf {
    if place.is_dir() {
        place.join(NAME)
    } else {
        place
    }
}

/// The failure of an operation on the file; its sentence says what to do.
pub(in crate::cli) fn failed(error: SecretFileError) -> Failure {
    let status = match &error {
        SecretFileError::Missing { .. } => Status::No,
        SecretFileError::Exposed { .. } => Status::Denied,
        SecretFileError::Malformed { .. } => Status::Damaged,
        SecretFileError::Exists { .. } => Status::Exists,
        SecretFileError::Io { source, .. } if source.kind() == ErrorKind::PermissionDenied => {
            Status::Denied
        }
        SecretFileError::Io { .. } => Status::Disk,
    };
    Failure::new(status, error.to_string())
}
