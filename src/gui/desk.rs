//! What lies on the desk while a project is open, and what every view is handed.

use super::dialogs::Dialogs;
use super::keys::Fired;
use super::notices::Notices;
use super::prefs::Prefs;
use crate::error::Result;
use crate::jobs::{Handle, Jobs, Wake};
use crate::labeling::Session;
use crate::pose::{FrameKey, Skeleton};
use crate::project::{Project, ProjectVideo};
use crate::watch::Watch;
use std::path::Path;
use std::sync::Arc;

/// The views of an open project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// What the project is, its body parts and skeleton.
    Project,
    /// Videos, and choosing frames from them.
    Videos,
    /// Labeling.
    Label,
    /// Training and evaluation.
    Train,
    /// Analysis, and its results.
    Analyze,
    /// Several cameras, and points in space.
    Space,
}

impl Place {
    /// All of them, in the order of the work.
    pub const ALL: [Self; 6] =
        [Self::Project, Self::Videos, Self::Label, Self::Train, Self::Analyze, Self::Space];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Project => "Project",
            Self::Videos => "Videos",
            Self::Label => "Label",
            Self::Train => "Train",
            Self::Analyze => "Analyze",
            Self::Space => "3D",
        }
    }
}

/// A project as it was last read from disk.
#[derive(Debug)]
pub struct Contents {
    /// Configuration and settings.
    pub project: Project,
    /// Its videos, found or not.
    pub videos: Vec<ProjectVideo>,
    /// All pictures under `labeled-data/`, labelled or not, sorted.
    pub pictures: Vec<FrameKey>,
}

impl Contents {
    /// Reads a project; for a job.
    ///
    /// # Errors
    /// As [`Project::open`].
    pub fn read(path: &Path, watch: &dyn Watch) -> Result<Self> {
        Self::of(Project::open(path, watch)?)
    }

    fn of(project: Project) -> Result<Self> {
        let (videos, pictures) = (project.videos(), project.pictures()?);
        Ok(Self { project, videos, pictures })
    }
}

/// A project that is open in the window.
pub struct OpenProject {
    /// As last read.
    pub contents: Arc<Contents>,
    /// Grows with every reading, so that views know when to look again.
    pub revision: u64,
    /// The labels, being edited.
    pub labels: Session,
    changing: Vec<Handle<Contents>>,
    /// The points as the label keeper last had them; it changes them when body parts change.
    points: Skeleton,
}

impl OpenProject {
    /// Takes a project that was read, and opens its labels.
    #[must_use]
    pub fn new(contents: Contents, wake: &Wake) -> Self {
        let labels = Session::open(&contents.project, Arc::clone(wake));
        let points = contents.project.skeleton();
        Self { contents: Arc::new(contents), revision: 1, labels, changing: Vec::new(), points }
    }

    /// The project.
    #[must_use]
    pub fn project(&self) -> &Project {
        &self.contents.project
    }

    /// Reads the project again: after frames were extracted or videos added.
    pub fn refresh(&mut self, jobs: &mut Jobs) {
        self.change(jobs, "Reading the project", |_, _| Ok(()));
    }

    /// Changes the project on disk: `work` gets it as it is there now, changes it and saves; the window then shows
    /// what came of it.
    pub fn change(
        &mut self,
        jobs: &mut Jobs,
        title: &str,
        work: impl FnOnce(&mut Project, &dyn Watch) -> Result<()> + Send + 'static,
    ) {
        let root = self.project().root().to_path_buf();
        self.changing.push(jobs.start_quiet(title, move |watch| {
            let mut project = Project::open(&root, watch)?;
            work(&mut project, watch)?;
            Contents::of(project)
        }));
    }

    /// Whether a change or reading is under way.
    #[must_use]
    pub fn is_changing(&self) -> bool {
        !self.changing.is_empty()
    }

    /// Takes what has arrived since the last pass.
    pub(super) fn poll(&mut self, jobs: &mut Jobs, notices: &mut Notices) {
        let mut read = None;
        self.changing.retain_mut(|handle| {
            let running = handle.is_running(); // asked first: what it brought before it ended is there then
            match handle.poll() {
                None => running,
                Some(result) => {
                    read = result.ok().or(read.take());
                    false
                }
            }
        });
        if let Some(contents) = read {
            self.contents = Arc::new(contents);
            self.revision += 1;
            self.labels.reload(&self.contents.project);
        }
        for notice in self.labels.poll() {
            notices.tell(notice.severity, "Labels", notice.text);
        }
        if self.labels.labels().skeleton != self.points {
            self.points = self.labels.labels().skeleton.clone();
            self.refresh(jobs);
        }
    }
}

/// What a view works with.
pub struct Desk<'a> {
    /// The project.
    pub open: &'a mut OpenProject,
    /// To start long work.
    pub jobs: &'a mut Jobs,
    /// To tell the user something.
    pub notices: &'a mut Notices,
    /// The system's file dialogs.
    pub dialogs: &'a mut Dialogs,
    /// The user's preferences; they are written by themselves when they change.
    pub prefs: &'a mut Prefs,
    /// The actions of this pass.
    pub fired: &'a Fired,
    /// Set to go to another view.
    pub go: &'a mut Option<Place>,
    /// For threads that have something new.
    pub wake: &'a Wake,
}
