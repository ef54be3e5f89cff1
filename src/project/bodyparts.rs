//! Renaming, adding and removing body parts, with the labels carried along.

use super::Project;
use crate::error::Result;
use crate::watch::Watch;
use serde::{Deserialize, Serialize};
use std::fs::File;

/// A change of the body parts of a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BodypartChange {
    /// Gives a body part another name.
    Rename {
        /// As it is called now.
        from: String,
        /// As it is to be called.
        to: String,
    },
    /// Adds body parts, at the end of the list.
    Add {
        /// Their names.
        names: Vec<String>,
    },
    /// Takes a body part out, with its labels.
    Remove {
        /// Its name.
        name: String,
    },
}

impl BodypartChange {
    /// Makes the change.
    ///
    /// # Errors
    /// Always, for now.
    pub fn apply(&self, project: &Project, _watch: &dyn Watch) -> Result<Project> {
        Err(crate::Error::new(crate::Kind::Usage, "body parts cannot be changed yet")
            .at(project.root().display()))
    }

    /// What was done, for people.
    #[must_use]
    pub fn done(&self) -> String {
        String::new()
    }
}

pub(super) fn must_be_finished(_project: &Project) -> Result<()> {
    Ok(())
}
pub(super) fn finish(_project: &Project, _lock: &File, _watch: &dyn Watch) -> Result<Option<Project>> {
    Ok(None)
}
